"""Bytes of one record -> `Event`: envelope, header, the product's dialect, typed fields.

Never raises on input. What is wrong with a record becomes a note; a record that is no CEF becomes
an event of the row `text` (it has a syslog header) or `undecodable` (it has not).
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from datto_siem.converters import cef, syslog
from datto_siem.converters.catalogue import Catalogue
from datto_siem.converters.errors import TableErrors
from datto_siem.converters.event import Event, Header
from datto_siem.converters.read import CUT_SIZES
from datto_siem.converters.tables.load import load

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from datto_siem.converters.catalogue import Entry
    from datto_siem.converters.notes import Note
    from datto_siem.converters.tables.model import Tables

_MAX_HEADERS = 2048


def now() -> int:
    """Epoch milliseconds: the only place where a clock is read, for records without a time."""
    return time.time_ns() // 1_000_000


class Decoder:
    """Decodes records by one set of tables.

    Attributes:
        compiled: Where converters keep what they compiled for these tables.

    Args:
        tables: The mapping tables; the shipped ones when None.
        switches: Host names and addresses of senders known to be Datto switches; their records
            that are not CEF are read as switch messages.
    """

    def __init__(self, tables: Tables | None = None, switches: Iterable[str] = ()) -> None:
        """Prepare an empty memory of headers; safe to share between threads."""
        self.tables = tables or load()
        self.catalogue = Catalogue(self.tables)
        self._switches = frozenset(name.lower() for name in switches)
        self._headers: dict[str, tuple[Header, Entry]] = {}
        self.compiled: dict[tuple[str, str | None], Any] = {}

    def decode(
        self,
        line: str | bytes,
        received: int | None = None,
        peer: str | None = None,
        uid: str | None = None,
        ordinal: int = 0,
    ) -> Event:
        """Decode one record.

        Args:
            line: The record, framing already taken off (a trailing CR, LF or NUL may be left).
            received: Receive time in epoch milliseconds; now when None, the only place where a
                clock is read.
            peer: Address of the sender.
            uid: Id assigned at receipt; worked out from the record when None.
            ordinal: Number of the record in its input, so that equal records get different ids.
        """
        if received is None:
            received = now()
        broken = False
        if isinstance(line, bytes):
            raw = line
            try:
                text = line.decode()
            except UnicodeDecodeError:
                text, broken = line.decode("utf-8", "backslashreplace"), True
        else:
            raw = line.encode("utf-8", "surrogatepass")
            text = raw.decode("utf-8", "backslashreplace")
            broken = text != line
        whole = text.rstrip("\r\n\0")
        event = Event(raw, whole, received, self.catalogue.undecodable)
        event.peer, event.uid_given, event.ordinal = peer, uid, ordinal
        if broken:
            event.note_early("bad_utf8")
        if not self._plain(event, whole, len(raw) - len(text) + len(whole)):
            event.text = _unframed(whole)
            self._take_apart(event)
        return event

    def remembered(self, header: str) -> Entry | None:
        """The table row of a whole header, from `CEF:` to its last pipe, that was met before."""
        known = self._headers.get(header)
        return None if known is None else known[1]

    def _plain(self, event: Event, text: str, size: int) -> bool:
        """The short way for a header met before and a record with nothing to repair."""
        head = text.partition("=")[0]
        start = head.find("CEF:")
        if start < 0 or size > cef.MAX_TEXT or size in CUT_SIZES:
            return False
        end = head.rfind("|") + 1
        known = self._headers.get(text[start:end])
        if known is None or text[-1] in cef.BLANKS:
            return False
        prefix = text[:start]
        if '"' in prefix or "\ufeff" in prefix:
            return False
        event.head, entry = known
        repairs: list[Note] = []
        quick = entry.dialect.quick(text, end, repairs)
        if quick is None:
            return False
        if repairs:
            event.repairs = repairs
        event.quick = quick
        event.prefix, event.begins = prefix, end
        event.entry, event.reading = entry, entry.reading
        if entry.notes:
            event.early = [*(event.early or ()), *entry.notes]
        return True

    def _take_apart(self, event: Event) -> None:
        text = event.text
        start = syslog.cef_start(text)
        if start < 0:
            self._not_cef(event)
            return
        known, begins = self._header(event, start)
        if known is None:
            event.fault = "a CEF header with fewer than three fields"
            return
        event.head, entry = known
        event.prefix = text[:start]
        event.begins = begins
        event.entry, event.reading = entry, entry.reading
        if text[start] != "C":
            event.note_early("cef_missing", "", start)
        if entry.notes:
            event.early = [*(event.early or ()), *entry.notes]
        if len(text) <= cef.MAX_TEXT and event.original_size not in CUT_SIZES:
            repairs: list[Note] = []
            event.quick = entry.dialect.quick(text, begins, repairs)
            event.repairs = repairs or None
            if event.quick is not None:
                return
        event.scanned  # noqa: B018  anything to repair is repaired here and now

    def _header(self, event: Event, start: int) -> tuple[tuple[Header, Entry] | None, int]:
        """The header and its table row, remembered by the header's text."""
        text = event.text
        equals = text.find("=", start)
        end = text.rfind("|", start, equals) + 1 if equals > 0 else 0
        whole = text[start:end]
        known = self._headers.get(whole) if end else None
        if known is not None:
            return known, end
        split = cef.split_header(text, start)
        if split is None:
            return None, start
        header = split.header
        if split.note:
            event.note_early(split.note, "", start)
        if split.note == "header_short":
            header = self.catalogue.realigned(header)
        found = (header, self.catalogue.entry(header))
        if not split.note and split.extension == end and len(whole) < cef.MAX_KEY:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[whole] = found
        return found, split.extension

    def _not_cef(self, event: Event) -> None:
        """A record without CEF: a syslog message when it has a header, else undecodable."""
        envelope, body = syslog.record(event.text)
        event.envelope = envelope
        if envelope.format or envelope.priority is not None:
            event.body = body
            senders = {(envelope.host or "").lower(), (event.peer or "").lower()}
            entry = self.catalogue.text(bool(senders & self._switches))
        else:
            entry = self.catalogue.undecodable
            event.fault = "empty record" if not event.text else "neither CEF nor syslog"
        event.entry, event.reading = entry, entry.reading
        if entry.notes:
            event.early = [*(event.early or ()), *entry.notes]


def _unframed(text: str) -> str:
    text = text.rstrip(cef.BLANKS)
    if text[:1] in '\ufeff"':
        text = text.removeprefix("\ufeff")
        if text.startswith('"CEF:') and text.endswith('"') and len(text) > 1:
            text = text[1:-1]
    return text


@lru_cache(maxsize=4)
def decoder(overlay: Path | None = None, switches: tuple[str, ...] = ()) -> Decoder:
    """The decoder of the shipped tables, or of an overlay; one for the whole process.

    Raises:
        TableErrors: Every fault of the overlay at once.
    """
    tables = load(overlay)
    if overlay is not None:
        from datto_siem.converters.check import check  # only here: it loads jsonschema

        faults = check(tables)
        if faults:
            raise TableErrors(f"{len(faults)} faults in the mapping tables", faults)
    return Decoder(tables, switches)


def decode(line: str | bytes, received: int | None = None, peer: str | None = None) -> Event:
    """Decode one record by the shipped tables; see `Decoder.decode`. Never raises on input."""
    return decoder().decode(line, received, peer)
