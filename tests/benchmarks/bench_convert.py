"""From file bytes to file bytes: each target against `json.dumps(pycef.parse(line))`, one core.

    python tests/benchmarks/bench_convert.py [--lines 100000] [--rounds 5] [TARGET ...]

The lines are `ordinary_lines`: half access points in the colon form, half Secure Edge, a syslog
header on every second one, values drawn anew. Each round measures the peer and then a row, each in
a process of its own; a ratio is that of one round, and the median of the rounds counts.
`fresh` begins before tables are loaded and has every function still to make; `sustained` goes on
with another file of new lines. CPU time, imports left out on both sides. A busy machine shrinks the
ratios, since our lines of output are four times as long and want the caches.

Below the table: where the time of a record to ECS goes, stage by stage.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the lines lie beside this folder
from ordinary_lines import ordinary

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVED = 1_795_514_400_000
ROWS = ("ecs", "ecs, any order", "ocsf", "asim", "cim", "csl", "cef", "decode")
PEER = "pycef + json"
STAGES = "stages"
PROFILED = "ecs"


def convert(target: str, paths: list[Path]) -> list[float]:
    """CPU seconds for each file, one after the other, as the command converts them."""
    from datto_siem.plugins.archives import Source
    from datto_siem.plugins.cli.work import Batch, Settings

    times = []
    worker = None
    for path in paths:
        start = time.process_time()
        if worker is None:
            worker = Settings(target=target).worker()
        first = 0
        with path.with_suffix(".out").open("wb") as out:
            for lines in Source(str(path)).lines():
                records = lines.records()
                out.write(worker(Batch(records, first, RECEIVED))[0])
                first += len(records)
        times.append(time.process_time() - start)
    return times


def decode(paths: list[Path]) -> list[float]:
    """CPU seconds for decoding alone: header, pairs and repairs."""
    from datto_siem.converters import decode as read

    def extension(line: bytes) -> dict[str, str]:
        return read(line, RECEIVED).extension

    return [_each(path, extension) for path in paths]


def pycef(paths: list[Path]) -> list[float]:
    """CPU seconds for the peer."""
    parse = importlib.import_module("pycef").parse
    dumps = json.dumps
    times = []
    for path in paths:
        start = time.process_time()
        with path.open(encoding="utf-8") as lines, path.with_suffix(".out").open("w") as out:
            for line in lines:
                with suppress(IndexError):
                    out.write(dumps(parse(line)) + "\n")
        times.append(time.process_time() - start)
    return times


def _each(path: Path, work: Callable[[bytes], object]) -> float:
    start = time.process_time()
    with path.open("rb") as lines:
        for line in lines:
            work(line)
    return time.process_time() - start


def in_process(row: str, paths: list[Path]) -> Any:
    """What `one` prints of a row, in a process of its own."""
    command = [sys.executable, __file__, "--row", row, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return json.loads(done.stdout)


def one(row: str, paths: list[Path]) -> None:
    """Measure one row here and print the times."""
    if row == STAGES:
        from conversion_stages import ordinary_way, short_way

        stages = short_way(PROFILED, paths, RECEIVED), ordinary_way(PROFILED, paths[0], RECEIVED)
        print(json.dumps(stages))
        return
    if row == PEER:
        times = pycef(paths)
    elif row == "decode":
        times = decode(paths)
    else:
        times = convert(row.partition(",")[0], paths)
    print(json.dumps(times))


def measure(rows: list[str], lines: int, rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name, shuffled in (("", False), ("any order", True)):
            paths = [Path(folder) / f"{name or 'plain'}-{number}.log" for number in (1, 2)]
            for seed, path in enumerate(paths, 1):
                path.write_bytes(b"\n".join(ordinary(lines, seed, shuffled)) + b"\n")
            files[name] = paths
        found: dict[str, list[tuple[float, float, float]]] = {row: [] for row in rows}
        for _ in range(rounds):
            for row in rows:
                paths = files["any order" if "any order" in row else ""]
                peer = in_process(PEER, paths[:1])[0]
                fresh, sustained = in_process(row, paths)
                found[row].append((peer / fresh, peer / sustained, lines / sustained))
        profile = in_process(STAGES, files[""])
    print(f"{lines} lines, {rounds} rounds, Python {sys.version.split()[0]}")
    print(f"{'':18}{'fresh':>9}{'sustained':>12}{'events/s':>12}   x {PEER}")
    for row, each in found.items():
        fresh, sustained, rate = (statistics.median(column) for column in zip(*each, strict=True))
        print(f"{row:18}{fresh:8.2f}x{sustained:11.2f}x{rate:12,.0f}")
    for way, stages in zip(("short", "ordinary"), profile, strict=True):
        print(f"\nmicroseconds a record to {PROFILED}, {way} way")
        for stage, microseconds in stages.items():
            print(f"  {stage:26}{microseconds:6.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("rows", nargs="*", metavar="TARGET", help=f"of: {'; '.join(ROWS)}")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        one(options.row, [Path(path) for path in options.rows])
        return
    if importlib.util.find_spec("pycef") is None:
        sys.exit("pycef is not installed: pip install .[bench]")
    measure(options.rows or list(ROWS), options.lines, options.rounds)


if __name__ == "__main__":
    main()
