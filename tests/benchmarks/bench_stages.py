"""What each stage costs a record, in CPU time: the figures that `.ci/docs/sizing` reckons with.

    python tests/benchmarks/bench_stages.py [--lines 60000] [--rounds 5] [--write]

Receiving is our UDP listener with its intake, CPU time of its process for each datagram. The log is
appended and synced in batches as the listener does, and read back. Converting is bytes to finished
bytes, one process and two at once: the ratio of the two is what scales. Output bytes are of one
request of 500 documents, gzip level 1. Medians of the rounds. `--write` puts the figures into
`tests/benchmarks/stages.json`.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # these lie beside this folder
from ordinary_lines import ordinary
from running import free_port

from datto_siem.converters import Converter
from datto_siem.plugins.forwarder.intake import Intake
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import Size
from datto_siem.plugins.source import Arrival
from datto_siem.plugins.sources import udp

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FIGURES = Path(__file__).with_name("stages.json")
RECEIVED = 1_795_514_400_000
TARGETS = ("ecs", "cim", "ocsf", "asim", "csl", "cef")


def cpu() -> float:
    """CPU seconds of this process, its kernel time included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def converting(target: str, lines: list[bytes]) -> float:
    """CPU seconds a record, the first tenth left out: shapes are compiled there."""
    encode = Converter(target).encode
    warm = len(lines) // 10
    for at, line in enumerate(lines[:warm]):
        encode(line, RECEIVED, None, None, at)
    begun = cpu()
    for at, line in enumerate(lines[warm:]):
        encode(line, RECEIVED, None, None, at)
    return (cpu() - begun) / (len(lines) - warm)


def worker(lines: list[bytes], pipe: Connection, barrier: Any) -> None:
    """Convert on signal and tell how long it took on the wall."""
    encode = Converter("ecs").encode
    for at, line in enumerate(lines[: len(lines) // 10]):
        encode(line, RECEIVED, None, None, at)
    barrier.wait()
    begun = time.perf_counter()
    for at, line in enumerate(lines):
        encode(line, RECEIVED, None, None, at)
    pipe.send(time.perf_counter() - begun)


def together(lines: list[bytes], count: int) -> float:
    """Records a second of some processes at once."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    ends = [context.Pipe(duplex=False) for _ in range(count)]
    processes = [context.Process(target=worker, args=(lines, end, barrier)) for _, end in ends]
    for process in processes:
        process.start()
    took = [end.recv() for end, _ in ends]
    for process in processes:
        process.join()
    return sum(len(lines) / seconds for seconds in took)


def receiving(lines: list[bytes], rate: int) -> float:
    """CPU seconds a datagram of listener and log together, at a paced rate."""
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder))
        meter = Meter()
        intake = Intake(log.writer(), meter)
        port = free_port(socket.SOCK_DGRAM)
        config = udp.Config(address=f"127.0.0.1:{port}", receive_buffer=Size(4_000_000))
        listener = udp.open_listener(config, intake, meter, "bench")
        thread = threading.Thread(target=listener.run)
        thread.start()
        address = ("127.0.0.1", port)
        reader, writer = multiprocessing.Pipe(duplex=False)
        sender = multiprocessing.get_context("fork").Process(
            target=send, args=(address, lines, rate, writer)
        )
        sender.start()
        begun = cpu()
        reader.recv()
        sender.join()
        time.sleep(0.3)
        used = cpu() - begun
        listener.stop()
        thread.join()
        intake.close()
        log.close()
    return used / len(lines)


def send(address: Any, lines: list[bytes], rate: int, done: Connection) -> None:
    """Datagrams at a rate."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        begun = time.perf_counter()
        for at, line in enumerate(lines):
            out.sendto(line, address)
            if at % 50 == 0:
                ahead = begun + at / rate - time.perf_counter()
                if ahead > 0:
                    time.sleep(ahead)
    done.send(None)


def logging(lines: list[bytes]) -> tuple[float, float, float]:
    """CPU seconds a record to append and to read back, and bytes on disk."""
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder))
        writer = log.writer()
        arrivals = [Arrival(line, RECEIVED, "192.0.2.10") for line in lines]
        begun = cpu()
        for at in range(0, len(arrivals), 500):
            writer.append(arrivals[at : at + 500])
        appended = (cpu() - begun) / len(lines)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*")) / len(lines)
        reader = log.reader("bench")
        begun, seen = cpu(), 0
        while seen < len(lines):
            chunk = reader.read(1 << 20)
            if chunk is None:
                raise RuntimeError("the log lost records")
            seen += len(chunk.records)
            reader.commit(chunk.end)
        read = (cpu() - begun) / len(lines)
        log.close()
    return appended, read, size


def sending(target: str, lines: list[bytes]) -> tuple[float, float, float]:
    """CPU seconds a record to pack a request, bytes of a document, and packed."""
    encode = Converter(target).encode
    bodies = [encode(line, RECEIVED, None, None, at) for at, line in enumerate(lines[:5000])]
    begun, packed = cpu(), 0
    for at in range(0, len(bodies), 500):
        packed += len(zlib.compress(b"\n".join(bodies[at : at + 500]), 1))
    used = cpu() - begun
    return used / len(bodies), sum(map(len, bodies)) / len(bodies), packed / len(bodies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = ordinary(args.lines)
    middle = statistics.median
    logs = [logging(lines) for _ in range(args.rounds)]
    ones = [together(lines, 1) for _ in range(args.rounds)]
    twos = [together(lines, 2) for _ in range(args.rounds)]
    packs = {target: sending(target, lines) for target in TARGETS}
    figures = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "record_bytes": round(sum(map(len, lines)) / len(lines)),
        "receive_us": round(
            1e6 * middle(receiving(lines[:30_000], 10_000) for _ in range(args.rounds)), 2
        ),
        "append_us": round(1e6 * middle(each[0] for each in logs), 2),
        "read_us": round(1e6 * middle(each[1] for each in logs), 2),
        "log_bytes": round(middle(each[2] for each in logs)),
        "convert_us": {
            target: round(1e6 * middle(converting(target, lines) for _ in range(args.rounds)), 2)
            for target in TARGETS
        },
        "pack_us": {target: round(1e6 * packs[target][0], 2) for target in TARGETS},
        "document_bytes": {target: round(packs[target][1]) for target in TARGETS},
        "packed_bytes": {target: round(packs[target][2]) for target in TARGETS},
        "one_process": round(middle(ones)),
        "two_processes": round(middle(twos)),
    }
    print(json.dumps(figures, indent=2))
    if args.write:
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
