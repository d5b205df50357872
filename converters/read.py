"""Typed fields from pairs, by the event's casts: the last step of decoding.

A value that does not fit stays text among the leftovers, beside a note. Which of duplicate keys
counts, which of two keys that fill one field, and which time is the event's is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from datto_siem.converters.casts import CASTS
from datto_siem.converters.times import plausible

if TYPE_CHECKING:
    from datto_siem.converters.dialect import Dialect
    from datto_siem.converters.event import Event, Parts
    from datto_siem.converters.plan.model import Cast
    from datto_siem.converters.tables.model import Lookup

MAX_LIST = 64
CUT_SIZES = frozenset({480, 1024, 2048, 8192})
"""Sizes at which relays cut a datagram: RFC 5426 and 3164 minimums, and common defaults."""

Check = Callable[["Event", "Parts", str, str], None]


class Reader:
    """Reads one event's pairs into fields."""

    def __init__(self, dialect: Dialect, lookups: Mapping[str, Lookup]) -> None:
        """Make one row of functions a key, so that reading asks no questions twice."""
        self.dialect = dialect
        self.time = dialect.reading.time
        self.documented = frozenset(dialect.reading.keys)
        self.constants = dict(dialect.reading.constants)
        self.rows = {
            key: (CASTS[cast.kind].read, cast.parts, cast, _check(cast, lookups))
            for key, cast in dialect.casts.items()
        }
        self.folded = {key.lower(): key for key in self.rows if key != key.lower()}

    def read(self, event: Event, parts: Parts) -> None:
        """Fill `parts`: fields, leftovers, notes and time."""
        cut = self._cut(event, parts)
        chosen: Mapping[str, str] = parts.extension
        if len(chosen) != len(parts.pairs):
            chosen, last = self._choose(event, parts)
            if not last:  # what was cut is not what counts
                cut = None
        parts.chosen = chosen
        fields = parts.fields
        fields.update(self.constants)
        rows, received = self.rows, event.received
        times: dict[str, int] = {}
        for key, text in chosen.items():
            row = rows.get(key)
            if row is None:
                row = self._other(parts, key, chosen)
                if row is None:
                    continue
            if not text:
                continue
            read, split, cast, check = row
            value = None if key == cut else read(text, received)
            if value is None:
                self._failed(parts, key, text, cast, key == cut)
                continue
            if check is not None:
                check(event, parts, key, text)
            if cast.kind == "time":
                times[key] = value  # type: ignore[assignment]
            for part, name in split:
                held = value if part == "" else value.get(part)  # type: ignore[union-attr]
                if held is None:
                    continue
                clash = name in fields and fields[name] != held
                if clash and self._stands(parts, chosen, key, cast, name):
                    continue
                fields[name] = held
        if self.dialect.lists:
            self._lists(parts, chosen, cut)
        self._when(event, parts, times)

    def _other(self, parts: Parts, key: str, chosen: Mapping[str, str]) -> Any:
        """A key that is read under another spelling, or a key nobody documents."""
        low = key.lower()
        known = low if low in self.rows else self.folded.get(low)
        if known is not None and known not in chosen:
            return self.rows[known]
        if self.documented and not any(key.startswith(start) for start, _ in self.dialect.lists):
            parts.note("unexpected_key", key, parts.offset_of(key))
        return None

    def _cut(self, event: Event, parts: Parts) -> str | None:
        """The key whose value may be cut, when the record has a size at which relays cut."""
        size = event.original_size
        slashes = len(event.text) - len(event.text.rstrip("\\"))
        if not parts.pairs or not (size in CUT_SIZES or slashes % 2):
            return None
        key = parts.pairs[-1][0]
        parts.note("truncated", key, parts.offsets[-1])
        return key

    def _failed(self, parts: Parts, key: str, text: str, cast: Cast, cut: bool) -> None:
        parts.left.add(key)
        if cut:
            return
        kind = "bad_time" if cast.kind == "time" else "bad_type"
        if text in self.dialect.placeholders:
            kind = "placeholder"
        parts.note(kind, key, parts.offset_of(key))

    def _choose(self, event: Event, parts: Parts) -> tuple[dict[str, str], bool]:
        """Of duplicates, the first if no value that strangers choose stands before it.

        Otherwise the last that fits: what is forged inside a value comes before what the device
        writes after it.
        """
        free = self.dialect.free
        pairs = parts.pairs
        border = next((at for at, (key, _) in enumerate(pairs) if key in free), len(pairs))
        places: dict[str, list[int]] = {}
        for at, (key, _) in enumerate(pairs):
            places.setdefault(key, []).append(at)
        chosen = {}
        ends = False  # whether the record's last pair is one that counts
        for key, found in places.items():
            best = found[0]
            if len(found) > 1:
                if found[0] > border:
                    best = self._last_that_fits(key, [(at, pairs[at][1]) for at in found], event)
                parts.spare.extend(pairs[at] for at in found if at != best)
            chosen[key] = pairs[best][1]
            ends = ends or best == len(pairs) - 1
        return chosen, ends

    def _last_that_fits(self, key: str, found: list[tuple[int, str]], event: Event) -> int:
        row = self.rows.get(key)
        for at, text in reversed(found):
            if row is None or row[0](text, event.received) is not None:
                return at
        return found[-1][0]

    def _stands(
        self, parts: Parts, chosen: Mapping[str, str], key: str, cast: Cast, name: str
    ) -> bool:
        """Whether the value that fills a field already stands against this key's.

        The first stands, unless this key `wins`; the loser's text goes to the leftovers.
        """
        parts.note("conflict", key, parts.offset_of(key))
        holder = None
        for other in chosen:
            if other == key:
                break
            row = self.rows.get(other)
            if row is not None and other not in parts.left and name in dict(row[1]).values():
                holder = other
        if holder is not None and cast.wins and not self.rows[holder][2].wins:
            parts.left.add(holder)
            return False
        parts.left.add(key)
        return True

    def _lists(self, parts: Parts, chosen: Mapping[str, str], cut: str | None) -> None:
        """Numbered keys as one list, in order of their numbers; gaps are fine."""
        for start, cast in self.dialect.lists:
            found = []
            for key, text in chosen.items():
                number = key[len(start) :] if key.startswith(start) else ""
                if (
                    text
                    and key != cut
                    and len(number) <= 3
                    and number.isascii()
                    and number.isdigit()
                ):
                    found.append((int(number), key, text))
            found.sort()
            kept = found[:MAX_LIST]
            if kept:
                parts.fields[cast.parts[0][1]] = list(dict.fromkeys(text for *_, text in kept))
                parts.listed.update(key for _, key, _ in kept)

    def _when(self, event: Event, parts: Parts, times: Mapping[str, int]) -> None:
        for key in self.time:
            if key in times:
                parts.time = times[key]
                parts.time_text = parts.extension.get(key)
                return
        header = event.envelope
        when = header.time(event.received) if header.time_text else None
        if when is not None and plausible(when, event.received):
            parts.time = when
            parts.time_text = header.time_text


def _check(cast: Cast, lookups: Mapping[str, Lookup]) -> Check | None:
    """What to verify of a value that fits its type."""
    if cast.agrees:
        field = cast.agrees.removeprefix("header.")

        def agrees(event: Event, parts: Parts, key: str, text: str) -> None:
            if text != getattr(event.head, field):
                parts.note("conflict", key, parts.offset_of(key))

        return agrees
    if not cast.among:
        return None
    table, _, column = cast.among[0].partition(".")
    lookup = lookups.get(table) if column else None

    def among(event: Event, parts: Parts, key: str, text: str) -> None:
        word = text.lower()
        if lookup is None:
            kind = "" if word in cast.among else "unknown_value"
        elif word in lookup.rows:
            kind = "" if column in lookup.rows[word] else "swapped"
        else:
            kind = "unknown_value"
        if kind:
            parts.note(kind, key, parts.offset_of(key))

    return among
