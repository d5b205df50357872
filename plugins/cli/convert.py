"""`datto-siem convert`: records in, one document a line out."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.converters.convert import CEF
from datto_siem.plugins.archives import BLOCK, BLOCK_FOR_MANY, Source, sources
from datto_siem.plugins.cli import interrupts, parsing
from datto_siem.plugins.cli.output import STDOUT, output
from datto_siem.plugins.cli.progress import Progress
from datto_siem.plugins.cli.tally import Tally
from datto_siem.plugins.cli.work import Batch, Settings, results
from datto_siem.plugins.failure import DONE, FINDINGS, Failure, os_failure
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from datto_siem.plugins.cli.output import FileOutput, StandardOutput
    from datto_siem.plugins.cli.parquet import ParquetOutput
    from datto_siem.plugins.cli.work import Worker

_TEXT = """\
Convert Datto syslog records to documents of one schema, one line a record, in order.

Input is bytes, one record a line. A trailing CR or NUL is dropped, blank lines are skipped, gzip
is read as is, and a line above 1 MiB is taken as several records of 1 MiB. A record that cannot
be decoded still gives a line, with the original kept. A summary goes to standard error:
  records 8, decoded 7, with notes 2, unknown events 1, undecodable 1, not CEF 1; 0.1 s, ...
"""
_CODES = """\
exit codes: 0 done; 1 with --strict, a record was undecodable; 2 misuse, bad configuration or a
failed read or write; 130 interrupted; 141 the reader of the output went away (`| head`)"""


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT,
        "datto-siem convert --to ecs syslog.log > ecs.ndjson",
        "datto-siem convert --to ocsf --workers 4 -o ocsf.ndjson.gz logs/*.gz",
        "tail -F syslog.log | datto-siem convert --to csl",
        codes=_CODES,
    )
    parser.add_argument("--to", metavar="TARGET", help=parsing.TARGETS)
    parser.add_argument("files", metavar="FILE", nargs="*", help="input; - or none: standard input")
    parser.add_argument(
        "-o", dest="output", metavar="OUT", help="output file, there only when whole; .gz packs it"
    )
    parser.add_argument(
        "--format",
        choices=("ndjson", "parquet"),
        default="ndjson",
        help="parquet: columns as the tables declare them, in one file; default ndjson",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 if any record was undecodable"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=parsing.at_least_one,
        default=1,
        help="processes, this one among them; for files, a slow pipe is served best by one",
    )
    parser.add_argument(
        "--ocsf-version", metavar="V", help="OCSF version to write, such as 1.1.0; default 1.8.0"
    )
    parser.add_argument(
        "--cef-version", metavar="0|1", type=int, choices=(0, 1), default=0, help="for --to cef"
    )
    parser.add_argument(
        "--pseudonyms",
        metavar="KEYFILE",
        help="replace station MACs, host names and subscribers by keyed pseudonyms",
    )
    parsing.add_received(parser)
    parsing.add_tables(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    settings = _settings(args)
    try:
        worker = settings.worker()
    except ValueError as error:  # the message lists the targets
        raise Failure(f"--to: {error}", "choose one of those") from error
    inputs = sources(args.files, BLOCK if args.workers == 1 else BLOCK_FOR_MANY)
    tally = Tally()
    begun = time.monotonic()
    progress = Progress(inputs, args.quiet)
    try:
        with (
            interrupts.terminable(),
            output(args.output, args.files) as file,
            _formed(args, file, worker) as out,
            closing(_batches(inputs, args)) as batches,
            closing(results(batches, settings, worker, args.workers)) as done,
        ):
            for content, counts in done:
                out.write(content)
                tally.add(counts)
                progress.update(counts.records)
    except KeyboardInterrupt as error:
        raise interrupts.failure(error, f"{_fate(args.output)}; run it again") from error
    finally:
        progress.close()
    if not args.quiet:
        _summary(tally, inputs, time.monotonic() - begun, settings.key is not None)
    return FINDINGS if args.strict and tally.undecodable else DONE


def _formed(
    args: argparse.Namespace, file: FileOutput | StandardOutput, worker: Worker
) -> AbstractContextManager[FileOutput | StandardOutput | ParquetOutput]:
    """What takes finished documents."""
    if args.format == "ndjson":
        return nullcontext(file)
    if args.to == CEF:
        raise Failure("--format parquet is not for --to cef", "choose a target with documents")
    from datto_siem.plugins.cli.parquet import ParquetOutput

    return ParquetOutput(file, worker.converter)


def _settings(args: argparse.Namespace) -> Settings:
    if args.to is None:
        raise Failure("no target is named", f"add --to with {parsing.TARGETS}")
    if args.ocsf_version is not None and args.to != "ocsf":
        raise Failure(f"--ocsf-version is not for --to {escaped(args.to)}", "leave it out")
    return Settings(
        target=args.to,
        version=args.ocsf_version,
        overlay=args.tables,
        switches=tuple(args.switch),
        cef_version=args.cef_version,
        key=None if args.pseudonyms is None else _key(args.pseudonyms),
    )


def _key(path: str) -> bytes:
    """The key of pseudonyms; messages never show any of it."""
    from datto_siem.converters.privacy import SHORTEST_KEY  # only here: see `Worker`

    name = escaped(path)
    try:
        content = Path(path).read_bytes()
        exposed = os.name == "posix" and Path(path).stat().st_mode & 0o077
    except OSError as error:
        raise os_failure(f"cannot read the key file {name}", error) from error
    key = content.rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY:
        raise Failure(
            f"the key in {name} is shorter than {SHORTEST_KEY} bytes",
            f"make one: (umask 077; openssl rand -hex 32 > {name})",
        )
    if exposed:
        print(f"datto-siem: others can read {name}: chmod 600 {name}", file=sys.stderr)
    return key


def _batches(inputs: list[Source], args: argparse.Namespace) -> Generator[Batch]:
    """The records of all inputs, counted through."""
    first = 0
    for each in inputs:
        try:
            for lines in each.lines():
                records = lines.records()
                if records:
                    received = args.received_at
                    yield Batch(
                        records,
                        first,
                        time.time_ns() // 1_000_000 if received is None else received,
                    )
                    first += len(records)
        except Failure as error:
            raise Failure(error.problem, f"{error.remedy}; {_fate(args.output)}") from error


def _fate(path: str | None) -> str:
    """What became of the output when a run ends early."""
    if path is None or path == STDOUT:
        return "the output is not whole"
    return f"{escaped(path)} was not written"


def _summary(tally: Tally, inputs: list[Source], elapsed: float, pseudonyms: bool) -> None:
    print(tally.line(elapsed, pseudonyms), file=sys.stderr)
    for each in inputs:
        if each.utf16:
            print(
                f"datto-siem: {each.name} looks like UTF-16: convert it first,"
                " as with `iconv -f UTF-16 -t UTF-8`",
                file=sys.stderr,
            )
    if tally.records and tally.undecodable == tally.records:
        print(
            "datto-siem: no record could be decoded: check that the input is syslog, one record"
            " a line",
            file=sys.stderr,
        )
