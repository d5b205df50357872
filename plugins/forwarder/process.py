"""One child process as its supervisor sees it: started, heard, ordered, restarted with pauses."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from datto_siem.plugins.forwarder.totals import Totals

_LOG = logging.getLogger(__name__)
_FIRST, _LAST = 0.5, 30.0
_SETTLED = 10.0  # seconds after which a process counts as started for good
_SAFE = ("-P",) if sys.version_info >= (3, 11) else ()  # take no module from the working directory


class Process:
    """A child process.

    Args:
        role: `receive` or `deliver`.
        name: What it works on.
        path: The configuration.
        totals: Where its counts go.
        stdin: Whether it reads our standard input.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        role: str,
        name: str,
        path: Path,
        totals: Totals,
        stdin: bool = False,
        number: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is started yet."""
        self.role, self.name = role, name
        self.title = f"{role} {name}" if number == 1 else f"{role} {name} #{number}"
        self._path, self._totals, self._clock = path, totals, clock
        self._stdin = None if stdin else subprocess.DEVNULL
        self._child: subprocess.Popen[bytes] | None = None
        self._orders = -1
        self._hearing: threading.Thread | None = None
        self._pause = 0.0
        self._due = 0.0
        self._begun = 0.0
        self._stopping = False
        self.heard: dict[str, Any] | None = None
        self.restarts = 0
        self.fault = ""
        self.done = False

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._child is None else self._child.pid

    @property
    def ready(self) -> bool:
        """Whether it runs and has told of itself since its start."""
        return self.done or (self._child is not None and self.heard is not None)

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, *_SAFE, "-m", "datto_siem.plugins.forwarder.child"]
        theirs, self._orders = os.pipe()
        try:
            self._child = subprocess.Popen(  # noqa: S603  ourselves, and names that were validated
                [*command, self.role, self.name, str(self._path), str(theirs)],
                stdin=self._stdin,
                stdout=subprocess.PIPE,
                pass_fds=(theirs,),
            )
        except OSError:
            self._hang_up()
            raise
        finally:
            os.close(theirs)
        self._begun = self._clock()
        self.heard = None
        self._hearing = threading.Thread(target=self._hear, args=(self._child,))
        self._hearing.start()

    def tend(self) -> None:
        """Start it again when it has died and its pause is over."""
        if self._child is not None and self._child.poll() is not None:
            self._reap()
        idle = self._child is None and not self.done and not self._stopping
        if idle and self._clock() >= self._due:
            self.start()

    def order(self, text: str) -> None:
        """Send an order; a child that just died gets none."""
        if self._child is None:
            return
        try:
            os.write(self._orders, f"{text}\n".encode())
        except OSError:
            return

    def stop(self, grace: float) -> None:
        """Order it to end; `wait` sees it through."""
        self._stopping = True
        self.order(f"stop {grace}")

    def restart(self) -> None:
        """Order it to end and let `tend` start a new one."""
        self._due = 0.0
        self._pause = 0.0
        self.order("stop 10")

    def wait(self, until: float) -> bool:
        """Wait for its end until a time; then kill it. Whether it ended by itself."""
        child = self._child
        if child is None:
            return True
        try:
            child.wait(max(0.0, until - self._clock()))
            by_itself = True
        except subprocess.TimeoutExpired:
            _LOG.warning("%s does not end: killed", self.title)
            child.kill()
            child.wait()
            by_itself = False
        self._reap()
        return by_itself

    def _reap(self) -> None:
        """Take leave of a child that ended."""
        child = self._child
        if child is None:
            return
        code = child.wait()
        if self._hearing is not None:
            self._hearing.join()
        if child.stdout is not None:
            child.stdout.close()
        self._hang_up()
        self._totals.ended(self.title)
        self._child = None
        lived = self._clock() - self._begun
        if code == 0 and (self._stopping or self.role == "receive"):
            self.done = True
        elif not self._stopping:
            self._pause = _FIRST if lived > _SETTLED else min(max(self._pause * 2, _FIRST), _LAST)
            if code == 0:
                self._pause = 0.0
            else:
                self.restarts += 1
                _LOG.error("%s ended with %d: starting again in %gs", self.title, code, self._pause)
            self._due = self._clock() + self._pause

    def _hang_up(self) -> None:
        """Close our end of its orders."""
        os.close(self._orders)
        self._orders = -1

    def _hear(self, child: subprocess.Popen[bytes]) -> None:
        """Take in what it tells until it ends."""
        if child.stdout is None:
            return
        for line in child.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                _LOG.warning("%s told something that is no report", self.title)
                continue
            self.fault = told.get("fault", "")
            if not self.fault:
                self.heard = told
            self._totals.take(self.title, told)
