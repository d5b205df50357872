"""One packed file: read once, from where an earlier attempt stopped."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from datto_siem.plugins.framing import Framing
from datto_siem.plugins.sources._file_place import HEAD, reached, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path
    from threading import Event

    from datto_siem.plugins.sources._file_place import Outlet, Place

_PIECE = 1024 * 1024


class Damaged(Exception):
    """The file cannot be unpacked to its end; what could be is taken."""


def read_packed(key: str, path: Path, outlet: Outlet, stopping: Event) -> None:
    """Read a gzip file to its end, unless that was done before.

    Args:
        key: Its source.
        path: Its name.
        outlet: Where records go.
        stopping: Set when reading is to stop; the next start goes on.

    Raises:
        OSError: It cannot be opened.
        Damaged: It is no gzip file, or broken, or cut.
    """
    with path.open("rb") as file:
        opened = file.fileno()
        known = outlet.stored(key)
        if known is not None and not same(opened, known):
            known = None
        if known is None or known.state != "done":
            _Packed(key, path, outlet, file).read(known, stopping)


class _Packed:
    """A gzip file that is being read. Offsets are those of the unpacked text."""

    def __init__(self, key: str, path: Path, outlet: Outlet, file: BufferedReader) -> None:
        self._key, self._path, self._outlet, self._file = key, path, outlet, file
        self._framing = Framing("lf", outlet.longest)
        self._at = 0

    def read(self, known: Place | None, stopping: Event) -> None:
        """Read from a place on."""
        begin = known.offset if known is not None else 0
        if known is not None and known.state == "within":
            self._framing.skip_line()
        try:
            for piece in self._pieces():
                if not self._outlet.ready(stopping):
                    return
                skipped = min(max(0, begin - self._at), len(piece))
                self._at += skipped
                self._take(piece[skipped:])
        except EOFError as error:  # perhaps still being written: a later look goes on
            raise Damaged("it ends too early") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            self._put(self._framing.end(), self._at, "done")
            raise Damaged("it is no gzip file, or broken") from error
        self._put(self._framing.end(), self._at, "done")

    def _pieces(self) -> Iterator[bytes]:
        """The unpacked text; also the part before a damage."""
        with gzip.GzipFile(fileobj=self._file) as unpacked:
            gathered = bytearray()
            try:
                while few := unpacked.read1(_PIECE):
                    gathered += few
                    if len(gathered) >= _PIECE:
                        yield bytes(gathered)
                        gathered.clear()
            except (EOFError, gzip.BadGzipFile, zlib.error):
                yield bytes(gathered)
                raise
            yield bytes(gathered)

    def _take(self, piece: bytes) -> None:
        records = self._framing.feed(piece)
        self._at += len(piece)
        if records:
            state = "within" if self._framing.skipping else ""
            self._put(records, self._at - self._framing.held, state)

    def _put(self, records: list[bytes], offset: int, state: str) -> None:
        self._outlet.cut(self._framing.cut)
        self._framing.cut = 0
        place = reached(self._file.fileno(), offset, HEAD, state)
        self._outlet.put(self._key, self._path, records, place)
