"""One file that grows: its lines, its truncation, its end."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from datto_siem.plugins.framing import Framing
from datto_siem.plugins.sources._file_place import reached, same

if TYPE_CHECKING:
    from pathlib import Path

    from datto_siem.plugins.sources._file_place import Outlet

_PIECE = 1024 * 1024
_LAST_LINE = 64 * 1024


class Followed:
    """An open file.

    Args:
        key: Its source.
        path: Its name now.
        outlet: Where records go.
        at_end: Begin at its end when it was never read.

    Attributes:
        path: Its name when it was opened.
    """

    def __init__(self, key: str, path: Path, outlet: Outlet, *, at_end: bool) -> None:
        """Open it.

        Raises:
            OSError: It cannot be opened or read.
        """
        self.path = path
        self._key, self._outlet = key, outlet
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._moved: float | None = None
        self._framing = Framing("lf", outlet.longest)
        self._at = 0
        try:
            known = outlet.stored(key)
            if known is not None and same(self._file, known):
                self._at = min(known.offset, self._size())
                if known.state == "within":
                    self._framing.skip_line()
            elif known is None and at_end:
                self._at = self._last_line()
            self._place = reached(self._file, self._at, self._at)
            if known is None and at_end:
                outlet.put(key, path, [], self._place)
        except BaseException:
            os.close(self._file)
            raise

    def read(self) -> bool:
        """Read a piece; whether there was one.

        Raises:
            OSError: It cannot be read.
        """
        if self._size() < self._at or not same(self._file, self._place):
            self._begin_again()
        piece = os.pread(self._file, _PIECE, self._at)
        if not piece:
            return False
        self._at += len(piece)
        framing = self._framing
        if not framing.pending:  # a hole, left by a writer that goes on behind a truncation
            piece = piece.lstrip(b"\0")
        records = framing.feed(piece)
        state = "within" if framing.skipping else ""
        before, self._place = (
            self._place,
            reached(self._file, self._at - framing.held, self._at, state),
        )
        if self._place.offset > before.offset:
            self._put(records)
        if self._moved is not None:
            self._moved = time.monotonic()
        return True

    def moved(self, gone: bool) -> None:
        """Tell whether its name belongs to another file now, or to none."""
        if not gone:
            self._moved = None
        elif self._moved is None:
            self._moved = time.monotonic()

    def over(self, linger: float) -> bool:
        """Whether it was rotated and has not grown for so long; then its last line is taken."""
        if self._moved is None or time.monotonic() - self._moved < linger:
            return False
        self.finish()
        return True

    def finish(self) -> None:
        """Take a last line without its end."""
        if self._framing.pending:
            self._place = reached(self._file, self._at, self._at)
            self._put(self._framing.end())

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _begin_again(self) -> None:
        """It was truncated: what it held of a last line is a record, then its new beginning."""
        records = self._framing.end()
        self._framing = Framing("lf", self._outlet.longest)
        self._at = 0
        self._place = reached(self._file, 0, 0)
        self._put(records)

    def _put(self, records: list[bytes]) -> None:
        self._outlet.cut(self._framing.cut)
        self._framing.cut = 0
        records = [record.lstrip(b"\0") for record in records]
        self._outlet.put(self._key, self.path, records, self._place)

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _last_line(self) -> int:
        """Where a last line begins that has no end yet; the file's end when it has one."""
        size = self._size()
        begin = max(0, size - _LAST_LINE)
        tail = os.pread(self._file, size - begin, begin)
        return begin + tail.rfind(b"\n") + 1 if b"\n" in tail or not begin else size
