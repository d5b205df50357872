"""rsyslog and syslog-ng from Debian as senders: lines written to a socket leave over the network.

`.ci/engines/syslog-daemons` unpacks them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine import ENGINES, needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        arguments = ["-F", "-e", "--no-caps", *_places(folder)]
        yield from _run(DAEMONS / "syslog-ng", arguments, folder)


@contextlib.contextmanager
def rsyslog_file(
    path: Path, head: str = "", state: str = "", bare: bool = False
) -> Iterator[Daemon]:
    """Run rsyslog with a configuration as it stands in a file.

    Args:
        path: The file.
        head: What the main configuration says before it includes the file.
        state: More of `global(...)`.
        bare: The file says all of `global(...)` itself.
    """
    with _folder() as folder:
        text = (
            f'include(file="{path}")\n'
            if bare
            else f'global(workDirectory="{folder}"{state})\n{head}include(file="{path}")\n'
        )
        (folder / "conf").write_text(text)
        arguments = ["-n", "-i", "NONE", "-f", folder / "conf"]
        yield from _run(DAEMONS / "rsyslogd", arguments, folder)


@contextlib.contextmanager
def syslog_ng_file(path: Path, python: tuple[Path, ...] = (), head: str = "") -> Iterator[Daemon]:
    """Run syslog-ng with a configuration as it stands in a file.

    Args:
        path: The file.
        python: Where its Python finds modules; without it syslog-ng has no Python.
        head: What the main configuration says before it includes the file.
    """
    with _folder() as folder:
        program, arguments, more = _included(folder, path, python, head)
        yield from _run(program, ["-F", "-e", "--no-caps", *arguments], folder, more)


def syslog_ng_checked(path: Path, python: tuple[Path, ...] = (), head: str = "") -> None:
    """Let syslog-ng check a configuration file; see `syslog_ng_file`.

    Raises:
        AssertionError: It has a fault; says which.
    """
    with _folder() as folder:
        program, arguments, more = _included(folder, path, python, head)
        checked(program, ["--syntax-only", *arguments], more)


def _included(
    folder: Path, path: Path, python: tuple[Path, ...], head: str
) -> tuple[Path, list[str | Path], Mapping[str, str]]:
    text = f'@version: 3.38\noptions {{ stats-freq(0); }};\n{head}@include "{path}"\n'
    (folder / "conf").write_text(text)
    program = DAEMONS / ("syslog-ng-python" if python else "syslog-ng")
    more = {"PYTHONPATH": os.pathsep.join(map(str, python))} if python else {}
    return program, _places(folder), more


def checked(
    program: Path, arguments: list[str | Path], more: Mapping[str, str] | None = None
) -> None:
    """Let a daemon check a configuration.

    Raises:
        AssertionError: It has a fault; says which.
    """
    needed(program.exists(), program.name)
    run = subprocess.run(  # noqa: S603
        [program, *arguments], capture_output=True, check=False, timeout=_PATIENCE,
        env={**os.environ, **(more or {})},
    )  # fmt: skip
    said = (run.stdout + run.stderr).decode(errors="replace")
    assert run.returncode == 0, said
    assert "rror" not in said.replace("errors: 0", ""), said


def _places(folder: Path) -> list[str | Path]:
    return [
        *("-f", folder / "conf", "-R", folder / "persist"),
        *("-c", folder / "control", "--pidfile", folder / "pid"),
    ]


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


def _run(
    program: Path,
    arguments: list[str | Path],
    folder: Path,
    more: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    needed(program.exists(), program.name)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, **(more or {})},
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
