"""Spark and `datto-siem convert --workers 2` on the same archive, in one run, on this machine.

    .ci/engines/spark && python tests/benchmarks/bench_spark.py [--write]

Spark runs the package's own `submit.py` by `spark-submit --master local[2]`: one JVM, two tasks at
a time and their Python workers. Both write JSON lines of the same records (--format parquet: the
columns that the tables declare), from four files of text and from the same four packed by gzip.

A job on a thousand lines tells what starting costs. `work` is the rate of the lines beyond those in
the seconds beyond theirs. `ratio` is Spark's seconds by those of convert. Of rounds the quickest
counts. `--write` puts the figures into `tests/benchmarks/spark.json`, in the place of those of the
same job and number of lines; the sizing page shows them.
"""

# ruff: noqa: T201, S603 - printing is what a benchmark does; the commands are ours
from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "engines")]

from cases import RECEIVED  # noqa: E402  the path above
from ordinary_lines import ordinary  # noqa: E402  as above
from spark_submit import packed, submit  # noqa: E402  as above

FIGURES = Path(__file__).with_name("spark.json")
FILES = 4
FEW = 1_000
WORKERS = 2
CONVERT = [sys.executable, "-m", "datto_siem.plugins.cli", "convert", "--workers", str(WORKERS)]


class Job(NamedTuple):
    """What is measured: a target, the form of the output and of the archive."""

    target: str
    form: str
    suffix: str


def archive(folder: Path, lines: list[bytes]) -> None:
    """The lines in files, as text and packed."""
    folder.mkdir()
    for at in range(FILES):
        text = b"".join(line + b"\n" for line in lines[at::FILES])
        (folder / f"{at}.log").write_bytes(text)
        with gzip.open(folder / f"{at}.log.gz", "wb") as file:
            file.write(text)


def with_convert(job: Job, given: Path, out: Path) -> None:
    """The command, with its output in one file."""
    form = ("--format", {"json": "ndjson"}.get(job.form, job.form), "--quiet")
    inputs = sorted(given.glob(f"*{job.suffix}"))
    subprocess.run([*CONVERT, "--to", job.target, *form, "-o", out, *inputs], check=True)


def with_spark(job: Job, given: Path, out: Path, package: Path) -> None:
    """The script, with its output in a folder of parts."""
    words = ("--to", job.target, "--format", job.form, "--received", str(RECEIVED))
    places = ("--output", f"file:{out}", f"file:{given}/*{job.suffix}")
    submit(package, out.parent, *words, *places, master=f"local[{WORKERS}]")


def rows(out: Path) -> int:
    """Documents in an output."""
    found = 0
    for path in sorted(out.glob("part-*")) if out.is_dir() else [out]:
        if path.read_bytes()[:4] == b"PAR1":
            import pyarrow.parquet as pq

            found += pq.ParquetFile(path).metadata.num_rows
        else:
            found += path.read_bytes().count(b"\n")
    return found


def measure(job: Job, folder: Path, count: int, rounds: int, package: Path) -> dict[str, Any]:
    """Print one row for each of the two, and how they compare; gives the figures."""
    few, all_ = folder / "few", folder / "all"
    found: dict[str, Any] = {"lines": count, **job._asdict()}
    seconds: dict[str, float] = {}
    name = f"{job.target} {job.form} from {job.suffix.removeprefix('.')}"
    for which in ("convert", "spark"):

        def timed(given: Path, size: int, which: str = which) -> float:
            out = folder / "out"
            begun = time.perf_counter()
            if which == "convert":
                with_convert(job, given, out)
            else:
                with_spark(job, given, out, package)
            spent = time.perf_counter() - begun
            assert rows(out) == size, f"{which}: {rows(out)} documents of {size} records"
            shutil.rmtree(out) if out.is_dir() else out.unlink()
            return spent

        start = min(timed(few, FEW) for _ in range(rounds))
        whole = seconds[which] = min(timed(all_, count) for _ in range(rounds))
        rate = round((count - FEW) / (whole - start)) if whole > start else None
        found[which] = {"seconds": round(whole, 2), "start": round(start, 2), "rate": rate}
        work = f"{rate:,}/s" if rate else "none"
        print(f"{name:23} {which:8}{whole:8.1f} s{count / whole:11,.0f}/s{start:11.1f} s{work:>12}")
    load = os.getloadavg()[0]
    print(f"{name:23} ratio   {seconds['spark'] / seconds['convert']:8.1f}   load {load:.1f}")
    return found


def write(rows: list[dict[str, Any]]) -> None:
    """Put rows into the file of figures."""

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["lines"], row["target"], row["form"], row["suffix"]

    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else []
    kept = {key(row): row for row in [*known, *rows]}
    FIGURES.write_text(json.dumps([kept[each] for each in sorted(kept)], indent=2) + "\n")


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--to", nargs="+", default=["ecs", "ocsf"])
    parser.add_argument("--format", choices=("json", "parquet"), default="json")
    parser.add_argument("--write", action="store_true", help=f"into {FIGURES.name}")
    args = parser.parse_args()
    if args.lines <= FEW:
        parser.error(f"--lines: more than {FEW}")
    lines = ordinary(args.lines)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive(folder / "few", lines[:FEW])
        archive(folder / "all", lines)
        package = packed(folder)
        head = f"{'':32}{'wall':>10}{'records':>13}{'1,000 lines':>13}{'work':>12}"
        print(f"{args.lines:,} lines; load {os.getloadavg()[0]:.1f}\n{head}")
        jobs = [
            Job(target, args.format, each) for target in args.to for each in (".log", ".log.gz")
        ]
        found = [measure(job, folder, args.lines, args.rounds, package) for job in jobs]
    if args.write:
        write(found)


if __name__ == "__main__":
    main()
