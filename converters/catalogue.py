"""Which table row a header belongs to.

The most exact match wins: a named vendor and product before a wildcard, `any` last; within a
source `class/name`, then `class/*`, then `*/*`.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from datto_siem.converters.dialect import Dialect
from datto_siem.converters.event import Header
from datto_siem.converters.notes import Note
from datto_siem.converters.plan.reading import cast, reading
from datto_siem.converters.read import Reader
from datto_siem.converters.tables.load import fold

if TYPE_CHECKING:
    from datto_siem.converters.event import Event, Parts
    from datto_siem.converters.plan.model import Cast, Reading
    from datto_siem.converters.tables.model import Source, SourceEvent, Tables

_WORDS = re.compile(r"[=:]([A-Z][A-Z0-9_/&]*(?: & [A-Z_]+)?)(?= |$|[a-z])")


class Entry:
    """One source event, ready to read records.

    Attributes:
        notes: Notes that every record of it gets.
    """

    def __init__(
        self, reading_: Reading, dialect: Dialect, reader: Reader, notes: tuple[Note, ...]
    ) -> None:
        """Bundle what the decoder needs."""
        self._reading = reading_
        self.dialect = dialect
        self.reader = reader
        self.notes = notes

    @property
    def reading(self) -> Reading:
        """The table row."""
        return self._reading

    def scan(self, event: Event, parts: Parts) -> None:
        """Split a record into pairs."""
        if event.header is not None and event.begins < len(event.text):
            self.dialect.scan(event.text, event.begins, parts)

    def read(self, event: Event, parts: Parts) -> None:
        """Read fields from its pairs."""
        self.reader.read(event, parts)


class Catalogue:
    """Finds entries by header."""

    def __init__(self, tables: Tables) -> None:
        """Index the sources of a set of tables."""
        self.tables = tables
        self._entries: dict[tuple[str, str, tuple[Note, ...]], Entry] = {}
        self._names = {
            source.name: {name: event for event in source.events.values() for name in event.names}
            for source in tables.sources.values()
        }
        self._placeholders = placeholders(tables)
        self._any = next(source for source in tables.sources.values() if source.any)
        self._switch = next(
            (source for source in tables.sources.values() if source.takes_text), self._any
        )
        self.undecodable = self._entry(self._any, self._any.events["undecodable"])

    def source(self, header: Header) -> Source:
        """The source a header belongs to."""
        vendor, product = fold(header.vendor), fold(header.product)
        best, rank = self._any, 0
        for source in self.tables.sources.values():
            if source.vendor != vendor or source.any:
                continue
            for pattern in source.products:
                score = 2 if pattern == product else 1 if fnmatchcase(product, pattern) else 0
                if score > rank:
                    best, rank = source, score
        return best

    def entry(self, header: Header) -> Entry:
        """The entry for a header; `*/*` of its source when no row names the event."""
        source = self.source(header)
        names = self._names[source.name]
        class_id, name = header.class_id, header.name
        event = names.get(f"{class_id}/{name}") or names.get(f"{class_id}/*") or names["*/*"]
        notes = [Note("inferred", "", 0)] if event.inferred else []
        if source.oldest and _older(header.device_version, source.oldest):
            notes.append(Note("old_firmware", "", 0))
        return self._entry(source, event, tuple(notes))

    def text(self, switch: bool) -> Entry:
        """The entry for a syslog message that is not CEF."""
        source = self._switch if switch else self._any
        event = source.events["text"]
        notes = (Note("inferred", "", 0),) if event.inferred else ()
        return self._entry(source, event, notes)

    def realigned(self, header: Header) -> Header:
        """Put the fields of a header that lacks one in place, when a known event shows how."""
        version, vendor, first, second, third, fourth, _ = header
        if not any(fold(vendor) == source.vendor for source in self.tables.sources.values()):
            return header
        for source in self.tables.sources.values():
            names = self._names[source.name]
            if f"{second}/{third}" in names:
                product = self.source(header) is source
                middle = (first, "") if product else (source.products[0], first)
                return Header(version, vendor, *middle, second, third, fourth)
        return header

    def _entry(self, source: Source, event: SourceEvent, notes: tuple[Note, ...] = ()) -> Entry:
        key = (source.name, event.id, notes)
        found = self._entries.get(key)
        if found is None:
            row = reading(source, event)
            dialect = Dialect(row, boundary(source, row), self._placeholders)
            reader = Reader(dialect, self.tables.lookups)
            found = self._entries[key] = Entry(row, dialect, reader, notes)
        return found


def boundary(source: Source, row: Reading) -> dict[str, Cast]:
    """Keys that start a pair even after a value a stranger chose: the documented ones.

    An event no row names has no documented keys, so every key of the product counts there.
    """
    casts = {each.key: each for each in row.casts if not each.key.endswith("*")}
    if row.keys:
        return {key: casts[key] for key in row.keys if key in casts}
    return {**{key: cast(rule) for key, rule in source.keys.items()}, **casts}


def placeholders(tables: Tables) -> frozenset[str]:
    """The manual's placeholder words: the all-capital values of the sources' samples."""
    samples = [text for source in tables.sources.values() for text in source.samples.values()]
    words = {word for text in samples for word in _WORDS.findall(text.split("|", 7)[-1])}
    return frozenset(word for word in words if "_" in word or "/" in word or word == "HOSTNAME")


def _older(version: str, oldest: str) -> bool:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){1,5}", version):
        return False
    return [int(part) for part in version.split(".")] < [int(part) for part in oldest.split(".")]
