"""One decoded record: header, pairs, typed fields, notes, envelope, original."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters.syslog import NO_ENVELOPE, Envelope, prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.plan.model import Reading

NOTES: Mapping[str, str] = {
    "bad_time": "a time key holds no plausible time; the next best clock stands in",
    "bad_type": "a value does not fit its key's type; it is kept as text among the leftovers",
    "bad_utf8": "bytes that are no UTF-8 are written as \\xNN; the original bytes are kept",
    "cef_missing": "the word CEF: was eaten on the way",
    "conflict": "two keys that should agree do not",
    "duplicate_key": "a key came more than once; every value is kept",
    "glued_pair": "two pairs without a blank between them were parted",
    "header_short": "fewer than seven header fields; the known ones were put in place",
    "incomplete": "the record lacks what its class requires in this schema; a simpler form is used",
    "inferred": "the vendor documents no sample of this event: its reading is our inference",
    "line_too_long": "beyond 64 KiB a record is kept but not taken apart",
    "no_final_pipe": "the header's last pipe is missing",
    "old_firmware": "firmware older than the vendor's minimum for CEF",
    "placeholder": "a value is a placeholder of the vendor's manual",
    "swapped": "a value belongs to another key; it is read by what it is",
    "text_before_key": "text stands before the first key",
    "too_many_pairs": "beyond 512 pairs a record is kept but not taken apart",
    "truncated": "the record was cut on the way; its last value is not typed",
    "unexpected_key": "a key the vendor does not document for this event",
    "unknown_value": "a value outside the documented ones",
}
"""Kinds of notes and what they mean."""


class Note(NamedTuple):
    """One repair or doubt.

    Attributes:
        kind: One of `NOTES`.
        key: The wire key it is about, or "".
        offset: Where in the text of the record, in characters from its start.
    """

    kind: str
    key: str
    offset: int


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


class Event:
    """What was made of one record.

    Attributes:
        head: The CEF header; all empty when the record is not CEF (`header` is None then).
        pairs: Every (key, unescaped text) in order of the record, duplicates included.
        extension: Wire key -> text; the first of duplicates.
        fields: Canonical field -> value in memory form.
        notes: Repairs and doubts, in the order they were met.
        text: The record as text, without framing (trailing CR, LF, NUL and blanks).
        original_text: The record as text, only trailing CR, LF and NUL taken off; bytes that are no
            UTF-8 as `\\xNN`.
        raw: The record's bytes as received.
        received: Receive time in milliseconds.
        time: Event time in milliseconds: the first plausible time key, else the syslog header's,
            else the receive time.
        time_text: The text that time came from; None when the receive time stands in.
        reading: The row of the source table that was read by.
        left: Keys whose value no field holds (failed cast, lost conflict, cut).
        spare: Pairs beside the one that counts when a key came more than once.
        listed: Keys that a numbered list took in, such as `groups.0`.
        fault: Why the record could not be decoded, or None.
        body: Body of a record that is not CEF.
    """

    __slots__ = (
        "_envelope",
        "body",
        "extension",
        "fault",
        "fields",
        "head",
        "left",
        "listed",
        "notes",
        "offsets",
        "ordinal",
        "original_text",
        "pairs",
        "peer",
        "prefix",
        "raw",
        "reading",
        "received",
        "spare",
        "text",
        "time",
        "time_text",
        "uid_given",
    )

    def __init__(self, raw: bytes, text: str, received: int, reading: Reading) -> None:
        """An empty event; the decoder fills it."""
        self.raw = raw
        self.text = text
        self.received = received
        self.reading = reading
        self.head = NO_HEADER
        self.original_text = text
        self.pairs: list[tuple[str, str]] = []
        self.offsets: list[int] = []
        self.extension: dict[str, str] = {}
        self.fields: dict[str, object] = {}
        self.notes: list[Note] = []
        self.left: set[str] = set()
        self.spare: list[tuple[str, str]] = []
        self.listed: set[str] = set()
        self.fault: str | None = None
        self.body: str | None = None
        self.prefix = ""
        self.peer: str | None = None
        self.uid_given: str | None = None
        self.ordinal = 0
        self.time = received
        self.time_text: str | None = None
        self._envelope: Envelope | None = None

    @property
    def header(self) -> Header | None:
        """The CEF header; None when the record is not CEF."""
        return None if self.head is NO_HEADER else self.head

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
        if self._envelope is None:
            self._envelope = prefix(self.prefix) if self.prefix else NO_ENVELOPE
        return self._envelope

    @envelope.setter
    def envelope(self, envelope: Envelope) -> None:
        self._envelope = envelope

    @property
    def original(self) -> bytes:
        """The record's bytes as received."""
        return self.raw

    @property
    def uid(self) -> str:
        """The id given at receipt, or one worked out from the record (UUID version 5 form)."""
        from datto_siem.converters.identity import uid

        return self.uid_given or uid(self.raw, self.peer, self.received, self.ordinal)

    def note(self, kind: str, key: str = "", offset: int = 0) -> None:
        """Add a note."""
        self.notes.append(Note(kind, key, offset))

    def offset_of(self, key: str) -> int:
        """Where a key's first value starts in `text`."""
        for (name, _), offset in zip(self.pairs, self.offsets, strict=False):
            if name == key:
                return offset
        return 0

    @property
    def note_kinds(self) -> list[str] | None:
        """Distinct kinds of notes, `kind:key` where a key is meant; None when there are none."""
        if not self.notes:
            return None
        kinds = dict.fromkeys(f"{kind}:{key}" if key else kind for kind, key, _ in self.notes)
        return list(kinds)[:MAX_NOTES]

    def __repr__(self) -> str:
        """Short, with control characters escaped."""
        return f"<Event {self.reading.id} {self.header!r} {len(self.pairs)} pairs>"


MAX_NOTES = 32
