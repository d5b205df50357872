"""Reads the log for one output, from its offset on.

A batch that does not hold is left out; so whatever is missing, for whichever reason, shows as a gap
between offsets. A gap that was not dropped on purpose is counted as lost, once for all outputs.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.forwarder.database import DatabaseDamaged
from datto_siem.plugins.forwarder.log import Chunk, Rewound, Standing

if TYPE_CHECKING:
    from datto_siem.plugins.forwarder.segment import Segment
    from datto_siem.plugins.forwarder.segments import Segments
    from datto_siem.plugins.record import Record

_LOG = logging.getLogger(__name__)


class SqliteReader:
    """A `log.Reader`; safe between threads."""

    def __init__(self, segments: Segments, output: str, *, at_end: bool) -> None:
        """Read for an output.

        Args:
            segments: The log.
            output: Its name.
            at_end: Where it begins when it is new.
        """
        self._segments = segments
        self._offsets = segments.offsets
        self._output = output
        self._firsts = segments.directory.segments()
        begin = segments.end() if at_end else segments.begin_of(self._firsts)
        place = self._offsets.join(output, begin)
        self._generation = place.generation
        self._position = place.committed
        self._open: Segment | None = None
        self._lock = threading.Lock()

    def read(self, nbytes: int) -> Chunk | None:
        """The next records; see `log.Reader`."""
        with self._lock:
            self._check()
            end = self._segments.end()
            if end <= self._position:
                return None
            batches = self._next(nbytes)
            if not batches:
                return self._gap(end)
            lost = 0
            for batch in batches:
                lost += self._lost(self._position, batch[0].offset)
                self._position = batch[-1].offset + 1
            return Chunk(list(chain.from_iterable(batches)), self._position, lost)

    def commit(self, end: int) -> None:
        """Everything below is settled; see `log.Reader`."""
        with self._lock:
            if not self._offsets.commit(self._output, self._generation, end):
                self._check()

    def standing(self) -> Standing:
        """How far the output is."""
        place = self._offsets.place(self._output)
        committed = place.committed if place else 0
        firsts = self._segments.directory.segments()
        committed = max(committed, self._segments.begin_of(firsts))
        end = max(committed, self._segments.end())
        oldest = self._received(firsts, committed) if committed < end else None
        return Standing(committed, end, end - committed, oldest)

    def close(self) -> None:
        """Close."""
        with self._lock:
            self._close()

    def _check(self) -> None:
        """See whether the offset was moved from outside.

        Raises:
            Rewound: It was; reading goes on from there.
        """
        place = self._offsets.join(self._output, 0)
        if place.generation != self._generation:
            self._generation = place.generation
            self._position = place.committed
            raise Rewound(f"{self._output}: reads again from record {place.committed} on")

    def _next(self, nbytes: int) -> list[list[Record]]:
        """Batches of one segment, from the position on or behind a gap."""
        for fresh in (False, True):
            if fresh:
                self._firsts = self._segments.directory.segments()
            # Listed before they are read: a segment with a later one behind it is complete.
            place = max(0, bisect_right(self._firsts, self._position) - 1)
            for first in self._firsts[place:]:
                if batches := self._batches(first, nbytes):
                    return batches
        return []

    def _batches(self, first: int, nbytes: int) -> list[list[Record]]:
        """Batches of a segment from the position on; mends it when it is damaged.

        Raises:
            OSError: It cannot be read, not even after mending.
        """
        trouble = None
        for _ in range(2):
            try:
                if self._open is None or self._open.first != first:
                    self._close()
                    self._open = self._segments.open(first)
                blobs = self._open.batches(self._position, nbytes)
            except FileNotFoundError:
                with self._segments.directory.exclusive():  # removed, or being mended
                    continue
            except DatabaseDamaged as error:
                trouble = error
                damaged, self._open = self._open, None
                self._segments.mend(first, error, damaged)
                continue
            trouble = None
            batches: list[list[Record]] = []
            for blob in blobs:
                due = batches[-1][-1].offset + 1 if batches else self._position
                if records := self._decoded(blob, due):
                    batches.append(records)
            if batches or not self._stale(first):
                return batches
            self._close()  # it was mended by another process, or removed
        if trouble:
            raise OSError(f"the log cannot be read: {trouble}") from trouble
        return []

    def _decoded(self, blob: bytes, due: int) -> list[Record]:
        """The records of a batch that are due; none when it does not hold."""
        try:
            records = columns.decode(blob)
        except (ValueError, TypeError) as error:
            _LOG.error("%s: a batch of the log cannot be read: %s", self._output, error)
            return []
        if records[0].offset >= due:
            return records
        return [record for record in records if record.offset >= due]

    def _gap(self, end: int) -> Chunk | None:
        """What is said to be there and is not."""
        start, self._position = self._position, max(self._position, end)
        lost = self._lost(start, end)
        return Chunk([], self._position, lost) if self._position > start else None

    def _lost(self, start: int, end: int) -> int:
        """Count a gap, if nobody did."""
        if start >= end:
            return 0  # the usual case, without a question to the table
        start = max(start, self._offsets.floor())
        if start >= end:
            return 0
        count = self._offsets.lose(start, end)
        if count:
            _LOG.error("Records %d to %d of the log are lost (%d of them)", start, end - 1, count)
        return count

    def _received(self, firsts: list[int], offset: int) -> int | None:
        """Receive time of the first record at or behind an offset."""
        place = max(0, bisect_right(firsts, offset) - 1)
        for first in firsts[place:]:
            blobs = self._segments.visit(first, lambda segment: segment.batches(offset, 0)) or []
            for blob in blobs:
                try:
                    records = columns.decode(blob)
                except (ValueError, TypeError):
                    continue
                if found := [each.received for each in records if each.offset >= offset]:
                    return found[0]
        return None

    def _stale(self, first: int) -> bool:
        """Whether the open segment is no longer the file of that name."""
        try:
            inode = self._segments.directory.segment(first).stat().st_ino
        except FileNotFoundError:
            return True
        return self._open is None or inode != self._open.inode

    def _close(self) -> None:
        """Let go of the open segment."""
        if self._open is not None:
            self._open.close()
        self._open = None
