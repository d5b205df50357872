"""The command whole, `datto-siem convert`: how it grows, what a second process and packing give.

    python tests/benchmarks/bench_command.py [--to ecs] [--lines 1000000] [--rounds 3]

Files of `ordinary_lines` to the null device, since a disk that cannot keep up would measure itself:
a tenth of the lines and all of them (records a second, loading left out, and peak memory), all of
them by two processes, a packed input, a packed output, and one line alone (start-up). Seconds on
the wall, medians of the rounds; memory is the largest of one process as the kernel counts it. A
second process needs a second core that is idle.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import filecmp
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

AT = ("--quiet", "--received-at", "2026-11-24T10:00:00Z")
_MIB = 1 << 10  # the kernel counts in KiB
_PART = 100_000


class Took(NamedTuple):
    """What one run took: seconds on the wall, MiB of memory at most."""

    seconds: float
    memory: float


def run(target: str, source: Path, out: Path, *more: str) -> Took:
    """Run the command once."""
    command = [sys.executable, "-m", "datto_siem.plugins.cli", "convert", "--to", target, *AT]
    command += [*more, "-o", str(out), str(source)]
    begun = time.perf_counter()
    pid = os.posix_spawn(sys.executable, command, os.environ)
    _, status, used = os.wait4(pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return Took(seconds, used.ru_maxrss / _MIB)


def draw(path: Path, lines: int) -> None:
    """Write lines."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # the lines lie beside this folder
    from ordinary_lines import ordinary

    with path.open("wb") as file:
        for seed, first in enumerate(range(0, lines, _PART), 1):
            file.write(b"\n".join(ordinary(min(_PART, lines - first), seed)) + b"\n")


def drawn(path: Path, lines: int) -> None:
    """The same in a process of its own: a child's memory counts from its parent's."""
    command = [sys.executable, __file__, "--draw", str(path), "--lines", str(lines)]
    subprocess.run(command, check=True)  # noqa: S603 - ours


def measure(target: str, lines: int, rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, tenth, single = (folder / f"{each}.log" for each in ("whole", "tenth", "single"))
        drawn(whole, lines)
        drawn(tenth, lines // 10)
        drawn(single, 1)
        packed = whole.with_suffix(".log.gz")
        with whole.open("rb") as read, gzip.open(packed, "wb", 1) as write:
            shutil.copyfileobj(read, write)
        nowhere, small = Path(os.devnull), folder / "small.ndjson.gz"
        cases = {
            "one line": (single, nowhere, ()),
            "a tenth": (tenth, nowhere, ()),
            "whole": (whole, nowhere, ()),
            "whole, two processes": (whole, nowhere, ("--workers", "2")),
            "whole, input packed": (packed, nowhere, ()),
            "a tenth, output packed": (tenth, small, ()),
        }
        found: dict[str, list[Took]] = {case: [] for case in cases}
        for _ in range(rounds):
            for case, (source, out, more) in cases.items():
                found[case].append(run(target, source, out, *more))
        one, two = folder / "1.ndjson", folder / "2.ndjson"
        run(target, tenth, one)
        run(target, tenth, two, "--workers", "2")
        same = filecmp.cmp(one, two, shallow=False)
    took = {
        case: Took(*(statistics.median(column) for column in zip(*each, strict=True)))
        for case, each in found.items()
    }
    start = took["one line"].seconds
    print(f"{lines} lines to {target}, {rounds} rounds, Python {sys.version.split()[0]}")
    print(f"{'':24}{'seconds':>9}{'records/s':>11}{'MiB':>7}")
    for case, each in took.items():
        count = 1 if case == "one line" else lines // 10 if "tenth" in case else lines
        rate = "" if count == 1 else f"{count / (each.seconds - start):,.0f}"
        print(f"{case:24}{each.seconds:9.2f}{rate:>11}{each.memory:7.1f}")
    alone, both = took["whole"].seconds, took["whole, two processes"].seconds
    print(
        f"two processes: {alone / both:.2f} times one; the bytes are {'' if same else 'NOT '}equal"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--to", default="ecs")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        draw(options.draw, options.lines)
        return
    measure(options.to, options.lines, options.rounds)


if __name__ == "__main__":
    main()
