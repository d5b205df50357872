"""Gzip data as it streams in, unpacked in bounded parts, everything before a fault saved."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"\x1f\x8b\x08"
LARGEST = 1 << 18
_SLICE = 1 << 10  # packed bytes fed at once: what has to be gone over again when they are broken


class Broken(Exception):
    """The data are no gzip data from here on, or end too early; the text says which."""


class Unpacker:
    """Members one after the other; zero padding after one is let through, as `gzip` does."""

    def __init__(self) -> None:
        """Nothing unpacked yet."""
        self._member = zlib.decompressobj(31)
        self._begun = False

    def unpack(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The content, in parts of at most 256 KiB.

        Raises:
            Broken: After every part that could be read.
        """
        for block in blocks:
            for at in range(0, len(block), _SLICE):
                yield from self._feed(block[at : at + _SLICE])
        if self._begun and not self._member.eof:
            raise Broken("cut off")

    def _feed(self, packed: bytes) -> Iterator[bytes]:
        more = True
        while packed or more:
            if self._member.eof:
                packed = packed.lstrip(b"\0")
                if not packed:
                    return
                self._member = zlib.decompressobj(31)
            self._begun = True
            before = self._member.copy()
            try:
                part = self._member.decompress(packed, LARGEST)
            except zlib.error as error:
                yield from _salvaged(before, packed)
                raise Broken("broken") from error
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            more = len(part) == LARGEST
            if part:
                yield part


def _salvaged(member: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """Everything before the first broken byte."""
    for at in range(len(packed)):
        try:
            part = member.decompress(packed[at : at + 1])
        except zlib.error:
            return
        if part:
            yield part
