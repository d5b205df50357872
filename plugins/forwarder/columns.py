"""The bytes of a batch: many records as columns, so that reading them back is slicing.

Owns the layout and its checksum; where a batch is stored is the segment's matter.

Layout, little-endian: magic, CRC-32 of all that follows, first offset, number of records, number
of peers, bytes of the peer table; lengths (u32 each), receive times (i64 each), the peer table
(u32 length and UTF-8 each), with two or more peers an index for each record (u32), then the
records themselves, one behind the other.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from functools import partial
from itertools import accumulate, repeat
from typing import TYPE_CHECKING

from datto_siem.plugins.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datto_siem.plugins.source import Arrival

MAGIC = b"DSB1"
_HEADER = struct.Struct("<4sIQIII")
_CHECKED = 8  # where the checksummed part begins
_LENGTH = struct.Struct("<I")
_SWAPPED = sys.byteorder == "big"
_PEER_ERRORS = "surrogatepass"  # a file's name may hold bytes that are no UTF-8

_record = partial(tuple.__new__, Record)  # `Record._make` without its Python frame


class Damaged(ValueError):
    """Bytes that are no batch, or no longer."""


def encode(first: int, arrivals: Sequence[Arrival]) -> bytes:
    """One batch as bytes.

    Args:
        first: Offset of its first record.
        arrivals: At least one.
    """
    raws, times, peers = zip(*arrivals, strict=True)
    distinct = {peer: place for place, peer in enumerate(dict.fromkeys(peers))}
    table = b"".join(_prefixed(peer.encode("utf-8", _PEER_ERRORS)) for peer in distinct)
    parts = [
        _HEADER.pack(MAGIC, 0, first, len(raws), len(distinct), len(table))[_CHECKED:],
        _packed("I", map(len, raws)),
        _packed("q", times),
        table,
        _packed("I", map(distinct.__getitem__, peers)) if len(distinct) > 1 else b"",
        *raws,
    ]
    body = b"".join(parts)
    return MAGIC + _LENGTH.pack(zlib.crc32(body)) + body


def extent(blob: bytes) -> tuple[int, int]:
    """The first offset and the number of records of a whole batch.

    Raises:
        Damaged: The checksum says otherwise.
    """
    if len(blob) < _HEADER.size:
        raise Damaged("shorter than its header")
    magic, crc, first, count, _, _ = _HEADER.unpack_from(blob)
    if magic != MAGIC or zlib.crc32(memoryview(blob)[_CHECKED:]) != crc:
        raise Damaged("the checksum does not match")
    return first, count


def decode(blob: bytes) -> list[Record]:
    """The records of a batch, with their offsets.

    Raises:
        Damaged: The checksum or the layout does not hold.
    """
    first, count = extent(blob)
    _, _, _, _, distinct, table = _HEADER.unpack_from(blob)
    lengths, at = _column("I", blob, _HEADER.size, count)
    times, at = _column("q", blob, at, count)
    names, at = _peers(blob, at, distinct, table)
    peers: Iterable[str] = repeat(names[0], count) if names else ()
    if distinct > 1:
        places, at = _column("I", blob, at, count)
        peers = map(names.__getitem__, places)
    ends = list(accumulate(lengths, initial=at))
    if ends[-1] != len(blob):
        raise Damaged("the lengths do not add up")
    raws = map(blob.__getitem__, map(slice, ends, ends[1:]))
    return list(map(_record, zip(raws, times, peers, range(first, first + count), strict=True)))


def times(blob: bytes) -> Sequence[int]:
    """The receive times of a batch that was checked before."""
    count: int = _HEADER.unpack_from(blob)[3]
    return _column("q", blob, _HEADER.size + 4 * count, count)[0]


def _prefixed(data: bytes) -> bytes:
    """Bytes behind their length."""
    return _LENGTH.pack(len(data)) + data


def _packed(code: str, values: Iterable[int]) -> bytes:
    """Numbers as little-endian bytes."""
    column = array(code, values)
    if _SWAPPED:
        column.byteswap()
    return column.tobytes()


def _column(code: str, blob: bytes, at: int, count: int) -> tuple[array[int], int]:
    """A column of numbers and where it ends."""
    column = array(code)
    end = at + count * column.itemsize
    if end > len(blob):
        raise Damaged("a column is cut off")
    column.frombytes(blob[at:end])
    if _SWAPPED:
        column.byteswap()
    return column, end


def _peers(blob: bytes, at: int, distinct: int, nbytes: int) -> tuple[list[str], int]:
    """The table of peers and where it ends."""
    end = at + nbytes
    names = []
    for _ in range(distinct):
        if at + _LENGTH.size > end:
            raise Damaged("the table of peers is cut off")
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(blob, at)[0]
        names.append(blob[start:at].decode("utf-8", _PEER_ERRORS))
    if at != end:
        raise Damaged("the table of peers does not add up")
    return names, end
