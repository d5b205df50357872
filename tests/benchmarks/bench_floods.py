"""What floods of made-up records cost: the command's way beside the reference path alone.

    python tests/benchmarks/bench_floods.py [--to ecs] [--lines 20000] [--rounds 5]

Each flood follows 5,000 ordinary lines, so that the shapes there are get tried: new event names,
new keys, new sequences of keys, new senders, odd values, lines that are no CEF. CPU time of each
way on the same lines, in turns; the median of the ratios counts, and 1.00 means that a flood costs
what the reference path takes.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # the lines lie beside this folder
from ordinary_lines import ordinary

from datto_siem.converters import Converter

if TYPE_CHECKING:
    from collections.abc import Iterator

RECEIVED = 1_795_514_400_000
AP = "CEF:1|Datto|AccessPoint|7.1.0|wifi|{name}|0|rt=1795513152051 smac=02:00:5E:10:00:01 "
EDGE = "CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|"


def _word(rng: Random) -> str:
    return f"{rng.getrandbits(40):010x}"


def floods(count: int) -> Iterator[tuple[str, list[bytes]]]:
    """Name and lines of each flood."""
    rng = Random(5)  # noqa: S311 - a reproducible corpus, no secret
    edge = [
        line for line in ordinary(4 * count, 3, only="secure_edge") if b"|coredns|drop|" in line
    ]
    edge = (edge * (count // len(edge) + 1))[:count]
    yield "new names", [(AP.format(name=_word(rng)) + "cs2:x").encode() for _ in range(count)]
    yield "new keys", [f"{AP.format(name='probe')}k{_word(rng)}=1".encode() for _ in range(count)]
    yield (
        "new senders",
        [
            f"<134>Nov 24 09:37:09 {_word(rng)} {AP.format(name='probe')}cs2:x".encode()
            for _ in range(count)
        ],
    )
    yield "odd values", [line.replace(b"domain=", b'domain="') for line in edge]
    sequences = []
    for line in edge:
        head, _, body = line.rpartition(b"|")
        words = body.split(b" ")
        rng.shuffle(words)
        words.insert(rng.randrange(len(words)), f"groups.{rng.randrange(40)}=a".encode())
        sequences.append(head + b"|" + b" ".join(words))
    yield "new sequences", sequences
    yield "no CEF", [f"<134>Nov 24 09:37:09 ap-1 {_word(rng)} x=y".encode() for _ in range(count)]


def seconds(target: str, lines: list[bytes], flood: list[bytes], short: bool) -> float:
    """CPU time for a flood."""
    converter = Converter(target)
    for line in lines:
        converter.encode(line, RECEIVED)
    decode, dump = converter.decoder.decode, converter.dump
    begun = time.process_time()
    if short:
        texts = [raw.decode("latin-1") for raw in flood]
        converter.shapes.lines(
            texts, RECEIVED, lambda raw, at: dump(decode(raw, RECEIVED, None, None, at))
        )
    else:
        for at, raw in enumerate(flood):
            dump(decode(raw, RECEIVED, None, None, at))
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--to", default="ecs")
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    lines = ordinary(5_000, 1)
    print(f"{options.lines} lines to {options.to}, {options.rounds} rounds")
    print(f"{'':16}{'reference':>11}{'command':>9}  us a record")
    for name, flood in floods(options.lines):
        pairs = []
        for _ in range(options.rounds):
            alone, both = (seconds(options.to, lines, flood, short) for short in (False, True))
            pairs.append((alone, both))
        alone, both = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(both / alone for alone, both in pairs)
        scale = 1e6 / options.lines
        print(f"{name:16}{alone * scale:11.2f}{both * scale:9.2f}  {ratio:.2f} times")


if __name__ == "__main__":
    main()
