"""One decoded record: header, pairs, typed fields, notes, envelope, original."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from datto_siem.converters.identity import uid
from datto_siem.converters.notes import Note
from datto_siem.converters.scalars import address
from datto_siem.converters.syslog import NO_ENVELOPE, Envelope, prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.plan.model import Reading


class Header(NamedTuple):
    """The seven header fields, unescaped; a missing one is empty."""

    version: str
    vendor: str
    product: str
    device_version: str
    class_id: str
    name: str
    severity: str


NO_HEADER = Header("", "", "", "", "", "", "")
FRAMING = b"\r\n\0"


class Row(Protocol):
    """The source table's row that a record is read by, as an event needs it."""

    @property
    def reading(self) -> Reading:
        """What the row says."""

    def scan(self, event: Event, parts: Parts) -> None:
        """Split the record into pairs."""

    def read(self, event: Event, parts: Parts) -> None:
        """Read fields from its pairs."""


class Event:
    r"""What was made of one record.

    Typed fields are worked out when they are first asked for; a converter's fast path reads the
    pairs directly and never asks.

    Attributes:
        head: The CEF header; all empty when the record is not CEF (`header` is None then).
        text: The record as text, without framing (trailing CR, LF, NUL and blanks).
        original_text: The record as text, only trailing CR, LF and NUL taken off; bytes that are no
            UTF-8 as `\\xNN`.
        raw: The record's bytes as received.
        received: Receive time in milliseconds.
        peer: Who sent it, as the id counts it: an address, a file's name, or None.
        reading: The row of the source table that the record is read by.
        fault: Why the record could not be decoded, or None.
        body: Body of a record that is not CEF.
        prefix: Text before the CEF header.
        begins: Where the extension begins in `text`.
        ordinal: Number of the record in its input.
        known_envelope: The envelope, once it was read.
        quick: Wire key -> text, when the record is a plain run of documented pairs; else None.
        repairs: What had to be repaired to get `quick`.
        early: Notes of header and envelope, before fields are read.
    """

    __slots__ = (
        "_parts",
        "begins",
        "body",
        "early",
        "entry",
        "fault",
        "head",
        "known_envelope",
        "ordinal",
        "original_text",
        "peer",
        "prefix",
        "quick",
        "raw",
        "reading",
        "received",
        "repairs",
        "text",
        "uid_given",
    )

    def __init__(self, raw: bytes, text: str, received: int, entry: Row) -> None:
        """An event with nothing found yet; the decoder fills it."""
        self.raw = raw
        self.text = self.original_text = text
        self.received = received
        self.entry = entry
        self.reading: Reading = entry.reading
        self.head = NO_HEADER
        self.early: list[Note] | None = None
        self.quick: dict[str, str] | None = None
        self.repairs: list[Note] | None = None
        self.prefix = ""
        self.begins = 0
        self.ordinal = 0
        self.peer: str | None = None
        self.uid_given: str | None = None
        self.body: str | None = None
        self.fault: str | None = None
        self.known_envelope: Envelope | None = None
        self._parts: Parts | None = None

    @property
    def header(self) -> Header | None:
        """The CEF header; None when the record is not CEF."""
        return None if self.head is NO_HEADER else self.head

    @property
    def scanned(self) -> Parts:
        """The pairs with their places, and what was repaired to get them."""
        parts = self._begun()
        parts.locate()
        return parts

    @property
    def parts(self) -> Parts:
        """Pairs, fields and notes, read on first use."""
        parts = self._begun()
        if not parts.read:
            parts.read = True
            self.entry.read(self, parts)
        return parts

    def _begun(self) -> Parts:
        if self._parts is None:
            self._parts = Parts(self.early)
            if self.quick is None:
                self.entry.scan(self, self._parts)
            else:
                self._parts.take(self.quick, self.repairs, self)
        return self._parts

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every (key, unescaped text) in order of the record, duplicates included."""
        return list(self.quick.items()) if self.quick is not None else self.scanned.pairs

    @property
    def extension(self) -> dict[str, str]:
        """Wire key -> text; the first of duplicates."""
        return self.quick if self.quick is not None else self.scanned.extension

    @property
    def every_pair(self) -> dict[str, str | list[str]]:
        """Wire key -> text, or all texts of a key that came more than once."""
        found: dict[str, str | list[str]] = {}
        for key, text in self.pairs:
            known = found.get(key)
            if known is None:
                found[key] = text
            elif isinstance(known, list):
                known.append(text)
            else:
                found[key] = [known, text]
        return found

    @property
    def fields(self) -> dict[str, object]:
        """Canonical field -> value in memory form."""
        return self.parts.fields

    @property
    def notes(self) -> list[Note]:
        """Repairs and doubts, in the order they were met."""
        return self.parts.notes

    @property
    def time(self) -> int:
        """Event time in milliseconds.

        The first plausible time key of the event, else the syslog header's time, else the receive
        time.
        """
        when = self.parts.time
        return self.received if when is None else when

    @property
    def peer_ip(self) -> str | None:
        """Address of the sender, when `peer` is one; a record read from a file has none."""
        return address(self.peer)

    @property
    def time_text(self) -> str | None:
        """The text that `time` came from; None when the receive time stands in."""
        return self.parts.time_text

    @property
    def header_time(self) -> int | None:
        """Time of the syslog header, in milliseconds."""
        return self.envelope.time(self.received)

    @property
    def original_size(self) -> int:
        """The record's length in bytes, framing left out."""
        return len(self.raw.rstrip(FRAMING))

    @property
    def envelope(self) -> Envelope:
        """What the syslog header says."""
        if self.known_envelope is None:
            self.known_envelope = prefix(self.prefix) if self.prefix else NO_ENVELOPE
        return self.known_envelope

    @envelope.setter
    def envelope(self, envelope: Envelope) -> None:
        self.known_envelope = envelope

    @property
    def original(self) -> bytes:
        """The record's bytes as received."""
        return self.raw

    @property
    def uid(self) -> str:
        """The id given at receipt, or one worked out from the record (UUID version 5 form)."""
        return self.uid_given or uid(self.raw, self.peer, self.received, self.ordinal)

    def note_early(self, kind: str, key: str = "", offset: int = 0) -> None:
        """Add a note before fields are read."""
        if self.early is None:
            self.early = []
        self.early.append(Note(kind, key, offset))

    @property
    def note_kinds(self) -> list[str] | None:
        """Distinct kinds of notes, `kind:key` where a key is meant; None when there are none."""
        notes = self.parts.notes
        return kinds(notes) if notes else None

    def __repr__(self) -> str:
        """Short, with control characters escaped."""
        return f"<Event {self.reading.id} {self.header!r} {len(self.pairs)} pairs>"


def kinds(notes: list[Note]) -> list[str]:
    """Distinct kinds of notes, `kind:key` where a key is meant."""
    found = dict.fromkeys(f"{kind}:{key}" if key else kind for kind, key, _ in notes)
    return sorted(found)[:MAX_NOTES]  # however the record orders its pairs


class Parts:
    """What reading a record yields.

    Attributes:
        pairs: Every (key, unescaped text) in order.
        offsets: Where each value starts in `Event.text`.
        extension: Wire key -> text; the first of duplicates.
        chosen: Wire key -> the text that counts, of duplicates.
        fields: Canonical field -> value in memory form.
        notes: Repairs and doubts.
        left: Keys whose value no field holds (failed cast, lost conflict, cut).
        spare: Pairs beside the one that counts when a key came more than once.
        listed: Keys that a numbered list took in, such as `groups.0`.
        time: Event time, or None when no clock of the record is plausible.
        time_text: The text it came from.
        read: Whether fields were read.
        plain: What is needed to work the offsets of a plain record out, until that is done.
    """

    __slots__ = (
        "chosen",
        "extension",
        "fields",
        "left",
        "listed",
        "notes",
        "offsets",
        "pairs",
        "plain",
        "read",
        "spare",
        "time",
        "time_text",
    )

    def __init__(self, early: list[Note] | None) -> None:
        """Nothing yet but the notes made so far."""
        self.pairs: list[tuple[str, str]] = []
        self.offsets: list[int] = []
        self.extension: dict[str, str] = {}
        self.chosen: Mapping[str, str] = {}
        self.fields: dict[str, object] = {}
        self.notes: list[Note] = list(early or ())
        self.left: set[str] = set()
        self.spare: list[tuple[str, str]] = []
        self.listed: set[str] = set()
        self.time: int | None = None
        self.time_text: str | None = None
        self.read = False
        self.plain: tuple[str, int] | None = None

    def take(self, quick: dict[str, str], repairs: list[Note] | None, event: Event) -> None:
        """Take over the pairs of a plain record."""
        self.extension = dict(quick)
        self.pairs = list(quick.items())
        self.notes.extend(repairs or ())
        self.plain = (event.text, event.begins)

    def note(self, kind: str, key: str = "", offset: int = 0) -> None:
        """Add a note."""
        self.notes.append(Note(kind, key, offset))

    def locate(self) -> None:
        """Work the offsets of a plain record out: nobody needs them while all is well."""
        if self.plain is not None:
            text, at = self.plain
            for key, value in self.pairs:  # as they stand: nothing was unescaped
                at = text.index(key, at) + len(key) + 1
                self.offsets.append(at)
                at += len(value)
            self.plain = None

    def offset_of(self, key: str) -> int:
        """Where a key's first value starts."""
        self.locate()
        for (name, _), offset in zip(self.pairs, self.offsets, strict=False):
            if name == key:
                return offset
        return 0


MAX_NOTES = 32
