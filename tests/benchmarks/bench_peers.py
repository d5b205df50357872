"""Decoders in other languages beside ours: they decode and write JSON, ours maps to ECS as well.

    python tests/benchmarks/bench_peers.py [--lines 20000] [--rounds 5] [--build]

One core each, one after the other, best of the rounds within one process. The others get the lines
repaired by `--to cef`, since most refuse or misread Datto's own; ours gets them as they are. `good`
is how many lines gave an event. `--build` fetches and builds what is missing: ParCEFone and Jackson
from Maven (Java), the vrl crate from crates.io (Rust, some minutes); pycef and jc are the extra
`bench`. Go: no CEF decoder that the module proxy offers was found (beats is not offered, the
OpenTelemetry Collector's parser is not in its latest release), so there is none here.
"""

# ruff: noqa: T201, S603, S607 - a benchmark prints and runs programs
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # these lie beside this folder
from engine import ENGINES
from ordinary_lines import ordinary

from datto_siem.converters import Converter

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent / "peers"
BUILT = ENGINES / "peers"
RUST = ENGINES / "vrl" / "target"  # the engine tests build the same crates there
RECEIVED = 1_795_514_400_000
TARGETS = ("ecs", "ocsf")


def build() -> None:
    """Fetch and build the peers."""
    jars = BUILT / "java"
    if not (jars / "Peer.class").exists():
        jars.mkdir(parents=True, exist_ok=True)
        copy = ["mvn", "-q", "-B", "-f", HERE / "java" / "pom.xml", "dependency:copy-dependencies"]
        subprocess.run([*copy, f"-DoutputDirectory={jars}"], check=True)
        source = HERE / "java" / "Peer.java"
        subprocess.run(["javac", "-cp", f"{jars}/*", "-d", jars, source], check=True)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(RUST)}
    manifest = HERE / "rust" / "Cargo.toml"
    build_ = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest]
    subprocess.run(build_, check=True, env=environment)


def ours(target: str, lines: list[bytes], rounds: int) -> tuple[float, int]:
    """Bytes of a line to finished bytes of a document."""
    encode = Converter(target).encode
    best = 0.0
    for first in range(rounds):
        begun = time.perf_counter()
        for at, line in enumerate(lines):
            encode(line, RECEIVED + first, None, None, at)
        best = max(best, len(lines) / (time.perf_counter() - begun))
    return best, len(lines)


def python(decode: Callable[[str], object], lines: list[bytes], rounds: int) -> tuple[float, int]:
    """A Python decoder and `json.dumps`."""
    texts = [line.decode() for line in lines]
    best, good = 0.0, 0
    for _ in range(rounds):
        begun, good = time.perf_counter(), 0
        for text in texts:
            found = decode(text)
            good += bool(found)
            json.dumps(found)
        best = max(best, len(lines) / (time.perf_counter() - begun))
    return best, good


def program(arguments: list[str | Path], lines: list[bytes], rounds: int) -> tuple[float, int]:
    """A peer of its own language."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(lines) + b"\n")
        file.flush()
        done = subprocess.run(
            [*arguments, file.name, str(rounds)], check=True, capture_output=True, text=True
        )
    rate, good = done.stdout.split()
    return float(rate), int(good)


def shown(name: str, work: Callable[[], tuple[float, int]], lines: int) -> None:
    """One row."""
    try:
        rate, good = work()
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        print(f"{name:<44} not here: {error}")
    else:
        print(f"{name:<44}{rate:>10,.0f} events/s   {good:,} of {lines:,} good", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", action="store_true")
    args = parser.parse_args()
    if args.build:
        build()
    lines = ordinary(args.lines)
    repair = Converter("cef").encode
    repaired = [repair(line, RECEIVED) for line in lines]
    rounds, count = args.rounds, args.lines

    def pycef() -> tuple[float, int]:
        import pycef  # type: ignore[import-untyped]

        return python(pycef.parse, repaired, rounds)

    def jc() -> tuple[float, int]:
        from jc.parsers import cef  # type: ignore[import-untyped]

        return python(lambda text: cef.parse(text, raw=True, quiet=True), repaired, rounds)

    java = ["java", "-cp", f"{BUILT}/java/*:{BUILT}/java", "Peer"]
    rust = [RUST / "release" / "datto-siem-peer"]
    for target in TARGETS:
        name = f"datto-siem, decode + map to {target} + JSON (Python)"
        shown(name, lambda target=target: ours(target, lines, rounds), count)
    shown("pycef, decode + JSON (Python)", pycef, count)
    shown("jc, raw decode + JSON (Python)", jc, count)
    shown("ParCEFone, decode + Jackson (Java)", lambda: program(java, repaired, rounds), count)
    shown("VRL parse_cef + serde_json (Rust)", lambda: program(rust, repaired, rounds), count)


if __name__ == "__main__":
    main()
