"""Which records take the short way from bytes to bytes, and how shapes are learnt.

A shape is one header's one way of spelling its pairs. Records that the ordinary way found plain
and without a note teach it; from then on such records are matched and written without an `Event`.
What is remembered is bounded, and the wire decides nothing but which shapes are tried: a flood of
new names, keys or spellings costs a few look-ups more than the ordinary way alone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters import syslog
from datto_siem.converters.event import kinds
from datto_siem.converters.given import ATTRIBUTES
from datto_siem.converters.plan.compile import compile_event
from datto_siem.converters.plan.reading import SURE_PARTS
from datto_siem.converters.read import CUT_SIZES
from datto_siem.converters.remains import Impossible
from datto_siem.converters.shape import cef_shape, plan_shape
from datto_siem.converters.spelling import Spelling, in_order, is_clean, spelling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.assembly import Shape
    from datto_siem.converters.decoder import Decoder
    from datto_siem.converters.event import Event, Header
    from datto_siem.converters.plan.model import Reading
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

_stamp = re.compile(
    r"(?:<[0-9]{1,3}>)?(?:1 )?(?:()[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"|()[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z) "
).match
"""A syslog time: all that differs between two records of one header and sender."""


_Row = tuple[Any, Any, bool, int]
"""A shape's `write`, what the sender decides for it, `ordered` and `equals`."""


class Family:
    """One header's shapes.

    Attributes:
        noted: Whether its records always have a note, as those that are inferred.
        unknown: Whether no table row names the event.
    """

    __slots__ = ("met", "noted", "patience", "shapes", "spellings", "unknown")

    def __init__(self) -> None:
        """No shapes yet."""
        self.met = 0
        self.patience = OFTEN
        self.shapes: list[Shape] = []
        self.spellings: list[Spelling] = []
        self.noted = False
        self.unknown = False


class _Sender:
    """One header as one sender sends it: what a line's beginning says, its time left out."""

    __slots__ = ("envelope", "family", "prepared")

    def __init__(self, family: Family, envelope: Envelope) -> None:
        self.family = family
        self.envelope = envelope
        self.prepared: tuple[list[Shape] | None, str | None, list[_Row]] = (None, None, [])

    def prepare(self, peer: str | None) -> list[_Row]:
        """Work out for each shape what the sender decides; one assignment, for other threads."""
        usable = peer is None or is_clean(peer)
        shapes = self.family.shapes
        rows: list[_Row] = [
            (each.write, each.sender(self.envelope, peer), each.ordered, each.equals)
            for each in shapes
            if usable
        ]
        self.prepared = (shapes, peer, rows)
        return rows


class Held(NamedTuple):
    """How much is remembered."""

    headers: int
    senders: int
    shapes: int


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
        self._headers: dict[str, Family] = {}
        self._senders: tuple[dict[str, _Sender], ...] = ({}, {}, {})  # by form of the time
        self._plain_senders = self._senders[0]
        self._made = 0

    @property
    def held(self) -> Held:
        """How much is remembered at present."""
        return Held(len(self._families), sum(map(len, self._senders)), self._made)

    def write(
        self,
        raw: bytes,
        received: int,
        peer: str | None = None,
        uid: str | None = None,
        ordinal: int = 0,
    ) -> tuple[bytes, Family] | None:
        """A record's finished line and its family; None when the ordinary way must be taken.

        The arguments are those of `Decoder.decode`.
        """
        text = raw.decode("latin-1")
        if text[-1:] < " ":
            text = text.rstrip("\r\n\0")
        stamp = _stamp(text)
        if stamp is None:
            end = text.rfind("|", 0, text.find("=")) + 1
            sender = self._plain_senders.get(text[:end])
        else:
            form, begin = stamp.lastindex or 0, stamp.end()
            end = text.rfind("|", begin, text.find("=", begin)) + 1
            sender = self._senders[form].get(text[: stamp.end(form)] + text[begin:end])
        if sender is None:
            sender = self._meet(text, stamp, end)
            if sender is None:
                return None
        size = len(text)
        if size > _LONGEST or size in CUT_SIZES or (uid is not None and not is_clean(uid)):
            return None
        family = sender.family
        shapes, known_peer, rows = sender.prepared
        if shapes is not family.shapes or known_peer != peer:
            rows = sender.prepare(peer)
        equals = text.count("=", end) if len(rows) > 1 else -1
        words = ""
        for write, given, ordered, count in rows:
            if count != equals >= 0 or given is None:
                continue
            if not (ordered or words):
                words = in_order(text[end:])
            line = write(text, words, end, given, received, raw, uid, ordinal)
            if line is not None:
                return line, family
        return None

    def learn(self, event: Event) -> None:
        """Take note of a record that the ordinary way was taken for."""
        if event.quick is None or event.repairs or event.original_text is not event.text:
            return
        family = self._families.get(event.head)
        if family is None:
            if len(self._families) >= MOST_HEADERS:
                kept = {head: each for head, each in self._families.items() if each.shapes}
                self._families = kept
            if len(self._families) < MOST_HEADERS:
                self._families[event.head] = Family()
            return
        family.met += 1
        if family.met >= family.patience and self._made < MOST_SHAPES:
            family.met, family.patience = 0, max(PATIENCE, 2 * family.patience)
            if len(family.shapes) < _MOST_OF_HEADER:
                self._teach(event, family)
        if family.shapes and len(self._headers) < MOST_HEADERS:
            header = event.text[len(event.prefix) : event.begins]
            if header not in self._headers and self._decoder.remembered(header) is not None:
                self._headers[header] = family

    def _meet(self, text: str, stamp: re.Match[str] | None, end: int) -> _Sender | None:
        """A sender's first record of a header that has shapes, which makes the sender known."""
        start = text.find("CEF:")
        family = self._headers.get(text[start:end]) if start >= 0 else None
        form = (stamp.lastindex or 0) if stamp else 0
        begin = stamp.end() if stamp else 0
        if family is None or start < begin or not is_clean(text[:end]):
            return None
        prefix = text[:start]
        key = text[: stamp.end(form)] + text[begin:end] if stamp else text[:end]
        senders = self._senders[form]
        if len(senders) >= MOST_SENDERS:
            senders.clear()
        senders[key] = _Sender(family, syslog.prefix(prefix) if prefix else syslog.NO_ENVELOPE)
        return senders[key]

    def _teach(self, event: Event, family: Family) -> None:
        """Make a shape of a record without notes of its own."""
        entry = self._decoder.remembered(event.text[len(event.prefix) : event.begins])
        if entry is None or event.notes != list(entry.notes):
            return
        dialect = entry.dialect
        found = spelling(event, bool(dialect.colon), dict(dialect.lists))
        if found is None:
            return
        found = _another(found, family.spellings)
        if found in family.spellings:
            return
        family.noted = bool(entry.notes)
        family.unknown = event.reading.activity == "unknown"
        try:
            shape = self._shape(event, found)
        except Impossible:
            family.spellings.append(found)  # not to be tried again
            return
        family.spellings.append(found)
        family.shapes = [*family.shapes, shape]
        self._made += 1

    def _shape(self, event: Event, found: Spelling) -> Shape:
        lookups = self._decoder.tables.lookups
        head = event.head
        if self._target is None:
            return cef_shape(head, found, lookups, self._types, self._cef_version)
        narrow, sure = _narrow(event.reading, found)
        known = {
            name: value
            for name, path in ATTRIBUTES.items()
            if path.startswith("head.")
            if (value := getattr(head, path.removeprefix("head.")))
        }
        plan = compile_event(self._decoder.tables, self._target, narrow, known, sure)
        notes = kinds(event.early or [])
        return plan_shape(plan, narrow, found, lookups, self._types, notes)


def _another(found: Spelling, known: list[Spelling]) -> Spelling:
    """The spelling to make a shape of, beside those there are.

    Values of other forms than before get the wide form; keys in another order than before count in
    any order from now on, if they can.
    """
    for each in known:
        if each.ordered and each.keys == found.keys:
            found = found.widened(each)
    if any(each.ordered and each.keys == found.keys for each in known):
        return found
    ordered = found.sorted()
    if ordered is None:
        return found
    same = [each for each in known if sorted(each.keys) == sorted(found.keys)]
    if not same and not any(not each.ordered for each in known):
        return found
    for each in same:
        ordered = ordered.widened(each.sorted() or each)
    return ordered


def _narrow(reading: Reading, found: Spelling) -> tuple[Reading, frozenset[str]]:
    """What the spelling gives, and the fields that it always gives."""
    rows = {}
    sure = set()
    for pair in found.pairs:
        if pair.cast is None or pair.form == "empty":
            continue
        rows[pair.cast.key] = replace(pair.cast, parts=pair.parts)
        for part, name in pair.parts:
            if pair.form != "wide" or not part or part in SURE_PARTS:
                sure.add(name)
    return replace(reading, casts=tuple(rows.values())), frozenset(sure)
