"""The chain of segments: which one is appended to, the next one, and mending a damaged one.

Whoever calls a method that says so holds the directory's lock. Limits are `retention`'s matter.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.forwarder.database import DatabaseDamaged
from datto_siem.plugins.forwarder.directory import Directory, Sequence
from datto_siem.plugins.forwarder.offsets import Offsets
from datto_siem.plugins.forwarder.salvage import salvage
from datto_siem.plugins.forwarder.segment import Segment, build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from datto_siem.plugins.source import Mark

_LOG = logging.getLogger(__name__)
_NEW = "segment.new"
_LARGEST = 64 * 1024 * 1024
_SMALLEST = 256 * 1024
_CHECKPOINT = 4 * 1024 * 1024  # of the write-ahead log: more makes commits wait longer for it

T = TypeVar("T")


class Segments:
    """The segments of a log in this process."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open the directory.

        Args:
            path: The log's directory.
            max_bytes: The log's cap; segments are a sixteenth of it, at most 64 MiB, so that
                removing the oldest one never gives up much at once.

        Raises:
            LogRefused: It must not be opened.
        """
        self.directory = Directory(path)
        self.nbytes = max(_SMALLEST, min(_LARGEST, max_bytes // 16))
        self.checkpoint = min(_CHECKPOINT, self.nbytes // 8)
        self.offsets = Offsets(self.directory, self._copied_offsets)

    def open(self, first: int) -> Segment:
        """Open a segment; raises as `database.connect` does."""
        return Segment(self.directory.segment(first), self.checkpoint)

    def visit(self, first: int, work: Callable[[Segment], T]) -> T | None:
        """Do something with a segment, mending it when it is damaged; None when it is gone.

        Raises:
            OSError: The disk refuses.
        """
        for _ in range(2):
            try:
                segment = self.open(first)
            except FileNotFoundError:
                with self.directory.exclusive():  # somebody may be mending it
                    if not self.directory.segment(first).exists():
                        return None
                continue
            except DatabaseDamaged as error:
                self.mend(first, error, None)
                continue
            try:
                return work(segment)
            except DatabaseDamaged as error:
                self.mend(first, error, segment)
            finally:
                segment.close()
        return None

    def current(self, open_one: Segment | None) -> tuple[Segment, int]:
        """The segment to append to, and the offset nothing new may begin below; under the lock.

        Args:
            open_one: The one the caller appended to last; closed when it is another now.

        Raises:
            DatabaseDamaged: It is damaged; `mend` it.
            OSError: The disk refuses.
        """
        known = self.directory.sequence()
        if open_one is not None and known and open_one.first == known.current and _same(open_one):
            return open_one, known.end
        if open_one is not None:
            open_one.close()
        firsts = self.directory.segments()
        if not firsts:
            self._begin(self._least(known), [])
            firsts = self.directory.segments()
        segment = self.open(firsts[-1])
        try:
            end = segment.end()
            if known is None or end > known.end:  # its writer died before it wrote that down
                end = segment.checked_end()
            least = max(end, self._least(known))
            self.directory.write_sequence(Sequence(least, segment.first))
        except BaseException:
            segment.close()
            raise
        return segment, least

    def roll(self, segment: Segment, end: int) -> None:
        """Begin the next segment, which then is the current one; under the lock.

        Raises:
            OSError: The disk refuses; the old one stays the current one.
        """
        segment.checkpoint()
        self._begin(end, segment.marks())

    def end(self) -> int:
        """One behind the last record."""
        known = self.directory.sequence()
        if known is not None:
            return known.end
        firsts = self.directory.segments()
        return self.visit(firsts[-1], Segment.end) or firsts[-1] if firsts else 0

    def begin_of(self, firsts: list[int]) -> int:
        """The first record that was not dropped.

        Args:
            firsts: All segments.
        """
        return min(self.offsets.floor(), firsts[0]) if firsts else 0

    def mend(self, first: int, error: Exception, damaged: Segment | None) -> None:
        """Put what can be read of a damaged segment in its place.

        Args:
            first: The segment.
            error: What was found.
            damaged: The segment as the finder has it open; closed here.

        Raises:
            OSError: The disk refuses.
        """
        with self.directory.exclusive():
            path = self.directory.segment(first)
            if damaged is not None:
                moved = not _same(damaged)
                damaged.close()
                if moved:
                    return  # another process was faster
            if not path.exists():
                return
            found = salvage(path)
            following = [each for each in self.directory.segments() if each > first]
            end = following[0] if following else None
            blobs, last = [], first
            for start, blob in found.blobs.items():
                behind = start + columns.extent(blob)[1]
                if start >= last and (end is None or behind <= end):
                    blobs.append(blob)
                    last = behind
            new = self.directory.path / _NEW
            build(new, self._marks(first, found.marks), found.outputs, blobs)
            aside = self.directory.move_aside(path)
            new.rename(path)
            self.directory.sync()
            if end is None:
                known = self.directory.sequence()
                least = max(last, self._least(known))
                self.directory.write_sequence(Sequence(least, first))
        _LOG.error(
            "Part of the log was damaged (%s): %d batches were read, what is missing is counted as "
            "lost when an output comes to it; the damaged file is kept as %s",
            *(error, len(blobs), aside.name),
        )

    def close(self) -> None:
        """Close everything."""
        self.offsets.close()
        self.directory.close()

    def _begin(self, first: int, marks: list[tuple[Mark, int]]) -> None:
        """Make the segment that begins with an offset the current one."""
        new = self.directory.path / _NEW
        build(new, marks, self.offsets.all())
        new.rename(self.directory.segment(first))
        self.directory.sync()
        self.directory.write_sequence(Sequence(first, first))

    def _least(self, known: Sequence | None) -> int:
        """The offset nothing new may begin below, whatever the segments say."""
        return max(known.end if known else 0, *self.offsets.all().values(), 0)

    def _marks(self, first: int, found: list[tuple[Mark, int]]) -> list[tuple[Mark, int]]:
        """Marks that were read, and older ones of those that were not."""
        marks = {mark.source: (mark, at) for mark, at in found}
        before = [each for each in self.directory.segments() if each < first]
        if before:
            try:
                segment = self.open(before[-1])
            except (DatabaseDamaged, OSError):
                return found
            try:
                marks = {mark.source: (mark, at) for mark, at in segment.marks()} | marks
            except (DatabaseDamaged, OSError):
                return found
            finally:
                segment.close()
        return list(marks.values())

    def _copied_offsets(self) -> dict[str, int]:
        """The outputs' offsets as copied into the newest segment that can be read."""
        for first in reversed(self.directory.segments()):
            try:
                segment = self.open(first)
            except (DatabaseDamaged, OSError):
                continue
            try:
                return segment.outputs()
            except (DatabaseDamaged, OSError):
                continue
            finally:
                segment.close()
        return {}


def _same(segment: Segment) -> bool:
    """Whether the file of that name still is the one that is open."""
    try:
        return segment.path.stat().st_ino == segment.inode
    except FileNotFoundError:
        return False
