"""What vocabulary, lookups and sources refer to: fields, casts, columns, activities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters import given
from datto_siem.converters.casts import CASTS
from datto_siem.converters.errors import TableError
from datto_siem.converters.tables.expression import children, names, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datto_siem.converters.tables.expression import Expr
    from datto_siem.converters.tables.model import Key, Lookup, Source, Tables

# a numbered list is gathered, not cast
_LIST_PARTS = {"": "list"}


def refers(
    expr: Expr, known: Iterable[str], lookups: Mapping[str, Lookup], where: str
) -> list[TableError]:
    """Fields, lookups and columns an expression names that are not there."""
    fields = set(known)
    faults = [
        TableError(where, f"no field {name!r} can be read here")
        for name in dict.fromkeys(names(expr))
        if name not in fields
    ]
    faults += [TableError(where, problem) for problem in _tables(expr, lookups)]
    return faults


def _tables(expr: Expr, lookups: Mapping[str, Lookup]) -> list[str]:
    found = []
    if expr[0] == "table":
        lookup = lookups.get(expr[2])
        if lookup is None:
            found.append(f"no lookup {expr[2]!r}; there are {', '.join(sorted(lookups))}")
        elif expr[3] not in lookup.columns:
            listed = ", ".join(lookup.columns)
            found.append(f"lookup {expr[2]!r} has no column {expr[3]!r}; it has {listed}")
    for child in children(expr):
        found += _tables(child, lookups)
    return found


def vocabulary(tables: Tables) -> list[TableError]:
    """Derived rows read rows above them only; `given` is what events really carry."""
    faults: list[TableError] = []
    fields = tables.vocabulary.fields
    supplied = {*given.ATTRIBUTES, "event.activity", "event.title"}
    supplied |= {"tables.version", "target.version"}
    known = []
    for field in fields.values():
        if field.origin == "given" and field.name not in supplied:
            faults.append(TableError(field.where, f"nothing fills the given field {field.name!r}"))
        if field.origin != "derived":
            known.append(field.name)
    for field in tables.vocabulary.derived:
        if field.expr is not None:
            faults += refers(parse(field.expr, faults), known, tables.lookups, field.where)
        known.append(field.name)
    for activity in tables.vocabulary.activities.values():
        expr = parse(activity.message, faults)
        faults += refers(expr, known, tables.lookups, activity.where)
        if not _never_absent(expr):
            faults.append(TableError(activity.where, "a message must not be able to be absent"))
    return faults


def _never_absent(expr: Expr) -> bool:
    if expr[0] == "const":
        return expr[1] is not None
    if expr[0] == "first":
        return any(_never_absent(item) for item in expr[1])
    if expr[0] == "template":
        refs = [part for part in expr[1] if isinstance(part, tuple) and part[0] == "ref"]
        return not refs and any(isinstance(part, str) for part in expr[1])
    return False


def lookups(tables: Tables) -> list[TableError]:
    """Rows and defaults use declared columns."""
    return [
        TableError(lookup.where, f"row {key!r}: no column {column!r} is declared")
        for lookup in tables.lookups.values()
        for key, row in (*lookup.rows.items(), ("default", lookup.default))
        for column in row
        if column not in lookup.columns
    ]


def sources(tables: Tables) -> list[TableError]:
    """Every source's keys, events and samples; fields that no source fills."""
    faults: list[TableError] = []
    filled = {row.field for row in tables.dictionary.values() if row.field}
    for row in tables.dictionary.values():
        faults += _cast(tables, row.cast, {"": row.field} if row.field else {}, row.where)
    for source in tables.sources.values():
        faults += _source(tables, source)
        rules = [*source.keys.values(), *_overrides(source)]
        filled.update(name for rule in rules for name in rule.parts.values())
        filled.update(source.constants)
    if sum(source.any for source in tables.sources.values()) != 1:
        where = next(iter(tables.sources.values())).where if tables.sources else "sources:1"
        faults.append(TableError(where, "exactly one source must match `any`"))
    for field in tables.vocabulary.fields.values():
        if field.origin == "field" and field.name not in filled:
            faults.append(TableError(field.where, f"no source fills {field.name!r}"))
    return faults


def _overrides(source: Source) -> list[Key]:
    return [rule for event in source.events.values() for rule in event.overrides.values() if rule]


def _source(tables: Tables, source: Source) -> list[TableError]:
    faults: list[TableError] = []
    for rule in source.keys.values():
        faults += _key(tables, rule)
    for key in source.time:
        if key not in source.keys:
            faults.append(TableError(source.where, f"time key {key!r} has no row under fields"))
    for name in source.constants:
        if name not in tables.vocabulary.fields:
            faults.append(TableError(source.where, f"set: no field {name!r}"))
    seen: dict[str, str] = {}
    for event in source.events.values():
        if event.activity not in tables.vocabulary.activities:
            faults.append(TableError(event.where, f"no activity {event.activity!r}"))
        for name in event.names:
            if name in seen:
                faults.append(TableError(event.where, f"{name!r} is also a name of {seen[name]!r}"))
            seen[name] = event.id
        faults += [
            TableError(event.where, f"key {key!r} has no row under fields")
            for key in event.keys
            if key not in source.keys and key not in event.overrides
        ]
        for key, override in event.overrides.items():
            if override is None:
                if key not in source.keys:
                    faults.append(TableError(event.where, f"`~` for {key!r} removes nothing"))
            elif key not in tables.dictionary:
                faults += _key(tables, override)
    wanted = ["*/*", "text", "undecodable"] if source.any else ["*/*"]
    if source.takes_text and not source.any:
        wanted.append("text")
    faults += [
        TableError(source.where, f"events: {name!r} is missing")
        for name in wanted
        if name not in source.events
    ]
    faults += [
        TableError(source.where, f"samples: no event {name!r}")
        for name in source.samples
        if name not in source.events
    ]
    return faults


def _key(tables: Tables, rule: Key) -> list[TableError]:
    faults = _cast(tables, rule.cast, rule.parts, rule.where)
    if rule.among and "." in rule.among[0]:
        table, _, column = rule.among[0].partition(".")
        lookup = tables.lookups.get(table)
        if lookup is None or column not in lookup.columns:
            faults.append(TableError(rule.where, f"among: no lookup column {rule.among[0]!r}"))
    return faults


def _cast(tables: Tables, kind: str, parts: Mapping[str, str], where: str) -> list[TableError]:
    if kind == "list":
        types: Mapping[str, str] = _LIST_PARTS
    elif kind in CASTS:
        types = CASTS[kind].parts
    else:
        return [TableError(where, f"no cast {kind!r}; there are list, {', '.join(sorted(CASTS))}")]
    faults = []
    for part, name in parts.items():
        field = tables.vocabulary.fields.get(name)
        if part not in types:
            listed = ", ".join(repr(each) for each in types)
            faults.append(TableError(where, f"cast {kind!r} has no part {part!r}; it has {listed}"))
        elif field is None or field.origin != "field":
            faults.append(TableError(where, f"no field {name!r} in the vocabulary"))
        elif types[part] != field.type:
            problem = f"cast {kind!r} gives {types[part]}, {name!r} is {field.type}"
            faults.append(TableError(where, problem))
    return faults
