"""Which records take the short way from bytes to bytes, and how shapes are learnt.

A shape is one header's one way of spelling its pairs. Records that the ordinary way found plain
and without a note teach it; from then on such records are matched and written without an `Event`.
What is remembered is bounded, and the wire decides nothing but which shapes are tried: a flood of
new names, keys or spellings costs a look-up or two more than the ordinary way alone.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters import syslog
from datto_siem.converters.event import kinds
from datto_siem.converters.family import Family
from datto_siem.converters.lessons import another, narrowed, suited
from datto_siem.converters.memo import Memo
from datto_siem.converters.read import CUT_SIZES
from datto_siem.converters.remains import Impossible
from datto_siem.converters.shape import cef_shape, plan_shape
from datto_siem.converters.spelling import FIRM, Spelling, in_order, is_clean, spelling
from datto_siem.converters.times import DAY, FLOOR, SECOND, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from datto_siem.converters.assembly import Shape
    from datto_siem.converters.decoder import Decoder
    from datto_siem.converters.event import Event, Header
    from datto_siem.converters.plan.model import EventPlan
    from datto_siem.converters.syslog import Envelope
    from datto_siem.converters.tables.model import Target

OFTEN = 4
"""A header met this often is worth its first shape, which takes some milliseconds to make."""
MOST_SHAPES = 192
PATIENCE = 32
"""Records without a shape of a header that has some, before it gets another."""
_MOST_OF_HEADER = 10
MOST_HEADERS = 4_096
MOST_SENDERS = 16_384
_LONGEST = 8_191  # of a record; longer ones are not what shapes are for

_LONGEST_HEAD = 1_024  # of a prefix and a header that are remembered

_D = "[0-9]"  # written out: counting to two costs more
_CLOCK = f"{_D}{_D}:{_D}{_D}:{_D}{_D}"
_head = re.compile(
    rf"(?:({FIRM}<[0-9]{{1,3}}>|){FIRM}1 |))"
    rf"(?:([A-Z])[a-z][a-z] [ 0-9]{_D} {_CLOCK}"
    rf"|{_D}{_D}{_D}{_D}-{_D}{_D}-{_D}{_D}T{_CLOCK}{FIRM}\.[0-9]{{1,9}}|)Z) |)([^=]*\|)"
).match
"""What stands before a record's pairs. The groups leave a syslog header's time out, but tell of
which form it is: that is all that differs between two records of one header and sender."""


def _moment(received: int) -> tuple[str, str, str, int]:
    if not FLOOR <= received < _END:
        return "", "", "", -1
    end = f"{(received + DAY) // SECOND}"
    return end[1:] if end[0] == "1" else _NEVER, iso(received), f"{received}", _LONGEST


_END = 10_000_000_000_000  # the year 2286: later receive times are left to the ordinary way
_NEVER = ":"  # what comes after all digits
MOMENTS: Memo[int, tuple[str, str, str, int]] = Memo(_moment, 1_024)
"""Receive time -> the end of the plausible seconds, without the first of their ten digits, a one;
itself as ISO 8601 writes it, and in milliseconds; the longest record."""

_Row = tuple[Any, Any, bool, int]
"""A shape's `write`, what the sender decides for it, `ordered` and `equals`."""


class _Sender:
    """One header as one sender sends it: what a line's beginning says, its time left out.

    `end` is where the header of a record without a prefix ends.
    """

    __slots__ = ("end", "envelope", "family", "prepared")

    def __init__(self, family: Family, envelope: Envelope, end: int) -> None:
        self.family = family
        self.envelope = envelope
        self.end = end
        self.prepared: tuple[list[Shape] | None, str | None, list[_Row]] = (None, None, [])

    def prepare(self, peer: str | None) -> list[_Row]:
        """Work out for each shape what the sender decides; one assignment, for other threads."""
        usable = peer is None or is_clean(peer)
        shapes = self.family.shapes
        rows: list[_Row] = [
            (each.write, given, each.ordered, each.equals)
            for each in shapes
            if usable and (given := each.sender(self.envelope, peer)) is not None
        ]
        self.prepared = (shapes, peer, rows)
        return rows


class Held(NamedTuple):
    """How much is remembered."""

    headers: int
    senders: int
    shapes: int


class Written(NamedTuple):
    """Finished lines, and how many of those by shapes have a note or an unknown event.

    A line's characters are the bytes of its UTF-8 (latin-1), so that all can be encoded at once.
    """

    lines: list[str]
    noted: int
    unknown: int


class Shapes:
    """The shapes of one target and version; safe to share between threads."""

    def __init__(
        self,
        decoder: Decoder,
        target: Target | None,
        types: Mapping[str, str],
        cef_version: int = 0,
    ) -> None:
        """`target` is None for canonical CEF."""
        self._decoder = decoder
        self._target = target
        self._types = types
        self._cef_version = cef_version
        self._families: dict[Header, Family] = {}
        self._seen: set[Header] = set()
        self._headers: dict[str, Family] = {}
        self._senders: dict[tuple[str, ...] | str, _Sender] = {}
        self._made = 0

    @property
    def held(self) -> Held:
        """How much is remembered at present."""
        return Held(len(self._seen) + len(self._families), len(self._senders), self._made)

    def write(
        self,
        raw: bytes,
        received: int,
        peer: str | None = None,
        uid: str | None = None,
        ordinal: int = 0,
    ) -> bytes | None:
        """A record's finished line; None when the ordinary way must be taken.

        The arguments are those of `Decoder.decode`.
        """
        line = self.lines((raw,), received, _not_here, peer, uid, ordinal).lines[0]
        return line.encode() or None

    def lines(
        self,
        raws: Iterable[bytes],
        received: int,
        ordinary: Callable[[bytes, int], bytes],
        peer: str | None = None,
        uid: str | None = None,
        ordinal: int = 0,
    ) -> Written:
        """Records' finished lines.

        Args:
            raws: The records.
            received: Their receive time.
            ordinary: Gives the line of a record (and its ordinal) that takes the ordinary way.
            peer: Address of their sender.
            uid: Id of the record, when there is one record.
            ordinal: Number of the first one.
        """
        senders = self._senders
        limit, stamp, digits, longest = MOMENTS[received]
        if uid is not None and not is_clean(uid):
            longest = -1
        noted = unknown = 0
        lines: list[str] = []
        for number, raw in enumerate(raws, ordinal):
            text = raw.decode("latin-1")
            if text[-1:] < " ":
                text = text.rstrip("\r\n\0")
            if text[:4] == "CEF:":
                start = text.partition("=")[0]
                sender = senders.get(start) or self._meet_bare(start)
                end = sender.end if sender else 0
            else:
                head = _head(text)
                sender = head and (senders.get(head.groups()) or self._meet(text, head))
                end = head.end() if head else 0
            size = len(text)
            if sender is None or size in CUT_SIZES or size > longest:
                lines.append(ordinary(raw, number).decode("latin-1"))
                continue
            shapes, known_peer, rows = sender.prepared
            family = sender.family
            if family.rest:  # a flood: not tried
                family.rest -= 1
                lines.append(ordinary(raw, number).decode("latin-1"))
                continue
            if shapes is not family.shapes or known_peer != peer:
                rows = sender.prepare(peer)
            if len(rows) == 1:  # nearly always
                write, given, ordered, count = rows[0]
                words = "" if ordered else in_order(text[end:], count)
                line = write(
                    text, words, end, given, received, limit, stamp, digits, raw, uid, number
                )
            else:
                more = (received, limit, stamp, digits, raw, uid, number)
                line = _tried(rows, text, end, more)
            if line is None:
                family.miss()
                lines.append(ordinary(raw, number).decode("latin-1"))
                continue
            lines.append(line)
            if family.in_vain:
                family.in_vain = 0
            if family.remarkable:
                noted += family.noted
                unknown += family.unknown
        return Written(lines, noted, unknown)

    def learn(self, event: Event) -> None:
        """Take note of a record that the ordinary way was taken for."""
        if event.quick is None or event.repairs or event.original_text is not event.text:
            return
        head = event.head
        family = self._families.get(head)
        if family is None:
            if head not in self._seen:  # once is not often, and a flood of names is no reason
                if len(self._seen) >= MOST_HEADERS:
                    self._seen.clear()
                self._seen.add(head)
                return
            if len(self._families) >= MOST_HEADERS:
                kept = {head: each for head, each in self._families.items() if each.shapes}
                self._families = kept
            family = self._families[head] = Family(OFTEN)
        family.met += 1
        if (
            family.met >= family.patience
            and self._made < MOST_SHAPES
            and len(family.shapes) < _MOST_OF_HEADER
        ):
            self._teach(event, family)
        if family.shapes and len(self._headers) < MOST_HEADERS:
            header = event.text[len(event.prefix) : event.begins]
            if header not in self._headers and self._decoder.remembered(header) is not None:
                self._headers[header] = family

    def _meet(self, text: str, head: re.Match[str]) -> _Sender | None:
        """A sender's first record of a header that has shapes, which makes the sender known."""
        start, end = text.find("CEF:"), head.end()
        family = self._headers.get(text[start:end]) if start >= 0 else None
        if family is None or start < head.start(3) or end > _LONGEST_HEAD:
            return None
        if not is_clean(text[:end]):
            return None
        envelope = syslog.prefix(text[:start]) if start else syslog.NO_ENVELOPE
        return self._remember(head.groups(), _Sender(family, envelope, end))

    def _meet_bare(self, start: str) -> _Sender | None:
        """The same for a record without a prefix; `start` is all before its first equals sign."""
        end = start.rfind("|", 0, _LONGEST_HEAD) + 1
        family = self._headers.get(start[:end])
        if family is None or len(start) > _LONGEST_HEAD or not is_clean(start):
            return None
        return self._remember(start, _Sender(family, syslog.NO_ENVELOPE, end))

    def _remember(self, key: tuple[str, ...] | str, sender: _Sender) -> _Sender:
        if len(self._senders) >= MOST_SENDERS:
            self._senders.clear()
        self._senders[key] = sender
        return sender

    def _teach(self, event: Event, family: Family) -> None:
        """Make a shape of a record without notes of its own."""
        entry = self._decoder.remembered(event.text[len(event.prefix) : event.begins])
        if entry is None or event.notes != list(entry.notes):
            return  # the next one may do
        family.met, family.patience = 0, max(PATIENCE, 2 * family.patience)
        dialect = entry.dialect
        found = spelling(event, bool(dialect.colon), dict(dialect.lists))
        if found is None:
            return
        found = another(found, family.spellings)
        family.noted = bool(entry.notes)
        family.unknown = event.reading.activity == "unknown"
        family.remarkable = family.noted or family.unknown
        tables, target = self._decoder.tables, self._target
        plans = suited(event, found, tables, target) if target is not None else []
        taught = (found, len(plans))
        if taught in family.taught:
            return
        family.taught.add(taught)
        family.spellings.append(found)
        with suppress(Impossible):
            shape = self._shape(event, found, plans)
            family.shapes = [*family.shapes, shape]
            family.in_vain = family.rest = 0
            self._made += 1

    def _shape(self, event: Event, found: Spelling, plans: list[EventPlan]) -> Shape:
        lookups = self._decoder.tables.lookups
        if not plans:
            return cef_shape(event.head, found, lookups, self._types, self._cef_version)
        narrow, _ = narrowed(event.reading, found)
        return plan_shape(plans, narrow, found, lookups, self._types, kinds(event.early or []))


def _tried(rows: list[_Row], text: str, end: int, more: tuple[Any, ...]) -> str | None:
    """What the first of several shapes that takes a record makes of it."""
    equals = text.count("=")  # a header has none
    words = ""
    for write, given, ordered, count in rows:
        if count != equals:
            continue
        if not (ordered or words):
            words = in_order(text[end:], equals)
        line: str | None = write(text, words, end, given, *more)
        if line is not None:
            return line
    return None


def _not_here(raw: bytes, ordinal: int) -> bytes:
    return b""
