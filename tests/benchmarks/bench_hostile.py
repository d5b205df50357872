"""CPU milliseconds of each 64 KiB record made to be slow, and how the time grows with the size.

    python tests/benchmarks/bench_hostile.py [--limit 50]

Every record is decoded at a quarter, a half and the whole of its size; twice the size should take
twice the time. Exit 1 when one takes longer than the limit or grows like a square.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from datto_siem.converters import decode

sys.path.insert(0, str(Path(__file__).parents[1]))  # the corpus lies beside this folder
from corpus.long_records import LONG

RECEIVED = 1_795_514_400_000


def milliseconds(raw: bytes) -> float:
    """CPU time of one decoding, best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        decode(raw, received=RECEIVED)
        times.append(time.process_time() - start)
    return min(times) * 1000


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--limit", type=float, default=50.0, help="milliseconds for 64 KiB")
    limit = parser.parse_args().limit
    slow = 0
    print(f"{'record':34}{'16 KiB':>9}{'32 KiB':>9}{'whole':>9}  ms CPU")
    for name, raw in sorted(LONG.items()):
        quarter, half, whole = (milliseconds(raw[: len(raw) // part]) for part in (4, 2, 1))
        square = whole > 5 and whole > 3.2 * half and half > 3.2 * quarter
        verdict = "TOO SLOW" if whole > limit else "GROWS LIKE A SQUARE" if square else ""
        slow += bool(verdict)
        print(f"{name:34}{quarter:9.2f}{half:9.2f}{whole:9.2f}  {verdict}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
