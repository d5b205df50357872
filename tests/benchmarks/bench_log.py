"""The durable log: append, drain, both at once, size on disk; beside the least a disk can do.

    python tests/benchmarks/bench_log.py [--records 400000] [--folder DIR]

The floor is the same bytes written to a plain file with a sync after each batch: no index, no
offsets, no second process. Run on the disk the log is meant for (`--folder`).
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.forwarder.intake import Intake
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 330  # bytes; the mean of fixtures/sample.log with its syslog header
RECEIVED = 1_795_514_400_000


def batch(count: int) -> list[Arrival]:
    """Records from twenty senders."""
    return [Arrival(os.urandom(SIZE), RECEIVED, f"192.0.2.{n % 20}") for n in range(count)]


def timed(label: str, records: int, work: Callable[[], None]) -> None:
    """Run something over so many records and print its rate."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(f"{label:<48}{records / seconds:>12,.0f} records/s", flush=True)


def appends(append: Callable[[list[Arrival]], object], records: int, count: int) -> None:
    """Append in batches of one size, and print the slowest ones."""
    given, slow = batch(count), []
    for _ in range(records // count):
        start = time.perf_counter()
        append(given)
        slow.append(time.perf_counter() - start)
    slow.sort()
    shown = (slow[len(slow) // 2], slow[len(slow) * 99 // 100], slow[-1])
    print(
        "    a batch: p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms".format(*(1e3 * s for s in shown))
    )


def floor(folder: Path, records: int, count: int) -> None:
    """The same bytes to a plain file."""
    fd = os.open(folder / "plain", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def append(given: list[Arrival]) -> None:
        os.write(fd, columns.encode(0, given))
        os.fdatasync(fd)

    timed(
        f"plain file + fdatasync, {count} a batch", records, lambda: appends(append, records, count)
    )
    os.close(fd)
    (folder / "plain").unlink()


def drained(folder: Path, records: int) -> None:
    """Read and commit so many records; in a process of its own beside an appending one."""
    log = SqliteLog(folder)
    reader = log.reader("bench")
    seen = 0
    while seen < records:
        chunk = reader.read(1 << 20)
        if chunk is None:
            time.sleep(0.001)
            continue
        seen += len(chunk.records)
        reader.commit(chunk.end)
    reader.close()
    log.close()


def puts(intake: Intake, records: int, count: int) -> None:
    """Hand records over as a listener does, and wait until they are durable."""
    given = batch(count)
    for _ in range(records // count):
        intake.put(given)
    intake.flush(600)


def measure(folder: Path, records: int) -> None:
    """All figures."""
    for count in (1000, 100):
        floor(folder, records * count // 1000, count)
    log = SqliteLog(folder / "log", keep=0)
    writer = log.writer()
    for count in (1000, 100):
        some = records * count // 1000
        work = partial(appends, writer.append, some, count)
        timed(f"log: append, {count} a batch", some, work)
    nbytes, kept = log.size()
    print(f"    {kept:,} records take {nbytes / kept:.0f} bytes each, {SIZE} of them their own")
    timed(
        "log: read 1 MiB and commit, again and again", kept, lambda: drained(folder / "log", kept)
    )
    start = time.perf_counter()
    log.sweep(["bench"])
    print(f"    {nbytes - log.size()[0]:,} bytes given back in {time.perf_counter() - start:.3f} s")
    beside = multiprocessing.get_context("spawn").Process(
        target=drained, args=(folder / "log", records)
    )
    beside.start()

    def both() -> None:
        appends(writer.append, records, 1000)
        beside.join()

    timed("log: append while another process drains it all", records, both)
    meter = Meter()
    intake = Intake(writer, meter)
    for count in (1, 50):
        work = partial(puts, intake, records, count)
        timed(f"intake: put {count} at a time until durable", records, work)
    intake.close()
    print(f"    {meter.get('durable_records') / meter.get('log_commits'):,.0f} records a commit")
    writer.close()
    log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measure(Path(folder), given.records)


if __name__ == "__main__":
    main()
