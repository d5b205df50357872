"""The outputs' offsets, apart from the records, so that committing does not wait for appending.

Also what the log remembers about itself: which outputs count, up to where records were dropped,
and which gaps were reported already, so that a loss is counted once however many outputs meet it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from datto_siem.plugins.forwarder.database import (
    DatabaseDamaged,
    connect,
    create,
    meaning,
    transaction,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from datto_siem.plugins.forwarder.directory import Directory

_LOG = logging.getLogger(__name__)
_NAME = "offsets.db"
_NEW = "offsets.new"
_PAGE = 4096  # an offset is little, and is written often
_CHECKPOINT = 64
_SCHEMA = """
CREATE TABLE outputs (name TEXT PRIMARY KEY, committed INTEGER NOT NULL,
                      generation INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE active (name TEXT PRIMARY KEY);
CREATE TABLE lost (first INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE floor (at INTEGER NOT NULL)
"""
_OVERLAP = """SELECT coalesce(sum(min(first + count, ?2) - max(first, ?1)), 0)
              FROM lost WHERE first < ?2 AND first + count > ?1"""

T = TypeVar("T")


class Place(NamedTuple):
    """Where an output is; the generation changes when the place was set from outside."""

    committed: int
    generation: int


class Offsets:
    """The open table of offsets; safe between threads and processes."""

    def __init__(self, directory: Directory, copies: Callable[[], Mapping[str, int]]) -> None:
        """Open it, or make it.

        Args:
            directory: Where it is.
            copies: Older offsets of the outputs, for the case that this table is damaged.
        """
        self._directory = directory
        self._path = directory.path / _NAME
        self._copies = copies
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def place(self, output: str) -> Place | None:
        """Where an output is; None when it never was anywhere."""
        return self._do(lambda connection: _place(connection, output))

    def join(self, output: str, at: int) -> Place:
        """Where an output is; a new one begins at `at`."""

        def work(connection: sqlite3.Connection) -> Place:
            known = _place(connection, output)
            if known is None:
                with transaction(connection):
                    known = _place(connection, output) or _put(connection, output, Place(at, 0))
            return known

        return self._do(work)

    def commit(self, output: str, generation: int, end: int) -> bool:
        """Move an output on; False when its place was set from outside meanwhile."""

        def work(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                known = _place(connection, output)
                if known is None or known.generation != generation:
                    return False
                if end > known.committed:
                    _put(connection, output, Place(end, generation))
            return True

        return self._do(work)

    def rewind(self, output: str, at: int) -> int:
        """Move an output back, never on; returns how far."""

        def work(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                known = _place(connection, output) or Place(at, 0)
                to = min(at, known.committed)
                _put(connection, output, Place(to, known.generation + 1))
            return known.committed - to

        return self._do(work)

    def all(self) -> dict[str, int]:
        """Every output's offset."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            names = connection.execute("SELECT name FROM outputs").fetchall()
            places = {name: _place(connection, name) for (name,) in names}
            return {name: place.committed for name, place in places.items() if place}

        return self._do(work)

    def activate(self, outputs: Sequence[str]) -> None:
        """Say which outputs' offsets hold records back."""

        def work(connection: sqlite3.Connection) -> None:
            rows = connection.execute("SELECT name FROM active").fetchall()
            if {name for (name,) in rows} != set(outputs):
                with transaction(connection):
                    connection.execute("DELETE FROM active")
                    rows = [(name,) for name in sorted(set(outputs))]
                    connection.executemany("INSERT INTO active VALUES (?)", rows)

        self._do(work)

    def settled(self) -> int:
        """Every record below this is settled for all outputs that count; 0 when none is known."""

        def work(connection: sqlite3.Connection) -> list[str]:
            return [name for (name,) in connection.execute("SELECT name FROM active").fetchall()]

        places = self.all()
        names = self._do(work) or list(places)
        return min((places.get(name, 0) for name in names), default=0)

    def floor(self) -> int:
        """Every record below this was dropped or given up on purpose."""

        def work(connection: sqlite3.Connection) -> int:
            (at,) = connection.execute("SELECT max(at) FROM floor").fetchone()
            return whole(at or 0)

        return self._do(work)

    def raise_floor(self, at: int) -> None:
        """Records below this are about to go."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("DELETE FROM floor")
                connection.execute("INSERT INTO floor VALUES (?)", (at,))
                connection.execute("DELETE FROM lost WHERE first + count <= ?", (at,))

        self._do(work)

    def lose(self, start: int, end: int) -> int:
        """Remember a gap; returns how many of its records were not counted before."""

        def work(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                fresh = (
                    end - start - whole(connection.execute(_OVERLAP, (start, end)).fetchone()[0])
                )
                if fresh > 0:
                    row = (start, end - start)
                    connection.execute("INSERT OR REPLACE INTO lost VALUES (?, ?)", row)
            return max(0, fresh)

        return self._do(work)

    def lost(self, start: int, end: int) -> int:
        """How many records between two offsets were counted as lost."""
        return self._do(lambda it: whole(it.execute(_OVERLAP, (start, end)).fetchone()[0]))

    def close(self) -> None:
        """Close it."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on the table; when it is damaged, mend it first.

        Raises:
            OSError: The disk refuses.
        """
        try:
            return self._attempt(work)
        except (DatabaseDamaged, FileNotFoundError):
            self._mend()
        try:
            return self._attempt(work)
        except DatabaseDamaged as error:
            raise OSError(f"{self._path} cannot be mended: {error}") from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on the table as it is."""
        with self._lock:
            connection = self._open()
            with meaning(self._path):
                return work(connection)

    def _open(self) -> sqlite3.Connection:
        """The connection, to the file that has the name now."""
        if self._connection is not None and self._path.stat().st_ino != self._inode:
            self.close()
        if self._connection is None:
            self._connection = connect(self._path, _CHECKPOINT)
            self._inode = self._path.stat().st_ino
        return self._connection

    def _mend(self) -> None:
        """Put a sound table in the place of a damaged or missing one."""
        with self._directory.exclusive(), self._lock:  # in this order, as appending does
            held = self._inode
            self.close()
            if self._path.exists() and self._path.stat().st_ino != held and self._sound():
                return  # another process was faster
            # Generation 0 suits most open readers: they need not read again, only commit again.
            places = {name: Place(at, 0) for name, at in self._copies().items()}
            floor = 0
            if self._path.exists():
                rescued, floor = _rescued(self._path)
                places.update(rescued)
                aside = self._directory.move_aside(self._path)
                known = {name: place.committed for name, place in places.items()}
                _LOG.error(
                    "%s was damaged and is now %s; outputs go on from the last offset that can be "
                    "read and may send records again: %s",
                    *(_NAME, aside.name, known or "from the oldest record"),
                )
            new = self._path.with_name(_NEW)
            connection = create(new, _SCHEMA, _PAGE)
            with meaning(new), transaction(connection):
                for name, place in places.items():
                    _put(connection, name, place)
                connection.execute("INSERT INTO floor VALUES (?)", (floor,))
            connection.close()
            new.rename(self._path)
            self._directory.sync()

    def _sound(self) -> bool:
        """Whether the file that is there can be opened and read."""
        try:
            connection = self._open()
            with meaning(self._path):
                for table in ("outputs", "active", "lost", "floor"):
                    connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 constants
        except (DatabaseDamaged, OSError):
            self.close()
            return False
        return True


def _place(connection: sqlite3.Connection, output: str) -> Place | None:
    """An output's row, when it holds."""
    query = "SELECT committed, generation, crc FROM outputs WHERE name = ?"
    row = connection.execute(query, (output,)).fetchone()
    if row is None:
        return None
    if _seal(output, row[0], row[1]) != row[2]:
        raise DatabaseDamaged(f"{_NAME}: the row of {output} does not hold")
    return Place(row[0], row[1])


def _put(connection: sqlite3.Connection, output: str, place: Place) -> Place:
    """Write an output's row."""
    row = (output, *place, _seal(output, *place))
    connection.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", row)
    return place


def _rescued(path: Path) -> tuple[dict[str, Place], int]:
    """The rows and the floor that can still be read of a damaged table."""
    found: dict[str, Place] = {}
    floor = 0
    try:
        connection = connect(path, _CHECKPOINT)
    except (DatabaseDamaged, OSError):
        return found, floor
    try:
        for name, at, generation, crc in connection.execute("SELECT * FROM outputs"):
            if _seal(name, at, generation) == crc:
                found[name] = Place(at, generation)
        floor = int(connection.execute("SELECT max(at) FROM floor").fetchone()[0] or 0)
    except (sqlite3.Error, TypeError, ValueError):
        pass
    finally:
        connection.close()
    return found, floor


def _seal(name: str, committed: object, generation: object) -> int:
    """The check of a row."""
    return zlib.crc32(f"{name}\0{committed}\0{generation}".encode("utf-8", "surrogatepass"))
