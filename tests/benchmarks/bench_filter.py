"""`datto-siem filter` as a shipper meets it: rate and latency of sidecar and pipe, start-up.

    python tests/benchmarks/bench_filter.py [--seconds 8] [--rounds 3]

Sidecar: a shipper in a process of its own sends records of a message and three more fields on one
connection, and the documents that come out of `--send` are counted; `rate` is records from the
first byte in to the last document out. `at rest` is the time from one record sent to its document,
nothing else under way. Pipe: the same over standard input and output (`lines`). Start-up: from
nothing to the reply to the first line. All processes share the machine's cores.
"""

# ruff: noqa: T201, S603 - a benchmark prints and runs programs
from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # these lie beside this folder
from ordinary_lines import ordinary
from running import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = (sys.executable, "-m", "datto_siem.plugins.cli", "filter", "--to", "ecs")
LINES = 20_000
REST = {"@version": "1", "type": "syslog", "relay": {"name": "log-1"}}  # as a shipper adds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    raw = ordinary(LINES)
    records = [json.dumps({"message": line.decode(), **REST}).encode() for line in raw]
    rates = [sidecar_rate(records, args.seconds) for _ in range(args.rounds)]
    print(f"sidecar, ndjson round trip   {statistics.median(rates):9,.0f} records/s")
    rests = [sidecar_rest(records) for _ in range(args.rounds)]
    print(f"sidecar, one record at rest  {statistics.median(rests):9.2f} ms (median of 200)")
    rates = [pipe_rate(raw, args.seconds) for _ in range(args.rounds)]
    print(f"pipe, lines round trip       {statistics.median(rates):9,.0f} records/s")
    starts = [startup(raw[0]) for _ in range(15)]
    print(
        f"start-up to the first reply  {statistics.median(starts):9.0f} ms"
        f" (least {min(starts):.0f})"
    )
    bare = [timed(lambda: subprocess.run([sys.executable, "-c", "0"], check=True)) for _ in starts]
    print(f"a Python that does nothing   {statistics.median(bare):9.0f} ms")


def timed(what: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1000


@contextlib.contextmanager
def sidecar() -> Iterator[tuple[int, socket.socket]]:
    """A running sidecar: its port, and the listener its documents go to."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        onward = f"tcp://127.0.0.1:{receiver.getsockname()[1]}"
        process = subprocess.Popen(
            [
                *(*COMMAND, "--protocol", "ndjson"),
                *("--listen", f"tcp://127.0.0.1:{port}", "--send", onward),
            ]
        )
        try:
            yield port, receiver
        finally:
            process.terminate()
            process.wait()


def connected(port: int) -> socket.socket:
    """A connection, as soon as somebody listens."""
    for _ in range(1000):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens on {port}")


def ship(port: int, chunks: list[bytes], count: int) -> None:
    """Send chunks again and again."""
    with connected(port) as shipper:
        for at in range(count):
            shipper.sendall(chunks[at % len(chunks)])


def sidecar_rate(records: list[bytes], seconds: float) -> float:
    """Records a second through the sidecar."""
    chunks = [b"\n".join(records[at : at + 100]) + b"\n" for at in range(0, len(records), 100)]
    count = max(int(seconds * 400), 10)  # some 40,000 a second
    with sidecar() as (port, receiver):
        connected(port).close()
        onward, _ = receiver.accept()
        sender = multiprocessing.get_context("fork").Process(
            target=ship, args=(port, chunks, count)
        )
        with onward:
            begun = time.perf_counter()
            sender.start()
            left = count * 100
            while left:
                left -= onward.recv(1 << 20).count(b"\n")
            took = time.perf_counter() - begun
        sender.join()
    return count * 100 / took


def sidecar_rest(records: list[bytes]) -> float:
    """Milliseconds from one record to its document, nothing else under way."""
    with sidecar() as (port, receiver), connected(port) as shipper:
        onward, _ = receiver.accept()
        found = []
        with onward, onward.makefile("rb") as documents:
            for at in range(250):
                line = records[at] + b"\n"

                def there_and_back(line: bytes = line) -> None:
                    shipper.sendall(line)
                    documents.readline()

                found.append(timed(there_and_back))
                time.sleep(0.005)
    return statistics.median(found[50:])


def pipe_rate(lines: list[bytes], seconds: float) -> float:
    """Records a second through standard input and output."""
    count = max(int(seconds * 400), 10)
    chunks = [b"\n".join(lines[at : at + 100]) + b"\n" for at in range(0, len(lines), 100)]
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        begun = time.perf_counter()
        sender = multiprocessing.get_context("fork").Process(
            target=feed, args=(process.stdin, chunks, count)
        )
        sender.start()
        process.stdin.close()
        left = count * 100
        while left:
            left -= process.stdout.read(1 << 20).count(b"\n")
        took = time.perf_counter() - begun
        sender.join()
    return count * 100 / took


def feed(stream: object, chunks: list[bytes], count: int) -> None:
    """Write chunks again and again."""
    for at in range(count):
        view = memoryview(chunks[at % len(chunks)])
        while view:
            view = view[stream.write(view) :]  # type: ignore[attr-defined]


def startup(line: bytes) -> float:
    """Milliseconds from nothing to the reply to the first line."""

    def first() -> None:
        subprocess.run(COMMAND, input=line + b"\n", capture_output=True, check=True)

    return timed(first)


if __name__ == "__main__":
    main()
