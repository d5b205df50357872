"""Warnings that anybody on the network can cause: one of a kind in a while, with how often."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

_QUIET = 10.0  # seconds between lines of the same kind


class Seldom:
    """Logs the first of a kind at once, and those of the next seconds as a number.

    Args:
        log: Where to.
        name: The listener, at the start of each line.
        clock: Monotonic seconds.
    """

    def __init__(
        self, log: logging.Logger, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing was said yet."""
        self._log, self._name, self._clock = log, name, clock
        self._said: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str, detail: str, count: int = 1) -> None:
        """Warn of something.

        Args:
            kind: One of a few texts of our own: what happened and what to do.
            detail: The case at hand; what is not printable in it is escaped.
            count: How often it happened just now.
        """
        now = self._clock()
        last, held = self._said.get(kind, (float("-inf"), 0))
        if now - last < _QUIET:
            self._said[kind] = last, held + count
            return
        self._said[kind] = now, 0
        shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in detail[:300])
        more = f"; {held} more since the last such line" if held else ""
        self._log.warning("%s: %s: %s%s", self._name, kind, shown, more)
