"""What the beginning of a line says, so that the next one like it is found by one look-up.

A line without a syslog header is known by all before its first equals sign, one with a header by
the same without the header's time. Who sent it, and by which header, is then worked out once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.spelling import FIRM, in_order, is_clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.converters.assembly import Shape
    from datto_siem.converters.event import Header
    from datto_siem.converters.family import Family
    from datto_siem.converters.syslog import Envelope

LONGEST_HEAD = 1_024
"""Characters of a prefix and a header that are remembered."""
_STEADY = 16
"""Records in a row that one of several shapes took, until it is tried before all else."""

_D = "[0-9]"  # written out: counting to two costs more
_CLOCK = f"{_D}{_D}:{_D}{_D}:{_D}{_D}"
head_of = re.compile(
    rf"(?:({FIRM}<[0-9]{{1,3}}>|){FIRM}1 |))"
    rf"(?:([A-Z])[a-z][a-z] [ 0-9]{_D} {_CLOCK}"
    rf"|{_D}{_D}{_D}{_D}-{_D}{_D}-{_D}{_D}T{_CLOCK}{FIRM}\.[0-9]{{1,9}}|)Z) |)([^=]*\|)"
).match
"""What stands before a record's pairs. The groups leave a syslog header's time out, but tell of
which form it is: that is all that differs between two records of one header and sender."""

Key = Any
"""The groups of `head_of`, or the beginning of a line without a syslog header."""


class Row(NamedTuple):
    """A shape as it writes one sender's records.

    Attributes:
        write: The shape's.
        given: What the sender decides for it.
        end: Where the header of a line without a prefix ends, else 0.
        words: How many pairs to sort; 0 for a shape of one order.
        marks: The family's.
    """

    write: Callable[..., str | None]
    given: tuple[Any, ...]
    end: int
    words: int
    marks: int


_Held = tuple[list[Any], Any, dict[int, Any]]
"""A family's shapes, the address of a sender, and by place the rows of those that were tried."""


class Sender:
    """One header as one sender sends it."""

    __slots__ = ("_held", "_last", "_met", "_streak", "end", "envelope", "family", "header")

    def __init__(self, family: Family, header: Header, envelope: Envelope, end: int) -> None:
        """`end` is where the header of a line without a prefix ends, else 0."""
        self.family = family
        self.header = header
        self.envelope = envelope
        self.end = end
        self._held: _Held = ([], None, {})
        self._last: Row | None = None
        self._streak = 0
        self._met = False

    def tried(
        self, text: str, end: int, peer: str | None, more: tuple[Any, ...]
    ) -> tuple[str, Row] | None:
        """What the first shape that takes a record makes of it, and that shape's row.

        Args:
            text: The line.
            end: Where its header ends.
            peer: Address of its sender.
            more: The further arguments of `Shape.write`.
        """
        equals = text.count("=")  # a header has none
        words = ""
        shapes = self.family.shapes
        held = self._held
        if held[0] is not shapes or held[1] != peer:
            held = self._held = (shapes, peer, {})  # one assignment, for other threads
        rows = held[2]
        for at, shape in enumerate(shapes):
            if shape.equals != equals:
                continue
            if at not in rows:
                if shape.ordered and shape.match(text, end) is None:
                    continue  # seen before anything is worked out for a sender who may never return
                rows[at] = self._row(shape, peer)
            row = rows[at]
            if row is None:
                continue
            if row.words and not words:
                words = in_order(text[end:], equals)
            line = row.write(text, words, end, row.given, *more)
            if line is not None:
                self._streak = self._streak + 1 if row is self._last else 0
                self._last = row
                return line, row
        return None

    def ready(self, row: Row, peer: str | None, key: Key, rows: dict[Key, Row]) -> Row | None:
        """What to have the sender's next records tried with at once, if that is worth it already.

        Args:
            row: What took the last one.
            peer: Address of the sender.
            key: Where in `rows` what is given here will stand.
            rows: All that are ready.
        """
        if len(self.family.shapes) == 1 or self._streak >= _STEADY:
            return row
        if not self._met:  # many have one record only in a flood of them
            self._met = True
            return None

        def write(text: str, _: str, end: int, __: tuple[Any, ...], *more: Any) -> str | None:
            found = self.tried(text, end, peer, more)
            if found is None:
                return None
            if self._streak >= _STEADY:
                rows[key] = found[1]
            return found[0]

        return Row(write, (), self.end, 0, row.marks)

    def _row(self, shape: Shape, peer: str | None) -> Row | None:
        """A shape's row; None where it is not for this sender."""
        usable = peer is None or is_clean(peer)
        given = shape.sender(self.envelope, peer, self.header) if usable else None
        if given is None:
            return None
        words = 0 if shape.ordered else shape.equals
        return Row(shape.write, given, self.end, words, self.family.marks)
