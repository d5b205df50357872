"""Noise: events an output leaves out, all of them or all but one in so many.

Owns the choice. By event id as the source tables name it (`wifi/probe`, `coredns/*` for all
documented events of a class). What no table row names, and what does not decode, is always kept:
nobody can say it is noise. Sampling goes by the offset in the log, so a replay chooses the same.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datto_siem.converters import Decoder
    from datto_siem.converters.tables.model import Tables
    from datto_siem.plugins.record import Record

_UNKNOWN = "*/*"
_UNDECODABLE = "undecodable"
_GOLDEN = (
    0x9E3779B97F4A7C15  # spreads offsets, so that a regular pattern in the log does not matter
)
_BOM = b"\xef\xbb\xbf"
_MOST_KNOWN = 2048
_WORD = (1 << 64) - 1


class UnknownEvent(ValueError):
    """A configured event id that no table names; the message lists near ones."""


class Noise:
    """Chooses which records of a chunk go on.

    Args:
        decoder: Decodes with the tables the output uses.
        drop: Event ids left out.
        sample: Event id -> keep one of so many.

    Raises:
        UnknownEvent: No such event.
        ValueError: An event both dropped and sampled, or a share below 1.
    """

    def __init__(
        self, decoder: Decoder, drop: Sequence[str] = (), sample: Mapping[str, int] | None = None
    ) -> None:
        """Resolve the ids; see the class for the arguments."""
        self._decoder = decoder
        self._known: dict[bytes, int | None] = {}
        self._every: dict[str, int] = {}
        known = events(decoder.tables)
        for pattern, every in (sample or {}).items():
            if every < 1:
                raise ValueError(f"sample of {pattern!r} is {every}: write 1 (all) or more")
            for event in _resolved(pattern, known):
                self._every[event] = max(every, self._every.get(event, 1))
        for pattern in drop:
            for event in _resolved(pattern, known):
                if event in self._every:
                    raise ValueError(f"{event!r} is both dropped and sampled: take one out")
        for pattern in drop:
            for event in _resolved(pattern, known):
                self._every[event] = 0

    def __bool__(self) -> bool:
        """Whether anything may be left out; if not, nothing need be decoded."""
        return bool(self._every)

    def kept(self, records: Sequence[Record]) -> tuple[list[Record], dict[str, int]]:
        """The records that go on, and how many do not, by reason (`drop`, `sample`)."""
        share = self._share
        kept = []
        dropped = sampled = 0
        for record in records:
            every = share(record)
            if every is None:
                kept.append(record)
            elif every == 0:
                dropped += 1
            elif _chosen(record.offset, every):
                kept.append(record)
            else:
                sampled += 1
        counted = {"drop": dropped, "sample": sampled}
        return kept, {reason: count for reason, count in counted.items() if count}

    def _share(self, record: Record) -> int | None:
        """How many of a record's event one is kept of; 0: none, None: all.

        By its header alone where the decoder would find the same one: a whole header it knows, and
        nothing before it that it would repair. Any other record is decoded.
        """
        raw = record.raw
        start = raw.find(b"CEF:")
        equals = raw.find(b"=", start) if start >= 0 else -1
        if (
            equals < 0
            or raw[start + 5 : start + 6] != b"|"
            or not raw[start + 4 : start + 5].isdigit()
        ):
            return self._decoded(record)
        if start and (b'"' in raw[:start] or _BOM in raw[:start]):
            return self._decoded(record)
        header = raw[start : raw.rfind(b"|", start, equals) + 1]
        if header in self._known:
            return self._known[header]
        entry = self._decoder.remembered(header.decode("utf-8", "backslashreplace"))
        if entry is None:
            return self._decoded(record)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        every = self._known[header] = self._every.get(entry.reading.event)
        return every

    def _decoded(self, record: Record) -> int | None:
        event = self._decoder.decode(record.raw, record.received, record.peer or None)
        return self._every.get(event.reading.event)


def events(tables: Tables) -> dict[str, str]:
    """Every name an event goes by on the wire -> its id in the tables."""
    found: dict[str, str] = {}
    for source in tables.sources.values():
        for event in source.events.values():
            if event.id not in (_UNKNOWN, _UNDECODABLE):
                found |= dict.fromkeys((event.id, *event.names), event.id)
    return found


def _chosen(offset: int, every: int) -> bool:
    return ((offset * _GOLDEN & _WORD) >> 32) % every == 0


def _resolved(pattern: str, known: Mapping[str, str]) -> Iterable[str]:
    """The ids a pattern means.

    Raises:
        UnknownEvent: None.
    """
    if pattern in known:
        return [known[pattern]]
    if pattern in (_UNKNOWN, _UNDECODABLE):
        raise UnknownEvent(f"{pattern!r} is what nobody knows: it is always kept, take it out")
    class_id, slash, name = pattern.partition("/")
    if slash and name == "*":
        found = sorted({event for each, event in known.items() if each.startswith(f"{class_id}/")})
        if found:
            return found
    near = get_close_matches(pattern, known, n=3, cutoff=0.4) or sorted(set(known.values()))
    raise UnknownEvent(f"no event {pattern!r}; did you mean {', '.join(near)}?")
