"""Kafka as the log on this machine: one worker, two workers, and the embedded log, in one run.

    .ci/engines/kafka && python tests/benchmarks/bench_kafka.py [--rounds 3] [--write]

Broker, workers and this share the cores. Rates are records delivered in a window that begins when
every worker has delivered something and ends before the log is empty. `per CPU second` is records
by the processor time of the delivering processes: it shows what a worker costs where the cores are
taken by others too. The output is a file in memory, not packed when it is rotated: the disk belongs
to the logs, and packing would take one worker's second core. One worker and two are measured in
turns, each time from the log's beginning; the median of the rounds' ratios counts. `--write` puts
the figures into `tests/benchmarks/kafka.json`, which the sizing page shows.
"""

# ruff: noqa: T201, S603 - printing is what a benchmark does; the commands are ours
from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "engines")]

from kafka_broker import Broker  # noqa: E402  the path above
from running import free_port, gone  # noqa: E402  as above

from datto_siem.plugins.forwarder.kafka_log import KafkaLog  # noqa: E402  as above
from datto_siem.plugins.forwarder.kafka_options import Kafka  # noqa: E402  as above
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog  # noqa: E402  as above
from datto_siem.plugins.source import Arrival  # noqa: E402  as above

FIGURES = Path(__file__).with_name("kafka.json")
GROUP = 2000
PARTITIONS = 4
CLI = [sys.executable, "-m", "datto_siem.plugins.cli"]
_TICK = os.sysconf("SC_CLK_TCK")


def lines(count: int) -> list[bytes]:
    """Simulated records, repeated to the count."""
    done = subprocess.run(
        [*CLI, "simulate", "--count", "20000", "--seed", "7", "--to", "-", "--quiet"],
        capture_output=True,
        check=True,
    )
    found = done.stdout.splitlines()
    return (found * (count // len(found) + 1))[:count]


def fill(what: str, writer: Any, given: list[bytes]) -> None:
    """Append all of them, and print how fast that was."""
    now = time.time_ns() // 1_000_000
    begun, used = time.perf_counter(), time.process_time()
    for at in range(0, len(given), GROUP):
        writer.append([Arrival(raw, now, "192.0.2.1") for raw in given[at : at + GROUP]])
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    rate, cost = len(given) / seconds, len(given) / used
    print(f"append, {what}: {rate:,.0f}/s; per CPU second of this process {cost:,.0f}")


class Worker:
    """A `datto-siem forward` that delivers to a file."""

    def __init__(self, folder: Path, log: str, role: str) -> None:
        folder.mkdir(exist_ok=True)
        shm = Path("/dev/shm")  # noqa: S108  a folder with a name of its own below
        self.out = tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None)
        self.admin = free_port()
        path = folder / "forward.toml"
        path.write_text(
            f'[log]\npath = "{folder}/log"\n{log}[admin]\naddress = "127.0.0.1:{self.admin}"\n'
            f'[[listen]]\ntype = "tcp"\naddress = "127.0.0.1:{free_port()}"\n'
            f'[[output]]\nname = "file"\ntype = "file"\npath = "{self.out.name}/out"\nto = "ecs"\n'
            "gzip = false\n"
        )
        self.folder = folder
        self._errors = (folder / "err").open("w")
        self.process = subprocess.Popen(
            [*CLI, "forward", "--config", str(path), "--role", role], stderr=self._errors
        )

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    @property
    def delivered(self) -> int:
        try:
            return int(self.status()["outputs"]["file"].get("delivered_records", 0))
        except (OSError, KeyError):
            return 0

    @property
    def cpu(self) -> float:
        """Processor seconds of the delivering process."""
        (pid,) = [
            each["pid"] for each in self.status()["processes"] if each["name"] == "deliver file"
        ]
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / _TICK

    def end(self) -> None:
        parts = [each["pid"] for each in self.status()["processes"] if each["pid"] is not None]
        for pid in (self.process.pid, *parts):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while not all(map(gone, parts)):
            time.sleep(0.05)
        self.out.cleanup()
        self._errors.close()


def measure(what: str, workers: list[Worker], seconds: float, total: int) -> float:
    """Records per second of these workers together."""
    try:
        end = time.monotonic() + 120
        while not all(worker.delivered for worker in workers):
            assert time.monotonic() < end, [(each.folder / "err").read_text() for each in workers]
            time.sleep(0.2)
        time.sleep(2.0)  # counts come each second
        begun, first = time.perf_counter(), [worker.delivered for worker in workers]
        used = sum(worker.cpu for worker in workers)
        time.sleep(seconds)
        spent, last = time.perf_counter() - begun, [worker.delivered for worker in workers]
        used = sum(worker.cpu for worker in workers) - used
        assert sum(last) < total, "the log ran empty: give it more --records"
    finally:
        for worker in workers:
            worker.end()
    count = sum(last) - sum(first)
    load = os.getloadavg()[0]
    print(
        f"deliver, {what}: {count / spent:,.0f}/s; per CPU second {count / used:,.0f};"
        f" {used / spent:.2f} cores; load {load:.1f}"
    )
    return count / spent


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_700_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"into {FIGURES.name}")
    args = parser.parse_args()
    given = lines(args.records)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Broker(folder)
        stack.callback(broker.kill)
        broker.start()
        broker.create("bench", PARTITIONS)
        kafka = Kafka(servers=[broker.server], topic="bench", plaintext=True, key="none")
        writer = KafkaLog(kafka, folder / "fill", ()).writer()
        fill("Kafka", writer, given)
        writer.close()
        embedded = SqliteLog(folder / "e" / "log", max_bytes=10**11)
        with contextlib.closing(embedded), contextlib.closing(embedded.writer()) as ours:
            fill("embedded", ours, given)

        def worker(name: str, group: str) -> Worker:
            log = (
                f'type = "kafka"\n[log.kafka]\nservers = ["{broker.server}"]\ntopic = "bench"\n'
                f'plaintext = true\nkey = "none"\ngroup = "{group}"\n'
            )
            return Worker(folder / name, log, "worker")

        alone = [Worker(folder / "e", "", "both")]
        local = measure("embedded log", alone, args.seconds, args.records)
        ones, twos = [], []
        for number in range(args.rounds):
            workers = [worker(f"one-{number}", f"one-{number}")]
            ones.append(measure("Kafka, 1 worker", workers, args.seconds, args.records))
            workers = [worker(f"{each}-{number}", f"two-{number}") for each in "ab"]
            twos.append(measure("Kafka, 2 workers", workers, args.seconds, args.records))
    ratios = [two / one for one, two in zip(ones, twos, strict=True)]
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"2 workers / 1 worker: {statistics.median(ratios):.2f} ({each})")
    print(f"Kafka, 1 worker / embedded: {statistics.median(ones) / local:.2f}")
    if args.write:
        figures = {
            "embedded": round(local),
            "one_worker": round(statistics.median(ones)),
            "two_workers": round(statistics.median(twos)),
            "ratio": round(statistics.median(ratios), 2),
            "rounds": args.rounds,
        }
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
