"""How far a file was read, and handing over its records together with that.

A place holds a digest of the file's first bytes: an inode number is used again by other files, and
a file that was truncated and has grown since looks as if it had only grown.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.source import Arrival, Mark

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Intake

HEAD = 256
"""Bytes of a file's beginning that tell it from others."""
_WAIT = 0.5


class Place(NamedTuple):
    """How far a file was read."""

    offset: int
    head: int
    """Bytes the digest is of."""
    digest: str
    state: str = ""
    """`done`: read to its end, never to be read again; `within`: the rest of a line is skipped."""

    def text(self) -> str:
        """As it is stored."""
        return f"{self.offset}:{self.head}:{self.digest}:{self.state}"

    @classmethod
    def of(cls, text: str) -> Place | None:
        """As it was stored; None when it is not ours."""
        offset, _, rest = text.partition(":")
        head, _, rest = rest.partition(":")
        digest, _, state = rest.partition(":")
        if not (offset.isdecimal() and head.isdecimal()):
            return None
        return cls(int(offset), int(head), digest, state)


def reached(opened: int, offset: int, most: int, state: str = "") -> Place:
    """The place at an offset of an open file.

    Args:
        opened: Its file descriptor.
        offset: How far its records are taken.
        most: Bytes of the file that will not change any more.
        state: See `Place`.
    """
    head = os.pread(opened, min(HEAD, most), 0)
    return Place(offset, len(head), _digest(head), state)


def same(opened: int, place: Place) -> bool:
    """Whether an open file begins like the one of a place."""
    return _digest(os.pread(opened, min(HEAD, place.head), 0)) == place.digest


def _digest(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def source(found: os.stat_result) -> str:
    """The name of a file that stays when it is renamed."""
    return f"file:{found.st_dev}:{found.st_ino}"


def peer(path: Path) -> str:
    """A file's name as records keep it: text, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Outlet:
    """Where the files of one listener put their records.

    Attributes:
        longest: Most bytes of a record.
    """

    def __init__(self, intake: Intake, meter: Meter, name: str, longest: int) -> None:
        """Keep them."""
        self._intake, self._meter, self._name = intake, meter, name
        self._places: dict[str, Place] = {}  # put, and perhaps not durable yet
        self.longest = longest

    def stored(self, key: str) -> Place | None:
        """How far a file was read before."""
        if key in self._places:
            return self._places[key]
        text = self._intake.mark(key)
        return None if text is None else Place.of(text)

    def ready(self, stopping: Event) -> bool:
        """Wait while the log is full or far behind.

        Args:
            stopping: Set when reading is to stop.

        Returns:
            Whether to read on.
        """
        while not stopping.is_set():
            if not self._intake.pressed() or self._intake.relieved(_WAIT):
                return True
        return False

    def put(self, key: str, path: Path, records: list[bytes], place: Place) -> None:
        """Hand over records with the place behind them; waits while there is no room."""
        received = time.time_ns() // 1_000_000
        named = peer(path)
        for metric, count in (
            ("received_records", len(records)),
            ("received_bytes", sum(map(len, records))),
        ):
            if count:
                self._meter.add(metric, count, listener=self._name)
        arrivals = [Arrival(raw, received, named) for raw in records]
        self._intake.put(arrivals, Mark(key, place.text()))
        self._places[key] = place

    def cut(self, count: int) -> None:
        """Count records that were cut."""
        if count:
            self._meter.add("truncated_records", count, listener=self._name)

    def broken(self) -> None:
        """Count a file that is damaged."""
        self._meter.add("framing_errors", listener=self._name)
