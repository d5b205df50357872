"""A ready script for `spark-submit`.

pip install --no-deps --target lib datto-siem && python -m zipfile -c datto_siem.zip lib/datto_siem
spark-submit --py-files datto_siem.zip submit.py \
    --to ocsf --format parquet --output s3://lake/ocsf s3://archive/2026/*.gz
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from datto_siem.plugins import spark

if TYPE_CHECKING:
    from collections.abc import Sequence

_TARGETS = ("ecs", "cim", "ocsf", "asim", "csl")
_ABOUT = """\
Convert archives of Datto syslog on Spark. Input is text, one record a line, plain or gzip. Output
is Parquet with the columns the mapping tables declare, JSON lines as `datto-siem convert` writes
them, or (--format lake) OCSF 1.3.0 in the layout of Amazon Security Lake."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job; returns the exit code, 2 for misuse."""
    args = _parser().parse_args(argv)
    if args.format == "lake" and (args.to != "ocsf" or not args.region or not args.account):
        print("submit: --format lake needs --to ocsf, --region and --account", file=sys.stderr)
        return 2
    if args.stream and (args.format == "lake" or not args.checkpoint):
        print("submit: --stream needs --checkpoint, and not --format lake", file=sys.stderr)
        return 2
    session = SparkSession.builder.appName("datto-siem").getOrCreate()
    try:
        if args.stream:
            _stream(session, args)
        else:
            _batch(session, args)
    finally:
        session.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("submit", description=_ABOUT)
    add = parser.add_argument
    add("input", nargs="+", help="files, folders or patterns")
    add("--to", choices=_TARGETS, required=True)
    add("--output", required=True, help="folder; it must not exist yet, unless --stream")
    add("--format", choices=("parquet", "json", "lake"), default="parquet")
    add("--ocsf-version", help="OCSF version to write; default 1.8.0, for a lake 1.3.0")
    add("--received", type=int, help="receive time of all records in epoch ms; default now")
    add("--number", action="store_true", help="number records, so that equal ones get own ids")
    add("--region", help="for --format lake")
    add("--account", help="for --format lake")
    add("--stream", action="store_true", help="convert what comes into the input folder, for ever")
    add("--checkpoint", help="for --stream: where Spark keeps how far it is")
    add("--once", action="store_true", help="with --stream: what is there now, then end")
    return parser


def _received(args: argparse.Namespace) -> int:
    found: int | None = args.received
    return time.time_ns() // 1_000_000 if found is None else found


def _batch(session: SparkSession, args: argparse.Namespace) -> None:
    records = spark.lines(session, *args.input)
    if args.number:
        records = spark.numbered(records)
    received, version = _received(args), args.ocsf_version
    if args.format == "lake":
        counts = spark.lake(
            records, args.output, received, args.region, args.account, version=version or "1.3.0"
        )
        for uid, count in sorted(counts.items()):
            print(f"submit: class {uid}: {count} events", file=sys.stderr)
    elif args.format == "json":
        spark.documents(records, args.to, received, version).write.text(args.output)
    else:
        spark.columns(records, args.to, received, version).write.parquet(args.output)


def _stream(session: SparkSession, args: argparse.Namespace) -> None:
    more = {} if args.received is None else {"received": args.received}
    convert = spark.each_batch(args.to, args.output, args.format, version=args.ocsf_version, **more)
    read = session.readStream.option("lineSep", "\n").text(args.input[0])
    written = read.selectExpr("cast(value as binary) as value").writeStream.foreachBatch(convert)
    written = written.option("checkpointLocation", args.checkpoint)
    if args.once:
        written = written.trigger(availableNow=True)
    written.start().awaitTermination()


if __name__ == "__main__":
    sys.exit(main())
