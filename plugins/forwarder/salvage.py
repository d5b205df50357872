"""What can still be read of a damaged segment, without SQLite's help.

SQLite refuses a file as a whole when its header or its tree is broken. But rows are only ever
added, and each carries its own checksum, so every page is looked at by itself: those that are
leaves of a table, in the file and in its write-ahead log, give up the rows that still hold.
The layout of pages is that of https://www.sqlite.org/fileformat2.html sections 1.5, 1.6 and 4.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.forwarder.segment import PAGE, proven
from datto_siem.plugins.source import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LEAF = 0x0D  # of a table; an overflow page begins with a zero as long as a file is below 256 GiB
_FILE_HEADER = 100
_WAL_HEADER = 32
_FRAME_HEADER = 24
_LOCAL = PAGE - 35  # a payload up to this is wholly in its leaf
_LEAST = (PAGE - 12) * 32 // 255 - 23
_CHAINED = PAGE - 4
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Salvaged(NamedTuple):
    """The rows that hold."""

    blobs: dict[int, bytes]
    """Batches by their first offset, in order."""
    marks: list[tuple[Mark, int]]
    outputs: dict[str, int]


def salvage(path: Path) -> Salvaged:
    """Read what holds of a segment's file and its write-ahead log; never raises on what is there.

    Raises:
        OSError: The disk refuses to read.
    """
    pages = _Pages(path)
    blobs: dict[int, bytes] = {}
    marks: dict[str, tuple[Mark, int]] = {}
    outputs: dict[str, int] = {}
    for row in pages.rows():
        last = row[-1] if row else None
        if isinstance(last, bytes):
            _keep(blobs, last)
        elif not proven(row):
            continue
        elif len(row) == 4:
            source, position, at, _ = row
            if isinstance(source, str) and isinstance(position, str) and isinstance(at, int):
                known = marks.get(source)
                if known is None or known[1] <= at:
                    marks[source] = Mark(source, position), at
        elif len(row) == 3:
            name, at, _ = row
            if isinstance(name, str) and isinstance(at, int):
                outputs[name] = max(at, outputs.get(name, 0))
    return Salvaged(dict(sorted(blobs.items())), list(marks.values()), outputs)


def _keep(blobs: dict[int, bytes], blob: bytes) -> None:
    """Keep a batch when it holds."""
    try:
        blobs[columns.extent(blob)[0]] = blob
    except columns.Damaged:
        return


class _Pages:
    """All images of all pages."""

    def __init__(self, path: Path) -> None:
        self._file = path.read_bytes()
        wal = path.with_name(path.name + "-wal")
        self._wal = wal.read_bytes() if wal.exists() else b""
        self._frames: dict[int, list[int]] = {}
        salts = self._wal[16:24]
        step = _FRAME_HEADER + PAGE
        for at in range(_WAL_HEADER, len(self._wal) - step + 1, step):
            number = int.from_bytes(self._wal[at : at + 4], "big")
            images = self._frames.setdefault(number, [])
            # Frames of the running round come first; older ones lie behind the round's end.
            if self._wal[at + 8 : at + 16] == salts:
                images.insert(0, at + _FRAME_HEADER)
            else:
                images.append(at + _FRAME_HEADER)

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Every row of every leaf, as far as it can be read; the same row may come repeatedly."""
        for start in range(0, len(self._file), PAGE):
            yield from self._leaf(self._file, start)
        for images in self._frames.values():
            for start in images:
                yield from self._leaf(self._wal, start)

    def _leaf(self, data: bytes, start: int) -> Iterator[tuple[object, ...]]:
        """The rows of one page when it is a table's leaf."""
        head = start + (_FILE_HEADER if start == 0 and data is self._file else 0)
        if data[head : head + 1] != bytes([_LEAF]):
            return
        count = int.from_bytes(data[head + 3 : head + 5], "big")
        for place in range(min(count, PAGE // 2)):
            pointer = head + 8 + 2 * place
            cell = start + int.from_bytes(data[pointer : pointer + 2], "big")
            try:
                yield from self._row(data, cell, start + PAGE)
            except (IndexError, ValueError, struct.error):
                continue

    def _row(self, data: bytes, at: int, end: int) -> Iterator[tuple[object, ...]]:
        """One row, once for each way its overflow pages can be read."""
        size, at = _varint(data, at)
        _, at = _varint(data, at)
        if size > len(self._file) + len(self._wal):
            return
        if size <= _LOCAL:
            yield _columns(data[at : at + size])
            return
        fits = _LEAST + (size - _LEAST) % _CHAINED
        local = fits if fits <= _LOCAL else _LEAST
        if at + local + 4 > end:
            return
        chain = int.from_bytes(data[at + local : at + local + 4], "big")
        for newest in (True, False):
            parts = self._chain(chain, size - local, newest=newest)
            yield _columns(data[at : at + local] + b"".join(parts))

    def _chain(self, number: int, size: int, *, newest: bool) -> list[bytes]:
        """The overflow pages of a row, from the write-ahead log first or the file first."""
        parts = []
        while size > 0:
            page = self._page(number, newest=newest)
            number = int.from_bytes(page[:4], "big")
            parts.append(page[4 : 4 + min(size, _CHAINED)])
            size -= _CHAINED
        return parts

    def _page(self, number: int, *, newest: bool) -> bytes:
        """One image of a page by its number.

        Raises:
            ValueError: There is none.
        """
        start = (number - 1) * PAGE
        stored = self._file[start : start + PAGE] if number > 0 else b""
        images = self._frames.get(number)
        if images and (newest or not stored):
            return self._wal[images[0] : images[0] + PAGE]
        if not stored:
            raise ValueError("no such page")
        return stored


def _columns(payload: bytes) -> tuple[object, ...]:
    """The values of a record."""
    head, at = _varint(payload, 0)
    kinds = []
    while at < head:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[object] = []
    for kind in kinds:
        size = _INTEGERS.get(kind, 0) if kind < 12 else (kind - 12) // 2
        data = payload[at : at + size]
        if len(data) < size:
            raise ValueError("cut off")
        values.append(_value(kind, data))
        at += size
    return tuple(values)


def _value(kind: int, data: bytes) -> object:
    """One value by its serial type."""
    if kind in _INTEGERS:
        return int.from_bytes(data, "big", signed=True)
    if kind in (8, 9):
        return kind - 8
    if kind >= 12:
        return data.decode("utf-8") if kind % 2 else data
    return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and where it ends."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1
