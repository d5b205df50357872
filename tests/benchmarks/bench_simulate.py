"""Simulated lines a second on one core, and how well a rate is kept over loopback UDP.

python tests/benchmarks/bench_simulate.py [--lines 200000] [--seconds 5]
"""

# ruff: noqa: T201 - printing is what a benchmark does
from __future__ import annotations

import argparse
import socket
import sys
import time
from itertools import islice

from datto_siem.plugins.simulator import pacing
from datto_siem.plugins.simulator.oddities import CHOICES
from datto_siem.plugins.simulator.senders import Target, connect
from datto_siem.plugins.simulator.stage import Options
from datto_siem.plugins.simulator.traffic import traffic


def making(lines: int) -> None:
    """CPU time of making lines, for each choice of quirks."""
    for quirks in CHOICES:
        best = float("inf")
        for _ in range(3):
            count = lines // 10 if quirks == "all" else lines  # each of these lines is a draft
            made = islice(traffic(Options(quirks=quirks)), count)
            start = time.process_time()
            for _line in made:
                pass
            best = min(best, (time.process_time() - start) / count)
        print(f"made, quirks {quirks:5} {1 / best:10,.0f} lines/s of CPU")


def sending(rate: float, seconds: float) -> None:
    """A rate over loopback; the receiver's buffer may overflow, which does not slow the sender."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        sender = connect(Target("udp", "127.0.0.1", server.getsockname()[1]))
        lines = traffic(Options(rate=rate))
        sent, begun, used = 0, time.monotonic(), time.process_time()
        for count in pacing.batches(rate):
            sender.send([line.record for line in islice(lines, count)])
            sent += count
            if time.monotonic() - begun >= seconds:
                break
        took, cpu = time.monotonic() - begun, time.process_time() - used
        sender.close()
    off = 100 * (sent / took / rate - 1)
    print(
        f"asked {rate:9,.0f} lines/s, sent {sent / took:9,.0f} ({off:+.2f} %), CPU {cpu / took:.0%}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}")
    making(options.lines)
    for rate in (100.0, 10_000.0, 20_000.0, 50_000.0):
        sending(rate, options.seconds)


if __name__ == "__main__":
    main()
