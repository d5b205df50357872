"""rsyslog and syslog-ng from Debian as senders: lines written to a socket leave over the network.

`.ci/engines/syslog-daemons` unpacks them.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine import ENGINES, needed

if TYPE_CHECKING:
    from collections.abc import Iterator

DAEMONS = ENGINES / "syslog-daemons"
_PATIENCE = 60.0

RSYSLOG = """
global(workDirectory="{folder}" {globals})
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/in" RateLimit.Interval="0" UseSpecialParser="off"
  ParseHostname="on")
template(name="raw" type="string" string="%rawmsg%")
{action}
"""
SYSLOG_NG = """@version: 3.38
options {{ keep-hostname(yes); stats-freq(0); }};
source s {{ unix-dgram("{folder}/in" flags(no-parse)); }};
destination d {{ {action} }};
log {{ source(s); destination(d); }};
"""


class Daemon:
    """A running daemon, and the socket into it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def log(self, lines: list[bytes]) -> None:
        """Hand it lines, as local programs do."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
            end = time.monotonic() + _PATIENCE
            while True:
                try:
                    local.connect(str(self._folder / "in"))
                    break
                except OSError:
                    assert self._process.poll() is None, self.said()
                    assert time.monotonic() < end, self.said()
                    time.sleep(0.02)
            for line in lines:
                local.send(line)

    def said(self) -> str:
        """What it wrote about itself."""
        return (self._folder / "said").read_text(errors="replace")


@contextlib.contextmanager
def rsyslog(action: str, settings: str = "") -> Iterator[Daemon]:
    """Run rsyslog.

    Args:
        action: Where lines go: an `action(...)`.
        settings: More of `global(...)`.
    """
    with _folder() as folder:
        text = RSYSLOG.format(folder=folder, action=action, globals=settings)
        (folder / "conf").write_text(text)
        arguments = ["-n", "-i", "NONE", "-f", folder / "conf"]
        yield from _run(DAEMONS / "rsyslogd", arguments, folder)


@contextlib.contextmanager
def syslog_ng(action: str) -> Iterator[Daemon]:
    """Run syslog-ng.

    Args:
        action: Where lines go: the inside of a `destination`.
    """
    with _folder() as folder:
        (folder / "conf").write_text(SYSLOG_NG.format(folder=folder, action=action))
        arguments = [
            *("-F", "-e", "--no-caps", "-f", folder / "conf", "-R", folder / "persist"),
            *("-c", folder / "control", "--pidfile", folder / "pid"),
        ]
        yield from _run(DAEMONS / "syslog-ng", arguments, folder)


def logger(*arguments: str) -> None:
    """Run `logger`."""
    needed((DAEMONS / "logger").exists(), "logger")
    subprocess.run([DAEMONS / "logger", *arguments], check=True, timeout=_PATIENCE)  # noqa: S603


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="syslog-"))  # pytest's are too long for a socket's name
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(program: Path, arguments: list[str | Path], folder: Path) -> Iterator[Daemon]:
    needed(program.exists(), program.name)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield Daemon(process, folder)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
