"""The intake of a receiving process: listeners' threads put, one thread commits in groups.

Owns the memory for records that are not durable yet and what happens when it is used up. The log's
policy when the disk is full is the writer's; open one intake with its own writer for each policy.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.forwarder.log import LogAway, LogFull, Policy
from datto_siem.plugins.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datto_siem.plugins.forwarder.log import Writer
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Arrival, Mark

_LOG = logging.getLogger(__name__)
_INTERVAL = 0.020
_GROUP = 1024 * 1024
_BOUND = 64 * 1024 * 1024
_OBJECTS = 200  # bytes a record's objects take beside its own
_RETRY = 0.1


class Closed(RuntimeError):
    """Records were put after `close`, or the commit thread has failed."""


class _Put(NamedTuple):
    arrivals: Sequence[Arrival]
    mark: Mark | None
    nbytes: int
    number: int


class Intake:
    """A `source.Intake`: bounded memory before the log."""

    def __init__(
        self,
        writer: Writer,
        meter: Meter,
        *,
        policy: Policy = "block",
        interval: float = _INTERVAL,
        group: int = _GROUP,
        bound: int = _BOUND,
        retry: float = _RETRY,
    ) -> None:
        """Start the commit thread.

        Args:
            writer: Where records become durable; stays the caller's to close.
            meter: What happens is counted there.
            policy: What happens when the log or the memory is full.
            interval: Seconds records wait for company; with 0, `put` returns when they are durable.
            group: Bytes that are committed without waiting any longer.
            bound: Bytes of memory for records that are not durable yet.
            retry: Seconds between attempts when the log refuses.
        """
        self._writer = writer
        self._meter = meter
        self._policy = policy
        self._interval = interval
        self._group = group
        self._bound = bound
        self._retry = retry
        self._pending: deque[_Put] = deque()
        self._nbytes = 0
        self._number = 0
        self._durable = 0
        self._stuck: str | None = None
        self._closing = False
        self._abandoned = False
        self._over = False
        self._failure: BaseException | None = None
        self._seldom = Seldom(_LOG, "log")
        lock = threading.Lock()
        self._arrived = threading.Condition(lock)
        self._moved = threading.Condition(lock)
        self._thread = threading.Thread(target=self._run, name="log-commit", daemon=True)
        self._thread.start()

    def put(self, arrivals: Sequence[Arrival], mark: Mark | None = None) -> None:
        """Hand over records; see `source.Intake`.

        Raises:
            Closed: The intake was closed, or its thread has failed.
        """
        nbytes = sum([len(arrival[0]) for arrival in arrivals]) + _OBJECTS * len(arrivals)
        with self._arrived:
            if self._closing or self._failure:
                raise Closed("the intake is closed") from self._failure
            if self._nbytes + nbytes > self._bound and not self._admit(nbytes, len(arrivals), mark):
                return
            before, self._nbytes = self._nbytes, self._nbytes + nbytes
            self._number += 1
            number = self._number
            self._pending.append(_Put(arrivals, mark, nbytes, number))
            if not before or before < self._group <= self._nbytes:
                self._arrived.notify()
            if not self._interval:
                self._moved.wait_for(lambda: self._durable >= number or self._over)

    def pressed(self) -> bool:
        """Whether the log refuses, or half of the memory is used up."""
        return self._stuck is not None or self._nbytes > self._bound // 2

    def relieved(self, timeout: float) -> bool:
        """Wait until `pressed` is over; whether it is."""
        with self._moved:
            return self._moved.wait_for(lambda: not self.pressed(), timeout)

    def flush(self, timeout: float) -> bool:
        """Wait until everything put is durable; whether it is."""
        with self._moved:
            number = self._number
            self._moved.wait_for(lambda: self._durable >= number or self._over, timeout)
            return self._durable >= number

    def mark(self, source: str) -> str | None:
        """The last durable position of a source."""
        return self._writer.mark(source)

    def close(self, timeout: float = 30.0) -> bool:
        """Make everything durable and end; what the log does not take in time is counted as lost.

        Returns:
            Whether everything put is durable.
        """
        with self._arrived:
            self._closing = True
            self._arrived.notify_all()
            self._moved.notify_all()
        self._thread.join(timeout)
        with self._arrived:
            self._abandoned = True
            self._arrived.notify_all()
        self._thread.join()
        with self._arrived:
            left, self._nbytes = list(self._pending), 0
            self._pending.clear()
        self._only_marked(left, self._stuck or "closed")
        return not left and self._failure is None

    def _admit(self, nbytes: int, count: int, mark: Mark | None) -> bool:
        """Make room in memory by the policy, under the lock; False when the records are lost."""
        if mark is None and self._policy == "refuse-newest":
            self._lose(count, self._stuck or "overrun")
            return False
        if mark is None and self._policy == "drop-oldest":
            self._shed(nbytes)
            return True
        self._moved.wait_for(
            # One that is larger than all of the memory goes in alone.
            lambda: (
                self._nbytes + nbytes <= self._bound
                or not self._nbytes
                or self._closing
                or self._over
            )
        )
        if self._closing or self._failure:
            raise Closed("the intake was closed while records waited") from self._failure
        return True

    def _shed(self, nbytes: int) -> None:
        """Lose the oldest records in memory that no source could give again."""
        kept: deque[_Put] = deque()
        count = 0
        while self._pending and self._nbytes + nbytes > self._bound:
            oldest = self._pending.popleft()
            if oldest.mark is not None:
                kept.append(oldest)
                continue
            self._nbytes -= oldest.nbytes
            count += len(oldest.arrivals)
        self._pending.extendleft(reversed(kept))
        self._lose(count, self._stuck or "overrun")

    def _run(self) -> None:
        """Commit until closed."""
        try:
            while not (self._abandoned and self._stuck) and (group := self._next()):
                self._commit(group)
        except BaseException as error:
            _LOG.critical("The log's commit thread has failed", exc_info=True)
            with self._arrived:
                self._failure = error
        finally:
            with self._arrived:
                self._over = True
                self._moved.notify_all()

    def _next(self) -> list[_Put]:
        """The next group; empty when the intake is closed and everything is durable."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._pending or self._closing)
            if self._interval and self._nbytes < self._group:
                self._arrived.wait_for(
                    lambda: self._nbytes >= self._group or self._closing, self._interval
                )
            group, nbytes = [], 0
            while self._pending and nbytes < self._group:
                group.append(self._pending.popleft())
                nbytes += group[-1].nbytes
            return group

    def _commit(self, group: list[_Put]) -> None:
        """Make a group durable, however long it takes, or lose it by the policy."""
        last = group[-1].number
        nbytes = sum(each.nbytes for each in group)
        while group and not self._append(group):
            if self._stuck == "full" and self._policy != "block":
                group = self._only_marked(group, "full")
            if group and self._wait():
                break
        with self._arrived:
            if self._abandoned and group and self._stuck:
                self._pending.extendleft(reversed(group))
                return
            self._stuck = None
            self._nbytes -= nbytes
            self._durable = last
            self._moved.notify_all()

    def _append(self, group: list[_Put]) -> bool:
        """Try to make a group durable; whether it is."""
        arrivals = [arrival for each in group for arrival in each.arrivals]
        marks = list({each.mark.source: each.mark for each in group if each.mark}.values())
        try:
            dropped = self._writer.append(arrivals, marks)
        except LogFull as error:
            self._refused("full", error)
            return False
        except LogAway as error:
            self._refused("away", error)
            return False
        except OSError as error:
            self._refused("disk", error)
            return False
        self._stuck = None
        self._meter.add("durable_records", len(arrivals))
        self._meter.add("log_commits")
        self._lose(dropped, "full")
        return True

    def _refused(self, reason: str, error: Exception) -> None:
        """The log did not take a group."""
        with self._arrived:
            self._stuck = reason
        self._seldom.warn("it takes no records, trying again", str(error))

    def _wait(self) -> bool:
        """Wait for the next attempt; whether the intake gives up instead."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._abandoned, self._retry)
            return self._abandoned

    def _only_marked(self, group: list[_Put], reason: str) -> list[_Put]:
        """Lose what no source could give again."""
        self._lose(sum(len(each.arrivals) for each in group if each.mark is None), reason)
        return [each for each in group if each.mark is not None]

    def _lose(self, count: int, reason: str) -> None:
        """Count records that are lost, and say so now and then."""
        if count:
            self._meter.add("lost_records", count, reason=reason)
            self._seldom.warn(f"records lost, {reason}", str(count), count)
