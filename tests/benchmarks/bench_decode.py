"""Events a second on one core, ours against other decoders, in one process.

    python tests/benchmarks/bench_decode.py [--lines 20000] [--rounds 5] [--varied]

The lines are `fixtures/sample.log` over and over, or with `--varied` as many different ones, so
that no memory of values helps. CPU time, alternating rounds, best round of each;
the ratios are what counts, for they carry over between machines. The peers are the extra `bench`
(`pip install .[bench]`); one that is not installed is left out with a word.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.converters import Converter, decode

sys.path.insert(0, str(Path(__file__).parents[1]))  # the corpus lies beside this folder
from lines import generate

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[list[bytes], list[str]], None]

SAMPLE = Path(__file__).parents[2] / "fixtures" / "sample.log"
RECEIVED = 1_795_514_400_000


def records(count: int, varied: bool) -> list[bytes]:
    """Clean records with a header that every peer can find."""
    if varied:
        made = (line for line in generate(count * 3) if line.clean and b"CEF:" in line.raw)
        return [line.raw for line, _ in zip(made, range(count), strict=False)]
    sample = [line for line in SAMPLE.read_bytes().splitlines() if b"CEF:" in line]
    return (sample * (count // len(sample) + 1))[:count]


def keep(_: object) -> None:
    """Take a value, so that asking for it is no idle expression."""


def ours_decode(raws: list[bytes], _: list[str]) -> None:
    for raw in raws:  # header, pairs and repairs: what the peers give
        keep(decode(raw, received=RECEIVED).extension)


def ours_fields(raws: list[bytes], _: list[str]) -> None:
    for raw in raws:  # typed fields as well, which are read when somebody asks
        keep(decode(raw, received=RECEIVED).fields)


def ours_encode(raws: list[bytes], _: list[str]) -> None:
    encode = Converter("ecs").encode
    for raw in raws:
        encode(raw)


def peers() -> dict[str, Work]:
    """The decoders of other projects that are installed here."""
    found: dict[str, Work] = {}
    for name, make in {"pycef": _pycef, "jc": _jc, "cefp": _cefp}.items():
        try:
            found.update(make())
        except ImportError:
            print(f"{name}: not installed, left out (pip install .[bench])", file=sys.stderr)
    return found


def _pycef() -> dict[str, Work]:
    parse = importlib.import_module("pycef").parse

    def plain(_: list[bytes], texts: list[str]) -> None:
        for text in texts:
            with suppress(IndexError):  # what it does with a backslash in the header
                parse(text)

    def to_json(_: list[bytes], texts: list[str]) -> None:
        for text in texts:
            with suppress(IndexError):
                json.dumps(parse(text))

    return {"pycef.parse": plain, "pycef.parse + json.dumps": to_json}


def _jc() -> dict[str, Work]:
    parse = importlib.import_module("jc").parse

    def raw_mode(_: list[bytes], texts: list[str]) -> None:
        for _event in parse("cef_s", texts, raw=True, quiet=True):
            pass

    return {"jc cef_s, raw": raw_mode}


def _cefp() -> dict[str, Work]:
    parse = importlib.import_module("cefp").parse

    def without_prefix(_: list[bytes], texts: list[str]) -> None:
        for text in texts:  # it takes no syslog prefix: give it a record it can read
            with suppress(ValueError):
                parse(text[text.find("CEF:") :])

    return {"cefp.parse": without_prefix}


def best(
    work: dict[str, Work], raws: list[bytes], texts: list[str], rounds: int
) -> dict[str, float]:
    """CPU seconds of each work's best round; the rounds alternate, so that noise is shared."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            start = time.process_time()
            run(raws, texts)
            times[name].append(time.process_time() - start)
    return {name: min(found) for name, found in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--varied", action="store_true", help="generated lines, no two alike")
    options = parser.parse_args()
    raws = records(options.lines, options.varied)
    texts = [raw.decode() for raw in raws]
    mean = sum(map(len, raws)) / len(raws)
    print(f"{len(raws)} records, {mean:.0f} bytes each, Python {sys.version.split()[0]}")
    work: dict[str, Work] = {
        "decode": ours_decode,
        "decode, typed fields too": ours_fields,
        'Converter("ecs").encode': ours_encode,
    }
    work.update(peers())
    found = best(work, raws, texts, options.rounds)
    base = found["decode"]
    print(f"{'':28}{'events/s':>12}{'us/event':>10}{'decode is x times as fast':>28}")
    for name, seconds in found.items():
        rate = len(raws) / seconds
        print(f"{name:28}{rate:12,.0f}{1e6 / rate:10.1f}{seconds / base:28.1f}")
    whole = found['Converter("ecs").encode']
    rival = found.get("pycef.parse + json.dumps")
    if rival:
        print(f"line to ECS bytes against pycef.parse + json.dumps: {rival / whole:.2f} x")


if __name__ == "__main__":
    main()
