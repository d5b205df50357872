"""Which records take the short way from bytes to bytes, and how shapes are learnt.

A shape is one header's one way of spelling its pairs. Records that the ordinary way found plain
and without a note teach it; from then on such records are matched and written without an `Event`.
What is remembered is bounded, and the wire decides nothing but which shapes are tried: a flood of
new names, keys or spellings costs a look-up or two more than the ordinary way alone.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters import syslog
from datto_siem.converters.event import kinds
from datto_siem.converters.family import BOTH, NOTED, UNKNOWN, Family
from datto_siem.converters.lessons import another, is_open, narrowed, suited
from datto_siem.converters.memo import Memo
from datto_siem.converters.read import CUT_SIZES
from datto_siem.converters.remains import Impossible
from datto_siem.converters.senders import LONGEST_HEAD, Sender, head_of
from datto_siem.converters.shape import cef_shape, plan_shape
from datto_siem.converters.spelling import Spelling, in_order, is_clean, spelling
from datto_siem.converters.times import DAY, FLOOR, SECOND, iso

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

    from datto_siem.converters.assembly import Shape
    from datto_siem.converters.decoder import Decoder
    from datto_siem.converters.event import Event, Header
    from datto_siem.converters.plan.model import EventPlan
    from datto_siem.converters.senders import Key, Row
    from datto_siem.converters.tables.model import Target

OFTEN = 4
"""A header met this often is worth its first shape, which takes some milliseconds to make; twice as
often without a shape its second, and so on."""
MOST_SHAPES = 192
_MOST_EAGER = MOST_SHAPES // 2  # the others are for what comes often, whatever a flood begins with
_MOST_OF_HEADER = 10
MOST_HEADERS = 4_096
MOST_SENDERS = 16_384
_LONGEST = 8_191  # of a record; longer ones are not what shapes are for


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

_NONE: dict[Any, Any] = {}
_Kin = tuple[Any, Any]
"""A header, without its name where the table has one row for all names, and the notes that its
records have: what they have in common decides which shapes they can share."""


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
        self._families: dict[_Kin, Family] = {}
        self._seen: set[_Kin] = set()
        self._headers: dict[str, tuple[Family, Header]] = {}
        self._senders: dict[Key, Sender] = {}
        self._ready: dict[str | None, dict[Key, Row]] = {}
        self._count = 0  # of all those rows, with those that were taken out again
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
        text = raw.decode("latin-1")
        line = self.lines((text,), received, _not_here, peer, uid, ordinal).lines[0]
        return line.encode() or None

    def lines(
        self,
        records: Iterable[str],
        received: int,
        ordinary: Callable[[bytes, int], bytes],
        peer: str | None = None,
        uid: str | None = None,
        ordinal: int = 0,
    ) -> Written:
        """Records' finished lines.

        Args:
            records: Their bytes, as one character each (latin-1). With a line end they are a
                little slower.
            received: Their receive time.
            ordinary: Gives the line of a record (and its ordinal) that takes the ordinary way.
            peer: Address of their sender.
            uid: Id of the record, when there is one record.
            ordinal: Number of the first one.
        """
        limit, stamp, digits, longest = MOMENTS[received]
        if uid is not None and not is_clean(uid):
            longest = -1
        ready = self._ready.get(peer, _NONE) if longest > 0 else _NONE
        marked = [0, 0, 0, 0]
        lines: list[str] = []
        for number, text in enumerate(records, ordinal):
            head = None
            if text[:4] == "CEF:":
                row = ready.get(text.partition("=")[0])
            else:
                head = head_of(text)
                row = ready.get(head.groups()) if head else None
            if row is not None and len(text) not in CUT_SIZES and len(text) <= longest:
                write, given, end, count, marks = row
                if not end:
                    end = head.end()  # type: ignore[union-attr]
                words = in_order(text[end:], count) if count else ""
                line = write(
                    text, words, end, given, received, limit, stamp, digits, text, uid, number
                )
                if line is not None:  # nearly always
                    lines.append(line)
                    if marks:
                        marked[marks] += 1
                    continue
            more = (received, limit, stamp, digits, text, uid, number)
            tried = self._tried(text, head, peer, longest, more)
            if tried is None:
                line = ordinary(text.encode("latin-1"), number).decode("latin-1")
            else:
                line, marks = tried
                marked[marks] += 1
            lines.append(line)
            if longest > 0:
                ready = self._ready.get(peer, _NONE)
        return Written(lines, marked[NOTED] + marked[BOTH], marked[UNKNOWN] + marked[BOTH])

    def _tried(
        self,
        line: str,
        head: re.Match[str] | None,
        peer: str | None,
        longest: int,
        more: tuple[Any, ...],
    ) -> tuple[str, int] | None:
        """A record's finished line, and its marks, of whatever shape it is.

        Makes the shape ready for the sender's next records, or sees to it that it is not.
        """
        text = line.rstrip("\r\n\0")
        key: Key
        if head is not None:
            key, end = head.groups(), head.end()
            sender = self._senders.get(key) or self._meet(text, head)
        elif text[:4] == "CEF:":
            key = text.partition("=")[0]
            sender = self._senders.get(key) or self._meet_bare(key)
            end = sender.end if sender else 0
        else:
            return None
        if sender is None or len(text) in CUT_SIZES or len(text) > longest:
            return None
        family = sender.family
        if family.rest:  # a flood: not tried
            family.rest -= 1
            return None
        found = sender.tried(text, end, peer, more)
        if found is None:
            family.miss()
            self._ready.get(peer, _NONE).pop(key, None)
            return None
        family.in_vain = 0
        written, row = found
        if text is line:
            self._prepare(sender, peer, key, row)
        return written, row.marks

    def _prepare(self, sender: Sender, peer: str | None, key: Key, row: Row) -> None:
        """Have a sender's next records tried with a row at once."""
        if self._count >= MOST_SENDERS:
            self._ready, self._count = {}, 0
        rows = self._ready.get(peer, {})
        ready = sender.ready(row, peer, key, rows)
        if ready is not None:
            rows[key] = ready
            self._ready[peer] = rows
            self._count += 1

    def learn(self, event: Event, eager: bool = False) -> bool:
        """Take note of a record that no shape took.

        Args:
            event: It.
            eager: Whether a documented event is worth a shape at once, since many records follow.

        Returns:
            Whether it led to a shape, which will take it now.
        """
        if event.quick is None or event.repairs or event.original_text is not event.text:
            return False
        kin, made = _kin(event), self._made
        documented = event.reading.activity != "unknown"
        eager = eager and documented and self._made < _MOST_EAGER
        family = self._families.get(kin)
        if family is None:
            if not eager and kin not in self._seen:  # once is not often: it may be a flood
                if len(self._seen) >= MOST_HEADERS:
                    self._seen.clear()
                self._seen.add(kin)
                return False
            if len(self._families) >= MOST_HEADERS:
                kept = {kin: each for kin, each in self._families.items() if each.shapes}
                self._families = kept
            family = self._families[kin] = Family(1 if eager else OFTEN)
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
                self._headers[header] = family, event.head
        return self._made > made

    def _meet(self, text: str, head: re.Match[str]) -> Sender | None:
        """A sender's first record of a header that has shapes, which makes the sender known."""
        start, end = text.find("CEF:"), head.end()
        known = self._headers.get(text[start:end]) if start >= 0 else None
        if known is None or start < head.start(3) or end > LONGEST_HEAD:
            return None
        if not is_clean(text[:end]):
            return None
        envelope = syslog.prefix(text[:start]) if start else syslog.NO_ENVELOPE
        return self._remember(head.groups(), Sender(*known, envelope, end))

    def _meet_bare(self, start: str) -> Sender | None:
        """The same for a record without a prefix; `start` is all before its first equals sign."""
        end = start.rfind("|", 0, LONGEST_HEAD) + 1
        known = self._headers.get(start[:end])
        if known is None or len(start) > LONGEST_HEAD or not is_clean(start):
            return None
        return self._remember(start, Sender(*known, syslog.NO_ENVELOPE, end))

    def _remember(self, key: Key, sender: Sender) -> Sender:
        if len(self._senders) >= MOST_SENDERS:
            self._senders.clear()
        self._senders[key] = sender
        return sender

    def _teach(self, event: Event, family: Family) -> None:
        """Make a shape of a record without notes of its own."""
        entry = self._decoder.remembered(event.text[len(event.prefix) : event.begins])
        if entry is None or event.notes != list(entry.notes):
            return  # the next one may do
        family.met, family.patience = 0, 2 * family.patience
        dialect = entry.dialect
        lists = dict(dialect.lists)
        found = spelling(event, bool(dialect.colon), lists, is_open(event.reading))
        if found is None:
            return
        found = another(found, family.spellings)
        family.marks = NOTED * bool(entry.notes)
        family.marks |= UNKNOWN * (event.reading.activity == "unknown")
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
            self._ready = {}
            self._made += 1

    def _shape(self, event: Event, found: Spelling, plans: list[EventPlan]) -> Shape:
        lookups = self._decoder.tables.lookups
        if not plans:
            return cef_shape(found, lookups, self._types, self._cef_version)
        narrow, _ = narrowed(event.reading, found)
        return plan_shape(plans, narrow, found, lookups, self._types, kinds(event.early or []))


def _kin(event: Event) -> _Kin:
    head = event.head
    return (head._replace(name="") if is_open(event.reading) else head), tuple(event.early or ())


def _not_here(raw: bytes, ordinal: int) -> bytes:
    return b""
