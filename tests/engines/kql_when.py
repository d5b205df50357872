"""The cases in which `sentinel.KNOWN_DIFFERENCES` allows a difference, by the words used there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datto_siem.converters.scalars import ip
from datto_siem.plugins.generators._sentinel_read import SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datto_siem.converters import Event

_WORD = re.compile(r"(?:^|\s)[A-Za-z0-9_][A-Za-z0-9_.,\-]*(?:\[[0-9]+\])?=")
_NUMBERS = frozenset(map(str, range(SLOTS)))
_SEVERITIES = {*map(str, range(11)), "low", "medium", "high", "very-high"}


def _noted(event: Event, kind: str) -> bool:
    return any(note.kind == kind for note in event.notes)


def _leading(event: Event) -> bool:
    """Whether something stands before the first `key=`, where no reader of CEF looks."""
    extension = event.text[event.begins :].lstrip()
    return bool(extension) and not _WORD.match(extension)


def _inside(event: Event) -> bool:
    """Whether a value holds ` word=`, which a strict reader takes for a pair."""
    return any(_WORD.search(value) for _, value in event.pairs)


def _odd(event: Event) -> bool:
    """Whether a colon pair stands where the parsers do not look for one."""
    reading = event.reading
    colon = {cast.key for cast in reading.casts if cast.colon} - set(reading.keys)
    undocumented = bool(reading.keys) and any(key in colon for key, _ in event.pairs)
    return undocumented or "\t" in event.text[event.begins :]


def _respelt(event: Event) -> bool:
    """Whether a key in other letters disagrees with one that fills the same field."""
    keys = {cast.key for cast in event.reading.casts}
    other = any(key not in keys and key.lower() in keys for key, _ in event.pairs)
    return other and _noted(event, "conflict")


WHEN: Mapping[str, Callable[[Event, Mapping[str, Any]], bool]] = {
    "always": lambda event, row: True,
    "the decoder noted something": lambda event, row: bool(event.notes),
    "the syslog header names a host": lambda event, row: event.envelope.host is not None,
    "that host is an address": lambda event, row: ip(event.envelope.host or "") is not None,
    "the severity is not one of CEF": lambda event, row: (
        event.head.severity.lower() not in _SEVERITIES
    ),
    "the record is not CEF": lambda event, row: event.header is None,
    "a key came twice": lambda event, row: _noted(event, "duplicate_key"),
    "two keys of one field disagree, one of them in other letters": lambda event, row: _respelt(
        event
    ),
    "the record was cut": lambda event, row: _noted(event, "truncated"),
    f"a group's number is none of 0 to {SLOTS - 1}": lambda event, row: any(
        key.startswith("groups.") and key[7:] not in _NUMBERS for key, _ in event.pairs
    ),
    "no time of its own counts": lambda event, row: (
        not any(event.time_text == text for _, text in event.pairs)
    ),
    "something stands before the first key": lambda event, row: _leading(event),
    "an undocumented key has a colon, or a tab parts pairs": lambda event, row: _odd(event),
    "a value holds `;`": lambda event, row: any(";" in value for _, value in event.pairs),
    "the bytes are no UTF-8": lambda event, row: _noted(event, "bad_utf8"),
    "a value holds ` word=`": lambda event, row: _inside(event),
}
