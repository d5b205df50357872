"""Records a second through the pump of one output, converting, into a destination that takes all.

    python tests/benchmarks/bench_pump.py [--lines 200000] [--rounds 3] [--concurrency 1]

One process, a log in memory: what is measured is converting and the pump. `convert` is the same
conversion in a bare loop, so the difference is what the pump costs a record; `bare` is the pump
with items that cost nothing. CPU seconds of the process, best round of each. `fsync` is the file
sink, by the clock on the wall. Then the memory an output that is down takes.
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # the fakes lie beside this folder
from fakes.memory_log import MemoryLog
from fakes.scripted_sink import ScriptedSink
from ordinary_lines import ordinary

from datto_siem.converters import Converter
from datto_siem.plugins.forwarder.batches import Limits
from datto_siem.plugins.forwarder.dead_letters import DeadLetters
from datto_siem.plugins.forwarder.gate import Patience
from datto_siem.plugins.forwarder.pump import Pace, Pump
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sink import Batching, Context, Item, Next, whole
from datto_siem.plugins.sinks import file

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Sink

RECEIVED = 1_795_514_400_000
TARGETS = ("ecs", "cim", "ocsf", "cef")


def filled(count: int) -> MemoryLog:
    """A log of realistic records."""
    made = MemoryLog()
    raws = ordinary(min(count, 50_000))
    for at in range(0, count, len(raws)):
        made.append(raws[: count - at], RECEIVED + at)
    return made


def into(sink: Sink, log: MemoryLog, concurrency: int, folder: Path) -> tuple[float, float]:
    """CPU seconds, and seconds on the wall, until everything is committed."""
    reader = log.reader(f"{time.monotonic_ns()}")
    letters = DeadLetters(folder, "bench", time.time)
    pace = Pace(concurrency=concurrency, limits=Limits(age=0.01))
    pump = Pump("bench", reader, sink, letters, Meter(), pace)
    thread = threading.Thread(target=pump.run)
    begun, cpu = time.perf_counter(), time.process_time()
    thread.start()
    while log.offsets[reader.output] < log.end:
        time.sleep(0.01)
    elapsed = time.process_time() - cpu, time.perf_counter() - begun
    pump.stop()
    thread.join()
    return elapsed


def converting(target: str) -> tuple[ScriptedSink, Callable[[Record], Item]]:
    """A sink that converts and takes all."""
    encode = Converter(target).encode

    def item(record: Record) -> Item:
        peer = record.peer or None
        return Item(encode(record.raw, record.received, peer, ordinal=record.offset))

    return null(item), item


def null(item: Callable[[Record], Item]) -> ScriptedSink:
    """A sink that keeps nothing."""
    sink = ScriptedSink(batching=Batching(count=1000, nbytes=5_000_000, age=1.0, each=1))
    sink.made = item
    sink.item = item  # type: ignore[method-assign]  # one call less
    sink.send = lambda items: whole(0, Next.RETRY, "")  # type: ignore[method-assign]  # all taken
    return sink


def bare(log: MemoryLog, item: Callable[[Record], Item]) -> float:
    """CPU seconds of the conversion alone."""
    begun = time.process_time()
    for record in log.records:
        item(record)
    return time.process_time() - begun


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=1)
    args = parser.parse_args()
    log = filled(args.lines)
    gc.freeze()
    gc.set_threshold(50_000)
    print(f"{'':10}{'convert/s':>12}{'pump/s':>12}{'pump costs':>14}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        constant = Item(b"x" * 300)
        free = null(lambda record: constant)
        elapsed = min(into(free, log, args.concurrency, folder)[0] for _ in range(args.rounds))
        cost = elapsed / args.lines * 1e6
        print(f"{'bare':10}{'':12}{args.lines / elapsed:12,.0f}{cost:11.2f} us")
        for target in TARGETS:
            sink, item = converting(target)
            loops, pumps = [], []
            for _ in range(args.rounds):
                loops.append(bare(log, item))
                pumps.append(into(sink, log, args.concurrency, folder)[0])
            loop, pump = args.lines / min(loops), args.lines / min(pumps)
            cost = (min(pumps) - min(loops)) / args.lines * 1e6
            print(f"{target:10}{loop:12,.0f}{pump:12,.0f}{cost:11.2f} us")
        for target in ("raw", "ecs"):
            given = {"path": str(folder / "out.ndjson"), "to": target, "keep": 2, "gzip": False}
            to_file = file.connect(build(file.Config, given), Context("bench", folder))
            elapsed = into(to_file, log, args.concurrency, folder)[1]
            to_file.close()
            print(f"{target + ' fsync':10}{'':12}{args.lines / elapsed:12,.0f}")
        waiting(log, folder)
    return 0


def waiting(log: MemoryLog, folder: Path) -> None:
    """Memory an output that is down takes on top of the log in memory."""
    sink, _ = converting("ecs")
    sink.send = lambda items: whole(len(items), Next.RETRY, "away")  # type: ignore[method-assign]  # down
    before = _resident()
    pace = Pace(concurrency=4, patience=Patience(first=3600, most=3600))
    letters = DeadLetters(folder, "bench", time.time)
    pump = Pump("bench", log.reader("down"), sink, letters, Meter(), pace)
    thread = threading.Thread(target=pump.run)
    thread.start()
    time.sleep(3)
    grown = _resident() - before
    pump.stop()
    thread.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"output down, {len(log.records):,} records waiting: {grown} MiB more (peak {peak} MiB)")


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    sys.exit(main())
