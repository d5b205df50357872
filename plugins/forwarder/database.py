"""One SQLite file of the log: how it is made, opened, stamped, and what its errors mean.

Owns durability settings and the layout's version; tables are those of `segment` and `offsets`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from datto_siem.plugins.forwarder.log import LogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
_APPLICATION = 0x44534C47
_WAIT = 30.0  # seconds for another process's transaction; all of them are short
_BROKEN = ("no such", "Could not decode", "unsupported", "malformed", "attempt to write a readonly")


class DatabaseDamaged(Exception):
    """The file is no database of ours any more."""


@contextlib.contextmanager
def meaning(path: Path) -> Iterator[None]:
    """Say what an SQLite error means.

    Raises:
        DatabaseDamaged: The file is damaged.
        OSError: The disk refuses, or it is busy.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error).startswith(_BROKEN):
            raise DatabaseDamaged(f"{path.name}: {error}") from error
        raise OSError(f"{path}: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # messages quote what is there
        raise DatabaseDamaged(f"{path.name}: {error}") from error


def create(path: Path, schema: str, page: int) -> sqlite3.Connection:
    """Make a new database, readable by its owner only.

    Args:
        path: Its file.
        schema: Its tables.
        page: Bytes of a page.

    Raises:
        OSError: The disk refuses.
    """
    for side in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(path)
    try:
        with meaning(path):
            connection.executescript(
                f"PRAGMA page_size = {page}; PRAGMA journal_mode = WAL;"
                f"PRAGMA synchronous = FULL; BEGIN; {schema};"
                f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_stamp(VERSION)};"
                "COMMIT"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, checkpoint: int) -> sqlite3.Connection:
    """Open a database that is there.

    Args:
        path: Its file.
        checkpoint: Pages of its write-ahead log after which it is copied into the file.

    Raises:
        FileNotFoundError: It is not there.
        DatabaseDamaged: It is not one of ours, or no longer.
        LogRefused: A newer release of this program wrote it.
        OSError: It cannot be read.
    """
    path.stat()
    connection = _connect(path)
    try:
        with meaning(path):
            _check_layout(connection, path)
            connection.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                f"PRAGMA wal_autocheckpoint = {checkpoint}"
            )
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction; durable when it is left, undone when it is left by an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def whole(value: object) -> int:
    """A number as a column should hold it.

    Raises:
        DatabaseDamaged: It holds something else.
    """
    if not isinstance(value, int):
        raise DatabaseDamaged("a column does not hold what it should")
    return value


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file without making it."""
    return sqlite3.connect(
        f"file:{quote(os.fspath(path))}?mode=rw",
        uri=True,
        timeout=_WAIT,
        isolation_level=None,
        check_same_thread=False,
    )


def _check_layout(connection: sqlite3.Connection, path: Path) -> None:
    """See whether a file is ours and not newer than this program."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (stamp,) = connection.execute("PRAGMA user_version").fetchone()
    version = stamp >> 8
    if application != _APPLICATION or stamp != _stamp(version & 0xFF):
        raise DatabaseDamaged(f"{path.name}: not a file of this log")
    if version > VERSION:
        raise LogRefused(
            f"{path} was written by a newer datto-siem (layout {version}, this one knows "
            f"{VERSION}); install that release again, or give this one its own log.path"
        )


def _stamp(version: int) -> int:
    """A version with its complement, so that a flipped bit does not look like another version."""
    return version << 8 | (version ^ 0xFF) & 0xFF
