"""Datagrams lost on this machine: our UDP listener with its log, rsyslog and syslog-ng to a file.

    python tests/benchmarks/bench_udp.py [--seconds 10] [--rates 10000 20000] [--burst 50000]

Each receiver gets the same paced datagrams from one sender process, and the same kernel buffer.
Ours makes records durable (SQLite, synchronous, every 20 ms); the others write a file and do not
sync it. `lost` is what was sent and is neither in the log nor in the file. `told` is what our
listener counted as dropped by the kernel. CPU is the receiver's alone, per datagram sent. A burst
is sent as fast as the sender can. Daemons are those of `.ci/engines/syslog-daemons`.
"""

# ruff: noqa: T201, S603 - a benchmark prints and runs programs
from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # these lie beside this folder
from engine import ENGINES
from ordinary_lines import ordinary

from datto_siem.plugins.forwarder.intake import Intake
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import Size
from datto_siem.plugins.sources import udp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUFFER = 4 * 1024 * 1024
DAEMONS = ENGINES / "syslog-daemons"
TICK = 0.001
RSYSLOG = """
global(workDirectory="{folder}")
module(load="imudp")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="all") {{ action(type="omfile" file="{folder}/out" template="raw") }}
input(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="{buffer}" ruleset="all")
"""
SYSLOG_NG = """@version: 3.38
options {{ stats-freq(0); }};
source s {{ network(ip("127.0.0.1") port({port}) transport(udp) so-rcvbuf({buffer})
  flags(no-parse)); }};
destination d {{ file("{folder}/out" template("$MSG\\n")); }};
log {{ source(s); destination(d); }};
"""


class Receiver:
    """A receiving process.

    Attributes:
        name: For the table.
        port: Where it listens.
    """

    def __init__(self, name: str, port: int, command: list[str], folder: Path) -> None:
        self.name, self.port, self._folder = name, port, folder
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said)

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kept(self) -> int:
        """Records it has kept so far."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            if self.name == "datto-siem":
                return int(json.loads((self._folder / "counts").read_text())["kept"])
            with (self._folder / "out").open("rb") as out:
                return sum(piece.count(b"\n") for piece in iter(lambda: out.read(1 << 20), b""))
        return 0

    def told(self) -> str:
        """What it says that the kernel dropped."""
        if self.name != "datto-siem":
            return ""
        return str(json.loads((self._folder / "counts").read_text())["drops"])

    def settle(self) -> int:
        """Wait until it keeps nothing more; how much it has."""
        seen = -1
        while seen != (now := self.kept()):
            seen = now
            time.sleep(1.5)
        return seen

    def wait(self) -> None:
        """Wait until it keeps what it gets."""
        end = time.monotonic() + 30
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not self.kept():
                if self._process.poll() is not None or time.monotonic() > end:
                    sys.exit((self._folder / "said").read_text())
                sender.sendto(b"<134>CEF:0|a|b|1|2|c|3|", ("127.0.0.1", self.port))
                time.sleep(0.2)

    def end(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def ours(port: int, folder: Path) -> None:
    """The receiving process of the forwarder, with a file of its counts."""
    meter = Meter()
    log = SqliteLog(folder / "log")
    writer = log.writer()
    intake = Intake(writer, meter, policy="refuse-newest")
    config = udp.Config(f"127.0.0.1:{port}", receive_buffer=Size(BUFFER))
    listener = udp.open_listener(config, intake, meter, "udp")
    signal.signal(signal.SIGTERM, lambda *_: listener.stop())
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(0.2):
            counts = {
                "kept": meter.get("durable_records"),
                "drops": round(meter.get("kernel_drops", listener="udp")),
            }
            fresh = folder / "counts.new"
            fresh.write_text(json.dumps(counts))
            fresh.rename(folder / "counts")

    showing = threading.Thread(target=show)
    showing.start()
    listener.run()
    ended.set()
    showing.join()
    intake.close()
    writer.close()
    log.close()


def send(port: int, rate: int, count: int) -> None:
    """Send so many datagrams at a pace; 0 is as fast as can be. Prints the seconds it took."""
    lines = ordinary(10_000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        begun = time.perf_counter()
        sent = 0
        while sent < count:
            due = count if not rate else min(count, int((time.perf_counter() - begun) * rate) + 1)
            for number in range(sent, due):
                sender.send(lines[number % len(lines)])
            sent = due
            if rate:
                time.sleep(TICK)
        print(time.perf_counter() - begun)


def free_port() -> int:
    """A port nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def receivers() -> Iterator[list[Callable[[], Receiver]]]:
    """How to start each of them, with a directory of its own."""
    with contextlib.ExitStack() as stack:

        def folder() -> Path:
            made = tempfile.TemporaryDirectory(prefix="udp-", ignore_cleanup_errors=True)
            return Path(stack.enter_context(made))

        def datto() -> Receiver:
            at, port = folder(), free_port()
            command = [sys.executable, __file__, "--ours", str(port), str(at)]
            return Receiver("datto-siem", port, command, at)

        def rsyslog() -> Receiver:
            at, port = folder(), free_port()
            (at / "conf").write_text(RSYSLOG.format(folder=at, port=port, buffer=BUFFER))
            command = [str(DAEMONS / "rsyslogd"), "-n", "-i", "NONE", "-f", str(at / "conf")]
            return Receiver("rsyslog", port, command, at)

        def syslog_ng() -> Receiver:
            at, port = folder(), free_port()
            (at / "conf").write_text(SYSLOG_NG.format(folder=at, port=port, buffer=BUFFER))
            files = ["-f", f"{at}/conf", "-R", f"{at}/persist", "-c", f"{at}/control"]
            command = [str(DAEMONS / "syslog-ng"), "-F", "--no-caps", *files]
            return Receiver("syslog-ng", port, [*command, "--pidfile", f"{at}/pid"], at)

        if not DAEMONS.exists():
            print("only ours: run .ci/engines/syslog-daemons to have the others beside it")
        yield [datto, rsyslog, syslog_ng] if DAEMONS.exists() else [datto]


def measure(start: Callable[[], Receiver], rate: int, count: int) -> None:
    """One row of the table."""
    receiver = start()
    try:
        receiver.wait()
        before, cpu = receiver.settle(), receiver.cpu()
        command = [sys.executable, __file__, "--send", str(receiver.port), str(rate), str(count)]
        seconds = float(subprocess.run(command, check=True, capture_output=True).stdout)
        kept = receiver.settle() - before
        spent = (receiver.cpu() - cpu) / count * 1e6
        lost = count - kept
        print(
            f"{receiver.name:<12}{rate or 'burst':>8}{count / seconds:>10,.0f}{count:>10,}"
            f"{lost:>9,}{lost / count:>8.2%}{receiver.told():>8}{spent:>9.1f}",
            flush=True,
        )
    finally:
        receiver.end()


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate")
    parser.add_argument("--rates", type=int, nargs="*", default=[10_000, 20_000, 30_000, 50_000])
    parser.add_argument("--burst", type=int, default=50_000, help="datagrams of the burst; 0: none")
    parser.add_argument("--send", nargs=3, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ours", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.send:
        send(*args.send)
        return
    if args.ours:
        ours(int(args.ours[0]), Path(args.ours[1]))
        return
    print(f"kernel buffer {BUFFER:,} bytes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("receiver      rate/s    sent/s      sent     lost            told  us each")
    with receivers() as starts:
        for rate in args.rates:
            for start in starts:
                measure(start, rate, int(rate * args.seconds))
        for start in starts if args.burst else []:
            measure(start, 0, args.burst)


if __name__ == "__main__":
    main()
