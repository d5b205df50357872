"""From a source table to readings: which casts an event gets, in which order.

Every known key of a product is read on every event of it (order and completeness of a line are
never relied on); an event's own `fields` override the product's, and `~` leaves a key unread.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from datto_siem.converters.plan.model import Cast, Reading

if TYPE_CHECKING:
    from datto_siem.converters.tables.model import Key, Source, SourceEvent


def reading(source: Source, event: SourceEvent) -> Reading:
    """The reading of one event."""
    return _reading(_Pair(source, event))


class _Pair:
    """Cache key by identity: loaded tables are never changed."""

    def __init__(self, source: Source, event: SourceEvent) -> None:
        self.source, self.event = source, event

    def __hash__(self) -> int:
        return hash((id(self.source), id(self.event)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Pair) and other.source is self.source and other.event is self.event
        )


@lru_cache(maxsize=512)
def _reading(pair: _Pair) -> Reading:
    source, event = pair.source, pair.event
    rules: dict[str, Key] = dict(source.keys)
    for key, rule in event.overrides.items():
        if rule is None:
            rules.pop(key, None)
        else:
            rules[key] = rule
    ordered = [key for key in event.keys if key in rules]
    ordered += [key for key in rules if key not in event.keys]
    times = tuple(key for key in source.time if not event.keys or key in event.keys)
    return Reading(
        id=f"{source.name}/{event.id}",
        source=source.name,
        event=event.id,
        names=event.names,
        activity=event.activity,
        keys=event.keys,
        casts=tuple(cast(rules[key]) for key in ordered),
        time=times,
        constants=tuple(source.constants.items()),
        inferred=event.inferred or source.inferred,
    )


def cast(rule: Key) -> Cast:
    """A key's rule as the plan keeps it."""
    return Cast(
        key=rule.key,
        kind=rule.cast,
        parts=tuple(rule.parts.items()),
        colon=rule.colon,
        wins=rule.wins,
        free=rule.free,
        agrees=rule.agrees,
        among=rule.among,
    )


SURE_PARTS = frozenset({"all", "name", "ip"})
"""Parts that a compound cast always gives."""


def documented(reading: Reading) -> Reading:
    """The reading of a plain record: documented keys only."""
    kept = tuple(cast for cast in reading.casts if cast.key in reading.keys)
    return reading._replace(casts=kept)
