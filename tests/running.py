"""The forwarder as its user runs it: a process of its own, watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from datto_siem.plugins.forwarder.log import Log
    from datto_siem.plugins.record import Record

PATIENCE = 60.0
COMMAND = (sys.executable, "-m", "datto_siem.plugins.cli", "forward")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port nobody has at this moment."""
    with socket.socket(socket.AF_INET, kind) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def until(what: Callable[[], Any], why: str, patience: float = PATIENCE) -> Any:
    """Wait for something to become true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"in {patience:g} s: not {why}")


def drain(log: Log, count: int, output: str = "out") -> list[Record]:
    """So many records of a log, committed by an output."""
    found: list[Record] = []
    with contextlib.closing(log.reader(output)) as reader:

        def enough() -> bool:
            chunk = reader.read(1 << 18)
            if chunk is not None:
                found.extend(chunk.records)
                reader.commit(chunk.end)
            return len(found) >= count

        until(enough, f"{count} records")
    return found


class Forwarder:
    """A running `datto-siem forward`; killed at the end when it still runs.

    Args:
        folder: For its files.
        parts: The TOML of listeners and outputs; {udp} is a free port, {dir} the folder.
        env: Added to its environment.
        stdin: What stands on its standard input.
        grace: Its --grace.
        log: More of its [log].
        args: More of its arguments.
    """

    def __init__(
        self,
        folder: Path,
        parts: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        grace: float = 30.0,
        log: str = "",
        args: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.udp = free_port(socket.SOCK_DGRAM)
        self.admin = free_port()
        self.config = folder / "forward.toml"
        head = f'[log]\npath = "{folder}/log"\n{log}[admin]\naddress = "127.0.0.1:{self.admin}"\n'
        self.config.write_text(
            head + parts.replace("{udp}", str(self.udp)).replace("{dir}", str(folder))
        )
        self.out = folder / "out.ndjson"
        self._stderr = (folder / "stderr").open("ab")
        self._env = {**os.environ, **(env or {})}
        self._stdin = stdin
        self._grace, self._args = grace, args
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        given = subprocess.DEVNULL
        if self._stdin is not None:
            path = self.folder / "stdin"
            path.write_bytes(self._stdin)
            given = os.open(path, os.O_RDONLY)
        try:
            return subprocess.Popen(  # noqa: S603
                [*COMMAND, "--config", str(self.config), "--grace", str(self._grace),
                 *self._args],
                stdin=given, stdout=subprocess.DEVNULL, stderr=self._stderr, env=self._env,
            )  # fmt: skip
        finally:
            if given >= 0:
                os.close(given)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._stderr.close()

    def ready(self) -> Self:
        until(lambda: self.get("/readyz")[0] == 200, f"ready: {self.log()}")
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an answer; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.admin}{path}", timeout=5
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def status(self) -> dict[str, Any]:
        code, body = self.get("/status")
        found: dict[str, Any] = json.loads(body) if code == 200 else {}
        return found

    def pids(self) -> dict[str, int]:
        """Process ids of the parts that run."""
        processes = self.status().get("processes", [])
        return {each["name"]: each["pid"] for each in processes if each["pid"] is not None}

    def count(self, kind: str, name: str, metric: str) -> float:
        found: float = self.status().get(kind, {}).get(name, {}).get(metric, 0)
        return found

    def send(self, first: int, count: int, known: int | None = None) -> None:
        """Send records by UDP, numbered in their names, and wait until all were received."""
        before = self.count("listeners", "udp", "received_records") if known is None else known
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for number in range(first, first + count):
                out.sendto(record(number), ("127.0.0.1", self.udp))
        until(
            lambda: self.count("listeners", "udp", "received_records") >= before + count,
            "all received",
        )

    def numbers(self) -> list[int]:
        """The numbers of the records in the output file."""
        if not self.out.exists():
            return []
        lines = self.out.read_bytes().split(b"\n")[:-1]
        return [int(line.partition(b"name-")[2].partition(b"-")[0]) for line in lines]

    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def record(number: int) -> bytes:
    return (
        f"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 dvchost=name-{number}-"
    ).encode()


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "Z"
    return True
