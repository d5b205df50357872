"""One segment of the log: an SQLite file of batches that follow each other.

Rows are only ever added, so giving space back is removing the file, and salvage need not fear
remains of older rows. Owns the tables; which segment is appended to is `segments`' matter.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.forwarder.database import (
    DatabaseDamaged,
    connect,
    create,
    meaning,
    transaction,
    whole,
)
from datto_siem.plugins.source import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from datto_siem.plugins.source import Arrival

_SCHEMA = """
CREATE TABLE batches (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, oldest INTEGER NOT NULL,
                      newest INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE marks (source TEXT NOT NULL UNIQUE, position TEXT NOT NULL, at INTEGER NOT NULL,
                    crc INTEGER NOT NULL);
CREATE TABLE outputs (name TEXT NOT NULL UNIQUE, committed INTEGER NOT NULL, crc INTEGER NOT NULL)
"""
_ADD = "INSERT INTO batches VALUES (?, ?, ?, ?, ?)"
_MARK = """INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT (source)
           DO UPDATE SET position = excluded.position, at = excluded.at, crc = excluded.crc"""
PAGE = 16384
"""Measured: big batches go in a third faster than with pages of 4 KiB, small ones as fast."""
_LATEST = 10_000  # marks carried into the next segment; files rotated away long ago are not


class Segment:
    """An open segment. Its callers see to it that one thread at a time uses it."""

    def __init__(self, path: Path, checkpoint: int) -> None:
        """Open one that is there; raises as `database.connect` does."""
        self.path = path
        self.first = int(path.name.partition(".")[0])
        self._connection = connect(path, max(1, checkpoint // PAGE))
        self.inode = path.stat().st_ino

    def append(
        self, least: int, arrivals: Sequence[Arrival], marks: Iterable[Mark]
    ) -> tuple[int, int]:
        """Add a batch and marks in one transaction.

        Args:
            least: The offset below which nothing new may begin.
            arrivals: The records; may be empty when there are marks.
            marks: How far sources were read.

        Returns:
            The batch's first offset and one behind its last.

        Raises:
            DatabaseDamaged: The file is damaged; nothing was added.
            OSError: The disk refuses; nothing was added.
        """
        with meaning(self.path), transaction(self._connection):
            first = max(least, self._end())
            end = first + len(arrivals)
            if arrivals:
                blob = columns.encode(first, arrivals)
                received = [arrival.received for arrival in arrivals]
                row = (first, len(arrivals), min(received), max(received), blob)
                self._connection.execute(_ADD, row)
            self._connection.executemany(_MARK, [_sealed(mark, end) for mark in marks])
        return first, end

    def end(self) -> int:
        """One behind the last record."""
        with meaning(self.path):
            return self._end()

    def checked_end(self) -> int:
        """The same by the last batch's own checksum.

        Raises:
            DatabaseDamaged: The last batch does not hold.
        """
        with meaning(self.path):
            query = "SELECT blob FROM batches ORDER BY first DESC LIMIT 1"
            row = self._connection.execute(query).fetchone()
        if row is None:
            return self.first
        try:
            first, count = columns.extent(row[0])
        except (columns.Damaged, TypeError) as error:
            raise DatabaseDamaged(f"{self.path.name}: its last batch: {error}") from error
        return first + count

    def batches(self, position: int, nbytes: int) -> list[bytes]:
        """Batches from the one that holds an offset on, until they are so many bytes."""
        query = """SELECT blob FROM batches WHERE first >=
                   coalesce((SELECT max(first) FROM batches WHERE first <= ?), 0) ORDER BY first"""
        found, taken = [], 0
        with meaning(self.path):
            rows = self._connection.execute(query, (position,))
            try:
                for (blob,) in rows:
                    if not isinstance(blob, bytes):
                        raise DatabaseDamaged(f"{self.path.name}: a row without its batch")
                    found.append(blob)
                    taken += len(blob)
                    if taken >= nbytes and len(found) > 1:
                        break
            finally:
                rows.close()  # an open read would keep the write-ahead log from being reused
        return found

    def span(self) -> tuple[int, int] | None:
        """Receive times of its oldest and newest record; None when it is empty."""
        with meaning(self.path):
            query = "SELECT min(oldest), max(newest) FROM batches"
            oldest, newest = self._connection.execute(query).fetchone()
        return None if oldest is None else (whole(oldest), whole(newest))

    def since(self, received: int) -> bytes | None:
        """The first batch with a record received at or after a time."""
        with meaning(self.path):
            query = "SELECT blob FROM batches WHERE newest >= ? ORDER BY first LIMIT 1"
            row = self._connection.execute(query, (received,)).fetchone()
        return None if row is None else row[0]

    def mark(self, source: str) -> str | None:
        """How far a source was read."""
        with meaning(self.path):
            query = "SELECT position, at, crc FROM marks WHERE source = ?"
            row = self._connection.execute(query, (source,)).fetchone()
        if row is None or _seal(source, row[0], row[1]) != row[2]:
            return None
        return str(row[0])

    def marks(self) -> list[tuple[Mark, int]]:
        """The latest marks, with the log's end when each was set."""
        with meaning(self.path):
            query = "SELECT source, position, at, crc FROM marks ORDER BY at DESC LIMIT ?"
            rows = self._connection.execute(query, (_LATEST,)).fetchall()
        return [(Mark(s, p), at) for s, p, at, crc in rows if _seal(s, p, at) == crc]

    def outputs(self) -> dict[str, int]:
        """The outputs' offsets when this segment was begun."""
        with meaning(self.path):
            rows = self._connection.execute("SELECT name, committed, crc FROM outputs").fetchall()
        return {name: at for name, at, crc in rows if _seal(name, at) == crc}

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file and give its space back."""
        with meaning(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _end(self) -> int:
        """One behind the last record, within a transaction or not."""
        query = "SELECT first + count FROM batches ORDER BY first DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return self.first if row is None else whole(row[0])


def build(
    path: Path,
    marks: Iterable[tuple[Mark, int]],
    outputs: Mapping[str, int],
    blobs: Iterable[bytes] = (),
) -> None:
    """Make a new segment's file, whole and durable on return.

    Args:
        path: A temporary name; the caller renames it.
        marks: Marks it begins with.
        outputs: The outputs' offsets now, kept as a copy.
        blobs: Whole batches it begins with.

    Raises:
        OSError: The disk refuses.
    """
    connection = create(path, _SCHEMA, PAGE)
    try:
        with meaning(path), transaction(connection):
            connection.executemany(_MARK, [_sealed(mark, at) for mark, at in marks])
            rows = [(name, at, _seal(name, at)) for name, at in outputs.items()]
            connection.executemany("INSERT INTO outputs VALUES (?, ?, ?)", rows)
            connection.executemany(_ADD, map(_row, blobs))
    finally:
        connection.close()
    for side in ("-wal", "-shm"):
        if path.with_name(path.name + side).exists():
            raise OSError(f"{path}: cannot be completed; is the disk full?")


def proven(values: tuple[object, ...]) -> bool:
    """Whether a row of marks or outputs, as read from a page, carries its own check."""
    try:
        return len(values) > 2 and _seal(*values[:-1]) == values[-1]
    except (TypeError, ValueError):
        return False


def _row(blob: bytes) -> tuple[int, int, int, int, bytes]:
    """The row of a whole batch."""
    first, count = columns.extent(blob)
    received = columns.times(blob)
    return first, count, min(received), max(received), blob


def _sealed(mark: Mark, at: int) -> tuple[str, str, int, int]:
    """The row of a mark."""
    return mark.source, mark.position, at, _seal(mark.source, mark.position, at)


def _seal(*values: object) -> int:
    """The check of a row: a flipped bit must not move a source or an output."""
    return zlib.crc32("\0".join(map(str, values)).encode("utf-8", "surrogatepass"))
