"""Counts of a run, and the line that tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datto_siem.converters import Event

_UNREADABLE = frozenset({"text", "undecodable"})


@dataclass(slots=True)
class Tally:
    """Counts of records.

    Attributes:
        records: All.
        noted: With at least one note.
        unknown: Of a known form, but of an event that no table row names.
        undecodable: Neither CEF nor syslog.
        text: With a syslog header but without CEF; they count as decoded.
    """

    records: int = 0
    noted: int = 0
    unknown: int = 0
    undecodable: int = 0
    text: int = 0

    def count(self, event: Event) -> None:
        """Count one record, after its document was made (its notes are there then)."""
        self.records += 1
        self.noted += bool(event.notes)
        reading = event.reading
        self.unknown += reading.activity == "unknown"
        if reading.event in _UNREADABLE:
            self.undecodable += reading.event == "undecodable"
            self.text += reading.event == "text"

    def add(self, other: Tally) -> None:
        """Add what another worker counted."""
        self.records += other.records
        self.noted += other.noted
        self.unknown += other.unknown
        self.undecodable += other.undecodable
        self.text += other.text

    def line(self, elapsed: float, pseudonyms: bool = False) -> str:
        """The summary: the counts in a fixed form, then how long it took.

        Args:
            elapsed: Seconds.
            pseudonyms: Tell too how many records could not be pseudonymised.
        """
        counts = (
            f"records {self.records}, decoded {self.records - self.undecodable},"
            f" with notes {self.noted}, unknown events {self.unknown},"
            f" undecodable {self.undecodable}, not CEF {self.text}"
        )
        if pseudonyms:
            counts += f", not pseudonymised {self.text + self.undecodable}"
        rate = f", {self.records / elapsed:.0f} records/s" if elapsed > 0 and self.records else ""
        return f"{counts}; {elapsed:.1f} s{rate}"
