"""The tables as plain data (text, numbers, lists, maps), for runtimes in other languages.

A generator that ships an interpreter (Lua, Ruby, Painless) writes this out in its language and
interprets it, so a new event or row needs no edit there. Steps, casts and expressions stand once
each and are named by their number: events share most of them.

```
stamp, target, schema_version, tables_version
lookups:      {name: {rows: {key: {column: value}}, default: {column: value}}}, keys folded
placeholders: [word], the manual's own words, such as AP_MAC_ADDR
types:        {field: type} of every field of the vocabulary, and of `message`
sources:      [{name, vendor, products: [pattern], any, oldest, takes_text,
                names: {"class/name": event number}}]
              vendor and products are folded; patterns hold `*`
events:       [{id, source, event, activity, keys, casts, lists, boundary, time, constants,
                inferred, plan}]
              casts, boundary: {wire key: cast number}; lists: [[start, cast number]]
casts:        [{key, kind, parts: [[part, field]], colon, wins, free, agrees, among}]
plans:        [{derive, emit, columns, needs, instead, note, used, said, leftovers, facts, sure}]
              derive, emit: [step number]; needs: [expression]; said: [[key, expression]]
              instead: plan number or null; leftovers: [path, style] or null
steps:        [[into, expression]], `into` a field, or a path of the document
```

An expression is a list, its operator first, as in `converters.tables.expression` and
`converters.plan.model`; tuples there are lists here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters.catalogue import boundary, placeholders

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from datto_siem.converters.plan.model import Cast, EventPlan, Reading
    from datto_siem.converters.tables.model import Source
    from datto_siem.plugins.generator import Context


class _Numbered:
    """Rows that stand once each, by number."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._known: dict[Hashable, int] = {}

    def number(self, key: Hashable, row: Any) -> int:
        """The number of a row; it is added when it is new."""
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(row)
        return self._known[key]


def portable(context: Context, target: str, version: str | None = None) -> dict[str, Any]:
    """Everything a runtime needs to convert to one target.

    Args:
        context: Whose tables.
        target: A target with a table.
        version: Schema version; the table's own when None.
    """
    tables = context.tables
    converter = context.converter(target, version)
    casts, steps, plans = _Numbered(), _Numbered(), _Numbered()
    readings = context.readings()
    numbers = {row.id: number for number, row in enumerate(readings)}
    by_name = {source.name: source for source in tables.sources.values()}
    events = [
        _event(row, by_name[row.source], casts, _plan(converter.plan(row), steps, plans))
        for row in readings
    ]
    return {
        "stamp": context.stamp,
        "target": target,
        "schema_version": converter.target.version,
        "tables_version": tables.version,
        "lookups": {
            name: {
                "rows": {key: dict(row) for key, row in table.rows.items()},
                "default": dict(table.default),
            }
            for name, table in tables.lookups.items()
        },
        "placeholders": sorted(placeholders(tables)),
        "types": dict(converter.types),
        "sources": [_source(source, numbers) for source in by_name.values()],
        "events": events,
        "casts": casts.rows,
        "plans": plans.rows,
        "steps": steps.rows,
    }


def _source(source: Source, numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "name": source.name,
        "vendor": source.vendor,
        "products": list(source.products),
        "any": source.any,
        "oldest": source.oldest,
        "takes_text": source.takes_text,
        "names": {
            name: numbers[f"{source.name}/{event.id}"]
            for event in source.events.values()
            for name in event.names
        },
    }


def _event(row: Reading, source: Source, casts: _Numbered, plan: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "event": row.event,
        "activity": row.activity,
        "keys": list(row.keys),
        "casts": {each.key: _cast(each, casts) for each in row.casts if each.key[-1] != "*"},
        "lists": [[each.key[:-1], _cast(each, casts)] for each in row.casts if each.key[-1] == "*"],
        "boundary": {key: _cast(each, casts) for key, each in boundary(source, row).items()},
        "time": list(row.time),
        "constants": dict(row.constants),
        "inferred": source.events[row.event].inferred,
        "plan": plan,
    }


def _cast(cast: Cast, casts: _Numbered) -> int:
    return casts.number(
        cast,
        {
            "key": cast.key,
            "kind": cast.kind,
            "parts": [list(part) for part in cast.parts],
            "colon": cast.colon,
            "wins": cast.wins,
            "free": cast.free,
            "agrees": cast.agrees,
            "among": list(cast.among),
        },
    )


def _plan(plan: EventPlan, steps: _Numbered, plans: _Numbered) -> int:
    instead = None if plan.instead is None else _plan(plan.instead, steps, plans)

    def numbers(rows: Iterable[Any]) -> list[int]:
        # repr, because 1, 1.0 and True are equal and differ in the document
        return [
            steps.number((step.into, repr(step.expr)), [step.into, plain(step.expr)])
            for step in rows
        ]

    row = {
        "derive": numbers(plan.derive),
        "emit": numbers(plan.emit),
        "columns": {key: list(column) for key, column in plan.columns.items()},
        "needs": [plain(need) for need in plan.needs],
        "instead": instead,
        "note": plan.note,
        "used": sorted(plan.used),
        "said": [[key, plain(expr)] for key, expr in plan.said],
        "leftovers": None if plan.leftovers is None else list(plan.leftovers),
        "facts": {name: plain(value) for name, value in plan.facts.items()},
        "sure": sorted(plan.sure),
    }
    return plans.number(repr(row), row)


def plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
