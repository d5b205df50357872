"""The embedded log: `log.Log` on SQLite files in one directory, for any number of processes.

Puts together what its parts own: `directory` (locks, names), `segments` (the chain), `offsets`,
`retention` (limits), `reading`. A record's offset is its number, counted over the log's whole life.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.forwarder.database import DatabaseDamaged
from datto_siem.plugins.forwarder.directory import Sequence as End
from datto_siem.plugins.forwarder.reading import SqliteReader
from datto_siem.plugins.forwarder.retention import Limits, Retention
from datto_siem.plugins.forwarder.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from datto_siem.plugins.forwarder.log import Policy
    from datto_siem.plugins.forwarder.segment import Segment
    from datto_siem.plugins.source import Arrival, Mark

_DAY = 86400.0

T = TypeVar("T")


class SqliteLog:
    """A `log.Log`. Each process opens its own; close it after its writers and readers."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 10 * 10**9,
        max_age: float = 7 * _DAY,
        keep: float = _DAY,
        policy: Policy = "block",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the log, or begin one.

        Args:
            directory: Where it is.
            max_bytes: Most disk space, side files included.
            max_age: Seconds after which undelivered records are dropped.
            keep: Seconds delivered records are kept for replay.
            policy: What happens when it is full.
            clock: Epoch seconds.

        Raises:
            LogRefused: The directory must not be used; says what to do.
        """
        limits = Limits(max_bytes, max_age, keep, policy)
        self._policy: Policy = policy
        self._segments = Segments(directory, max_bytes)
        self._retention = Retention(self._segments, limits, clock)

    def claim(self) -> None:
        """Keep any other forwarder off this log until `close`; for the supervisor.

        Raises:
            LogRefused: Another one runs.
        """
        self._segments.directory.claim()

    def writer(self, policy: Policy | None = None) -> SqliteWriter:
        """A writer for this process, with the log's policy or another.

        Raises:
            LogRefused: A newer release wrote the log.
            OSError: The disk refuses.
        """
        return SqliteWriter(self._segments, self._retention, policy or self._policy)

    def reader(self, output: str, *, at_end: bool = False) -> SqliteReader:
        """A reader for an output; a new output starts at the oldest record kept, or at the end."""
        return SqliteReader(self._segments, output, at_end=at_end)

    def sweep(self, outputs: Sequence[str]) -> Mapping[str, int]:
        """Drop what all these outputs have settled and retention does not keep."""
        self._segments.offsets.activate(outputs)
        with self._segments.directory.exclusive():
            for _ in range(2):
                try:
                    return self._retention.sweep()
                except DatabaseDamaged as error:
                    self._segments.mend(self._segments.directory.segments()[-1], error, None)
        return {}

    def rewind(self, output: str, received: int) -> int:
        """Set an output back to the first record received at or after a time; never forward."""
        for first in self._segments.directory.segments():
            blob = self._segments.visit(first, lambda segment: segment.since(received))
            if blob is None:
                continue
            with contextlib.suppress(ValueError):
                for record in columns.decode(blob):
                    if record.received >= received:
                        return self._segments.offsets.rewind(output, record.offset)
        return self._segments.offsets.rewind(output, self._segments.end())

    def size(self) -> tuple[int, int]:
        """Bytes on disk and records kept."""
        firsts = self._segments.directory.segments()
        kept = max(0, self._segments.end() - firsts[0]) if firsts else 0
        return self._segments.directory.size(), kept

    def close(self) -> None:
        """Close what writers and readers share."""
        self._segments.close()


class SqliteWriter:
    """A `log.Writer`; safe between threads."""

    def __init__(self, segments: Segments, retention: Retention, policy: Policy) -> None:
        """Append to a log."""
        self._segments = segments
        self._directory = segments.directory
        self._retention = retention
        self._policy: Policy = policy
        self._segment: Segment | None = None
        self._dropped = 0
        self._lock = threading.RLock()
        self._mended(self._current)

    def append(self, arrivals: Sequence[Arrival], marks: Sequence[Mark] = ()) -> int:
        """Make records durable; see `log.Writer`."""
        with self._lock, self._directory.exclusive():
            return self._mended(lambda: self._append(arrivals, marks))

    def mark(self, source: str) -> str | None:
        """The last durable position of a source."""
        with self._lock, self._directory.exclusive():
            return self._mended(lambda: self._current()[0].mark(source))

    def close(self) -> None:
        """Close; what was appended stays."""
        with self._lock:
            if self._segment is not None:
                self._segment.close()
            self._segment = None

    def _append(self, arrivals: Sequence[Arrival], marks: Sequence[Mark]) -> int:
        """Append to the current segment, beginning a new one when it is large."""
        segment, least = self._current()
        nbytes = sum(len(each.raw) for each in arrivals) + 32 * len(arrivals)
        self._dropped += self._retention.make_room(nbytes, self._policy, segment, least)
        segment, least = self._current()
        try:
            _, end = segment.append(least, arrivals, marks)
        except OSError:
            self.close()  # a connection that failed may keep a half-known state
            raise
        self._directory.write_sequence(End(end, segment.first))
        if segment.path.stat().st_size >= self._segments.nbytes:
            with contextlib.suppress(OSError, DatabaseDamaged):  # durable as it is; next time
                self._segments.roll(segment, end)
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _current(self) -> tuple[Segment, int]:
        """The segment to append to and where."""
        with self._directory.exclusive():
            given, self._segment = self._segment, None
            self._segment, least = self._segments.current(given)
            return self._segment, least

    def _mended(self, work: Callable[[], T]) -> T:
        """Do something; when the current segment is damaged, mend it and do it again."""
        try:
            return work()
        except DatabaseDamaged as error:
            damaged, self._segment = self._segment, None
            first = damaged.first if damaged else self._directory.segments()[-1]
            self._segments.mend(first, error, damaged)
        try:
            return work()
        except DatabaseDamaged as error:
            raise OSError(f"the log cannot be mended: {error}") from error
