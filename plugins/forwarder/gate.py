"""The gate all senders of one output pass: open, paused after a failure, or halted.

Owns how long an output waits and who tries first afterwards. While a destination is away, one
thread probes and the others wait, so an output's pauses do not depend on its concurrency. What a
reply means is decided in `delivery`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.plugins.sink import Next

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.meter import Meter

_LOG = logging.getLogger(__name__)
_LONGEST_TEXT = 500
_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses in seconds.

    Attributes:
        first: Ceiling of the first pause after a failure; it doubles with each further one.
        most: Ceiling of all later ones. A pause is random below its ceiling (full jitter).
        halted: First pause of a halted output; it doubles.
        longest: Longest pause of a halted output.
        slow: Pause after a destination that took all asked to slow down.
    """

    first: float = 1.0
    most: float = 60.0
    halted: float = 60.0
    longest: float = 300.0
    slow: float = 1.0

    def pause(self, then: Next, failures: int, jitter: float) -> float:
        """The pause after so many failures in a row.

        Args:
            then: `HALT`, or anything else for an ordinary retry.
            failures: Failures in a row, from 1.
            jitter: From 0 to 1.
        """
        doubled = 2.0 ** min(failures - 1, _DOUBLINGS)
        if then is Next.HALT:
            return min(self.longest, self.halted * doubled)
        return jitter * min(self.most, self.first * doubled)


class Gate:
    """Lets senders through; safe between threads.

    Args:
        output: The output's name, for logs and metrics.
        meter: Where the state shows: `halted`, and the texts `state` and `last_error`.
        patience: How long to wait.
        clock: Monotonic seconds.
        jitter: A random number from 0 to 1.
    """

    def __init__(
        self,
        output: str,
        meter: Meter,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Begin open."""
        self._output, self._meter = output, meter
        self._patience = patience or Patience()
        self._clock, self._jitter = clock, jitter
        self._changed = threading.Condition()
        self._failures = 0
        self._state: Next | None = None
        self._until = 0.0
        self._prober: int | None = None
        self._stopped = False
        meter.set("halted", 0, output=output)
        meter.say("state", "delivering", output=output)

    @property
    def state(self) -> Next | None:
        """`RETRY` or `HALT` while something is wrong, else None."""
        return self._state

    @property
    def wait(self) -> float:
        """Seconds until somebody may send."""
        return max(0.0, self._until - self._clock())

    def enter(self) -> bool:
        """Wait until this thread may send; False when the forwarder stops meanwhile."""
        me = threading.get_ident()
        with self._changed:
            while True:
                waiting = self._until - self._clock()
                if self._state is None and waiting <= 0:
                    return True
                if self._stopped:
                    return False
                if waiting > 0:
                    self._changed.wait(waiting)
                elif self._prober in (None, me):
                    self._prober = me
                    return True
                else:
                    self._changed.wait()

    def leave(self) -> None:
        """Let another thread probe: this one will not send after all."""
        with self._changed:
            if self._prober == threading.get_ident():
                self._prober = None
                self._changed.notify_all()

    def succeeded(self) -> None:
        """The destination takes again."""
        if self._state is None and self._failures == 0:  # the usual case needs no lock
            return
        with self._changed:
            was, self._state = self._state, None
            self._failures, self._until, self._prober = 0, 0.0, None
            self._changed.notify_all()
        if was is not None:
            _LOG.warning("output %s: delivering again", self._output)
            self._show("delivering", 0)

    def failed(
        self, then: Next, reason: str, after: float | None = None, moved: bool = False
    ) -> None:
        """The destination did not take something.

        Args:
            then: `RETRY` or `HALT`.
            reason: Why; may hold text from the wire.
            after: Seconds the destination asked to wait.
            moved: It took or refused something else: pauses begin small again.
        """
        state = Next.HALT if then is Next.HALT else Next.RETRY
        said = shown(reason)
        with self._changed:
            mine = self._prober == threading.get_ident()
            was = self._state
            if moved:
                self._failures = 0
            if was is None or mine:  # the others were under way when it broke: one outage, not many
                self._failures += 1
            if was is None or mine or state is Next.HALT:
                self._state = state
            pause = self._patience.pause(state, max(self._failures, 1), self._jitter())
            until = self._clock() + max(pause, after or 0.0)
            self._until = until if mine or was is None else max(until, self._until)
            if mine:
                self._prober = None
            changed = self._state is not was
            self._changed.notify_all()
        self._meter.say("last_error", said, output=self._output)
        if changed:
            self._announce(state, said)

    def slow(self, after: float | None) -> None:
        """The destination took all and asks to slow down."""
        with self._changed:
            asked = self._patience.slow if after is None else after
            self._until = max(self._until, self._clock() + asked)

    def stop(self) -> None:
        """Let nobody wait here any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _announce(self, state: Next, said: str) -> None:
        if state is Next.HALT:
            _LOG.error(
                "output %s: halted, everything is kept, trying again every few minutes: %s",
                self._output,
                said,
            )
            self._show("halted", 1)
        else:
            _LOG.warning("output %s: not delivering, trying again: %s", self._output, said)
            self._show("retrying", 0)

    def _show(self, state: str, halted: int) -> None:
        self._meter.set("halted", halted, output=self._output)
        self._meter.say("state", state, output=self._output)


def shown(reason: str) -> str:
    """A reason for logs and status: short, without control characters a terminal would obey."""
    short = reason[:_LONGEST_TEXT]
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in short)
