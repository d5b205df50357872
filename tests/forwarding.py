"""A forwarder under test: started as a process, asked over its admin port, ended for sure."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT = 60.0


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def eventually(what: Callable[[], Any], seconds: float = WAIT) -> Any:
    """What a call gives once it is true."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            found = what()
            if found:
                return found
        assert time.monotonic() < end, f"still not after {seconds:g} s"
        time.sleep(0.05)


class Forwarder:
    """One configuration and the process that runs it.

    Args:
        folder: For the log, the configuration and standard error.
        listen: Options of listeners.
        outputs: Options of outputs, as TOML.
        log: More options of the log.
        env: Secrets.
    """

    def __init__(self, folder: Path, listen: str, outputs: str, log: str = "", **env: str) -> None:
        self.admin = free_port()
        self.folder = folder
        self.path = folder / "forward.toml"
        self.path.write_text(
            f'[log]\npath = "{folder}/log"\n{log}\n'
            f'[admin]\naddress = "127.0.0.1:{self.admin}"\n{listen}\n{outputs}\n'
        )
        self.env = {**os.environ, **env}
        self.errors = folder / "stderr"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *args: str, **rest: Any) -> None:
        """Start it; returns when it is ready."""
        command = [sys.executable, "-m", "datto_siem.plugins.cli", "forward", "--config"]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: S603  our own command
                [*command, str(self.path), *args], env=self.env, stderr=errors, **rest
            )
        eventually(self.ready)

    def ready(self) -> bool:
        """Whether all parts run; a start that failed fails the test."""
        assert self.process is not None
        code = self.process.poll()
        assert code is None, self.errors.read_text()[-2000:]
        found: bool = self.status()["ready"]
        return found

    def status(self) -> dict[str, Any]:
        """What `/status` tells."""
        url = f"http://127.0.0.1:{self.admin}/status"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(WAIT)
        self.process = None
        return code

    def delivered(self, output: str) -> float:
        """How many records an output has delivered since the start."""
        found: float = self.status()["outputs"].get(output, {}).get("delivered_records", 0)
        return found


@contextlib.contextmanager
def ended(forwarder: Forwarder) -> Iterator[Forwarder]:
    """Kill what is left of it at the end."""
    try:
        yield forwarder
    finally:
        if forwarder.process is not None:
            forwarder.process.kill()
            forwarder.process.wait(WAIT)
