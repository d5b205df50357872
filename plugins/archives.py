"""Input files as records: blocks of bytes, unpacked where packed, split into numbered lines.

Memory stays flat: nothing is read whole, packed data is unpacked in bounded parts, and a line
longer than the limit is handed on in pieces of the limit.
"""

from __future__ import annotations

import os
import stat
import sys
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from datto_siem.plugins.failure import Failure, os_failure
from datto_siem.plugins.shown import escaped
from datto_siem.plugins.unpacking import MAGIC, Broken, Unpacker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from io import BufferedReader

STDIN = "-"
BLOCK = 1 << 15
"""Bytes read at a time: what becomes of them is written before it leaves the cache."""
BLOCK_FOR_MANY = 1 << 17
"""The same when batches go to other processes: there the number of batches counts."""
LONGEST = 1 << 20
_BLANK = " \t\r\n\v\f\0"
_BEGUN = "!"
"""Lines not below this begin with something: nearly every line."""
BYTES = "latin-1"
"""The encoding that makes one character of each byte, and back: cheaper for lines than bytes."""


class Lines(NamedTuple):
    """Lines that follow each other, or the pieces of one; never none.

    Attributes:
        first: Number of the first line.
        texts: Their bytes without the line feed, as one character each (latin-1).
        are_pieces: Whether all are pieces of the first.
        is_plain: Whether none holds CR or NUL.
    """

    first: int
    texts: list[str]
    are_pieces: bool = False
    is_plain: bool = False

    @property
    def last(self) -> int:
        """Number of the last line."""
        return self.first if self.are_pieces else self.first + len(self.texts) - 1

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """Each with the number of its line."""
        numbers = repeat(self.first) if self.are_pieces else count(self.first)
        return zip(numbers, (text.encode(BYTES) for text in self.texts), strict=False)

    def records(self) -> list[str]:
        """Those that are not blank, as records."""
        if self.is_plain and min(self.texts) >= _BEGUN:  # nearly always
            return self.texts
        return [text for text in map(record, self.texts) if text is not None]


class Source:
    """One input.

    Attributes:
        name: How messages call it.
        size: Bytes of a regular file, else None.
        consumed: Bytes read so far, packed ones where it is packed.
        line: Number of the last line that was handed on.
        utf16: Whether it begins as UTF-16 does.
    """

    def __init__(self, path: str, block: int = BLOCK) -> None:
        """See that it can be opened, so that a mistyped name is found before any work is done."""
        self.path = path
        self._block = block
        self.name = "standard input" if path == STDIN else escaped(path)
        self.size: int | None = None
        self.consumed = 0
        self.line = 0
        self.utf16 = False
        if path == STDIN:
            if sys.stdin is None:
                raise Failure("standard input is closed", "name a file or pipe records in")
            return
        try:
            state = Path(path).stat()
            if stat.S_ISDIR(state.st_mode):
                raise Failure(f"{self.name} is a directory", f"name its files: {self.name}/*.log")
            if not os.access(path, os.R_OK):
                raise PermissionError(13, "permission denied")
        except OSError as error:
            raise os_failure(f"cannot read {self.name}", error) from error
        except ValueError as error:  # a NUL in the name
            raise Failure(f"cannot read {self.name}", "check the path") from error
        if stat.S_ISREG(state.st_mode):
            self.size = state.st_size

    def lines(self, longest: int = LONGEST) -> Iterator[Lines]:
        """The lines, as many at a time as a block holds.

        Args:
            longest: A longer line comes in pieces of this many bytes, all with its number.

        Raises:
            Failure: It cannot be read on. Every whole line before that has been handed on; a
                line cut off by the fault has not.
        """
        for batch in split(self._plain(), longest):
            self.line = batch.last
            yield batch

    def _plain(self) -> Iterator[bytes]:
        """Blocks of the content, unpacked."""
        blocks = self._blocks()
        head = b""
        for block in blocks:
            head += block
            if len(head) >= len(MAGIC) or not MAGIC.startswith(head):
                break
        self.utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        if head.startswith(MAGIC):
            yield from self._unpacked(_chain(head, blocks))
        elif head and self.path.endswith(".gz"):
            raise Failure(f"{self.name} is not gzip data", "rename it if it is plain text")
        else:
            yield from _chain(head, blocks)

    def _blocks(self) -> Iterator[bytes]:
        try:
            if self.path == STDIN:
                yield from self._drain(sys.stdin.buffer)
            else:
                with Path(self.path).open("rb") as stream:
                    yield from self._drain(stream)
        except OSError as error:
            raise os_failure(f"cannot read {self.name}", error) from error

    def _drain(self, stream: BinaryIO) -> Iterator[bytes]:
        buffered = cast("BufferedReader", stream)
        while block := buffered.read1(self._block):  # what is there now: a pipe may be slow
            self.consumed += len(block)
            yield block

    def _unpacked(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Unpacked parts; those of a file, which does not make wait, put together to blocks."""
        least = 1 if self.size is None else self._block
        held: list[bytes] = []
        size = 0
        try:
            for part in Unpacker().unpack(blocks):
                held.append(part)
                size += len(part)
                if size >= least:
                    yield b"".join(held)
                    held, size = [], 0
        except Broken as error:
            yield b"".join(held)  # no more lines are whole than these
            raise self._broken(str(error)) from error
        yield b"".join(held)

    def _broken(self, how: str) -> Failure:
        place = f"{self.name}: gzip data {how} after line {self.line}"
        if self.path == STDIN:
            return Failure(place, "send it again; a line that was cut is left out")
        return Failure(place, "get the file again (`gzip -t` checks one); a cut line is left out")


def _chain(head: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def split(blocks: Iterable[bytes], longest: int) -> Iterator[Lines]:
    """Blocks as lines."""
    number, size = 1, 0
    pending: list[bytes] = []
    for block in blocks:
        before, feed, rest = block.rpartition(b"\n")
        if feed:
            content = b"".join((*pending, before)) if pending else before
            lines = content.decode(BYTES).split("\n")
            if len(content) <= longest or max(map(len, lines)) <= longest:
                is_plain = b"\r" not in content and b"\0" not in content
                yield Lines(number, lines, is_plain=is_plain)
            else:
                for at, line in enumerate(lines, number):
                    yield Lines(at, _pieces(line, longest), are_pieces=True)
            number += len(lines)
            pending, size = [], 0
        pending.append(rest)
        size += len(rest)
        if size > longest:
            whole = b"".join(pending)
            kept = len(whole) - (len(whole) - 1) % longest - 1  # the last piece stays open
            yield Lines(number, _pieces(whole[:kept].decode(BYTES), longest), are_pieces=True)
            pending, size = [whole[kept:]], len(whole) - kept
    if size:
        yield Lines(number, _pieces(b"".join(pending).decode(BYTES), longest), are_pieces=True)


def _pieces(line: str, longest: int) -> list[str]:
    if len(line) <= longest:
        return [line]
    return [line[at : at + longest] for at in range(0, len(line), longest)]


def record(line: str) -> str | None:
    """A line as a record: trailing CR and NUL taken off; None when it is blank."""
    return line.rstrip("\r\0") if line.strip(_BLANK) else None


def sources(paths: Sequence[str], block: int = BLOCK) -> list[Source]:
    """The inputs named on the command line; standard input when there are none.

    Args:
        paths: What is named.
        block: Bytes to read at a time.

    Raises:
        Failure: One cannot be read, or standard input is named twice.
    """
    if paths.count(STDIN) > 1:
        raise Failure("standard input (-) is named twice", "name it once")
    return [Source(path, block) for path in paths or [STDIN]]
