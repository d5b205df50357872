"""What the log keeps: its cap, its ages, its policy when it is full.

Space is given back a segment at a time, always the oldest one; the current one is closed first
when it is old itself or the only one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.log import LogFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.forwarder.log import Policy
    from datto_siem.plugins.forwarder.segment import Segment
    from datto_siem.plugins.forwarder.segments import Segments

_LOG = logging.getLogger(__name__)
_OVERHEAD = 256 * 1024  # pages of tables, a side file, the next segment's beginning
_EIGHTH = 8  # segments are closed after such a part of the shortest age: ages hold this exactly
_AHEAD = 60_000  # milliseconds; a record later than that was stamped by a clock that was wrong


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration says."""

    max_bytes: int
    max_age: float
    keep: float
    policy: Policy


class Retention:
    """Keeps a log within its limits; all methods are called under the directory's lock."""

    def __init__(self, segments: Segments, limits: Limits, clock: Callable[[], float]) -> None:
        """Keep those limits for that log."""
        self._segments = segments
        self._directory = segments.directory
        self._offsets = segments.offsets
        self._limits = limits
        self._clock = clock
        self._newest: dict[int, int | None] = {}

    def make_room(self, nbytes: int, policy: Policy, segment: Segment, end: int) -> int:
        """See to it that so many bytes more fit.

        Args:
            nbytes: What is to be appended.
            policy: Whether undelivered records may go for it.
            segment: The current segment.
            end: Where it ends.

        Returns:
            Undelivered records dropped. When the current segment was closed, the directory's
            sequence says so.

        Raises:
            LogFull: They do not fit.
        """
        needed = 2 * nbytes + self._segments.checkpoint + _OVERHEAD
        current, dropped = segment.first, 0
        if self._directory.size(current) + needed <= self._limits.max_bytes:
            return 0
        while self._directory.size() + needed > self._limits.max_bytes:
            if self._directory.remove_aside():
                continue
            firsts = self._directory.segments()
            oldest_end = firsts[1] if len(firsts) > 1 else end
            if oldest_end > self._offsets.settled() and policy != "drop-oldest":
                raise LogFull(self._full())
            if len(firsts) == 1:
                if current == end or firsts[0] != current:
                    raise LogFull(self._full())
                self._segments.roll(segment, end)
            dropped += self._drop(firsts[0], oldest_end, "full")
        return dropped

    def sweep(self) -> dict[str, int]:
        """Drop what is settled or too old; returns undelivered records dropped by reason."""
        dropped: dict[str, int] = {}
        self._close_old()
        firsts = self._directory.segments()
        self._newest = {first: self._newest[first] for first in firsts if first in self._newest}
        for first, end in pairwise(firsts):
            reason = self._reason(first, end)
            if reason is None:
                break
            if count := self._drop(first, end, reason):
                dropped[reason] = dropped.get(reason, 0) + count
        self._give_back_settled()
        return dropped

    def _reason(self, first: int, end: int) -> str | None:
        """Why a closed segment may go now; None when it may not."""
        if first not in self._newest:
            span = self._segments.visit(first, lambda segment: segment.span())
            self._newest[first] = span[1] if span else None
        newest = self._newest[first]
        settled = end <= self._offsets.settled()
        if newest is None:
            return "damaged"
        if settled and self._unkept(newest):
            return "settled"
        return "age" if self._clock() * 1000 - newest > self._limits.max_age * 1000 else None

    def _unkept(self, newest: int) -> bool:
        """Whether settled records are no longer kept for replay."""
        age = self._clock() * 1000 - newest
        return max(age, 0) >= self._limits.keep * 1000 or age < -_AHEAD

    def _close_old(self) -> None:
        """Begin a new segment when the current one is old, so that it can go in time."""
        segment, end = self._segments.current(None)
        try:
            span = segment.span()
            ages = [age for age in (self._limits.max_age, self._limits.keep) if age > 0]
            longest = min(ages, default=0) / _EIGHTH * 1000
            old = span is not None and self._clock() * 1000 - span[0] > longest
            done = span is not None and self._unkept(span[1]) and end <= self._offsets.settled()
            if old or done:
                self._segments.roll(segment, end)
        finally:
            segment.close()

    def _give_back_settled(self) -> None:
        """Within the cap, settled records go first."""
        while self._directory.size() > self._limits.max_bytes:
            firsts = self._directory.segments()
            if self._directory.remove_aside():
                continue
            if len(firsts) < 2 or firsts[1] > self._offsets.settled():
                return
            self._drop(firsts[0], firsts[1], "settled")

    def _drop(self, first: int, end: int, reason: str) -> int:
        """Remove the oldest segment; returns how many of its records were undelivered."""
        begin = max(first, self._offsets.settled())
        count = max(0, end - begin - self._offsets.lost(begin, end)) if begin < end else 0
        self._offsets.raise_floor(end)
        self._directory.remove(first)
        if count:
            _LOG.warning(
                "%d records that were not delivered everywhere were dropped (%s); "
                "see log.max_bytes, log.max_age and the outputs' lag",
                *(count, reason),
            )
        return count

    def _full(self) -> str:
        """What to say when nothing more fits."""
        return (
            f"the log has reached log.max_bytes ({self._limits.max_bytes} bytes) and outputs are "
            "behind; mend the output that lags, or raise log.max_bytes"
        )
