"""Target tables: layers, activities, coverage of the vocabulary, and every plan they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.check import paths
from datto_siem.converters.check.sources import refers
from datto_siem.converters.errors import SchemaMissing, TableError
from datto_siem.converters.plan.compile import EventCompiler
from datto_siem.converters.plan.reading import reading
from datto_siem.converters.schemas import ocsf_versions
from datto_siem.converters.tables.expression import names, parse
from datto_siem.converters.tables.target import target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters.tables.model import Layer, Tables, Target
    from datto_siem.converters.tables.nodes import Node

PLAIN = "plain"
"""An `incomplete` that drops data set and tags instead of naming another activity."""


def versions(tables: Tables, name: str) -> tuple[str, ...]:
    """The schema versions a target is checked for."""
    own = tables.targets[name].get("version")
    return ocsf_versions() if name == "ocsf" else (own.text() if own is not None else "",)


def targets(tables: Tables) -> list[TableError]:
    """Faults of every target in every version it ships."""
    faults: list[TableError] = []
    for name in tables.targets:
        seen: dict[str, paths.Seen] = {}
        for version in versions(tables, name):
            try:
                table = target(tables, name, version)
            except ValueError as error:
                faults.append(TableError(tables.targets[name].where, str(error)))
                continue
            found = _structure(tables, table) + _expressions(tables, table)
            faults += found or _plans(tables, table, seen)
        faults += paths.never(seen)
    return faults


def _plans(tables: Tables, table: Target, seen: dict[str, paths.Seen]) -> list[TableError]:
    faults: list[TableError] = []
    try:
        for source in tables.sources.values():
            for event in source.events.values():
                compiler = EventCompiler(tables, table, reading(source, event))
                faults += paths.check(tables, table, compiler, seen)
    except SchemaMissing as error:
        faults.append(TableError(table.where, str(error)))
    return faults


def layers(table: Target) -> Iterator[Layer]:
    """Every group of rows of a target."""
    yield table.common
    yield from table.blocks.values()
    for variants in table.activities.values():
        yield from variants


def _structure(tables: Tables, table: Target) -> list[TableError]:
    faults: list[TableError] = []
    known = tables.vocabulary.activities
    for name, variants in table.activities.items():
        if name != "*" and name not in known:
            faults.append(TableError(_line(table, "activities", name), f"no activity {name!r}"))
        plain = [each for each in variants if each.when is None]
        if len(plain) != 1:
            problem = f"{name!r} has {len(plain)} variants for {table.version}, not one"
            faults.append(TableError(_line(table, "activities", name), problem))
    if "*" not in table.activities:
        faults += [
            TableError(table.where, f"activity {name!r} has no row under activities")
            for name in known
            if name not in table.activities
        ]
    if table.incomplete and table.incomplete != PLAIN and table.incomplete not in known:
        faults.append(TableError(table.where, f"incomplete: no activity {table.incomplete!r}"))
    used = {name for layer in layers(table) for name in layer.use}
    faults += [
        TableError(layer.where, f"no block {name!r}")
        for layer in layers(table)
        for name in layer.use
        if name not in table.blocks
    ]
    faults += [
        TableError(block.where, f"no activity uses block {name!r}")
        for name, block in table.blocks.items()
        if name not in used
    ]
    for layer in layers(table):
        faults += _layer(table, layer)
    return faults


def _layer(table: Target, layer: Layer) -> list[TableError]:
    faults = []
    seen: set[str] = set()
    for row in layer.rows:
        if row.path in seen:
            faults.append(TableError(row.where, f"two rows of {layer.name!r} fill {row.path!r}"))
        seen.add(row.path)
    below = set() if layer is table.common else {row.path for row in table.common.rows}
    for name in layer.use:
        if name in table.blocks:
            below.update(row.path for row in table.blocks[name].rows)
    if layer.name in table.blocks:  # a block may take away a row of another block used before it
        below.update(row.path for block in table.blocks.values() for row in block.rows if row.node)
    faults += [
        TableError(row.where, f"`~` for {row.path!r} removes nothing")
        for row in layer.rows
        if row.node is None and row.path not in below
    ]
    return faults


def _line(table: Target, part: str, name: str) -> str:
    variants = table.activities.get(name) if part == "activities" else None
    return variants[0].where if variants else table.where


def _expressions(tables: Tables, table: Target) -> list[TableError]:
    """Every expression reads known fields; every field is mapped, said or left out on purpose."""
    faults: list[TableError] = []
    known = [*tables.vocabulary.fields, "message"]
    read: set[str] = set()

    def one(node: Node | None, where: str) -> None:
        if node is not None:
            expr = parse(node, faults)
            faults.extend(refers(expr, known, tables.lookups, where))
            read.update(names(expr))

    for layer in layers(table):
        for row in layer.rows:
            one(row.node, row.where)
        one(layer.when, layer.where)
    for node in table.said.values():
        one(node, node.where)
    if "*" in table.leave or table.keys:
        return faults
    derived = {
        field.name: set(names(parse(field.expr, [])))
        for field in tables.vocabulary.derived
        if field.expr is not None
    }
    messages = tables.vocabulary.activities.values()
    derived["message"] = {name for each in messages for name in names(parse(each.message, []))}
    constants = {name for source in tables.sources.values() for name in source.constants}
    reached = set(read)
    waiting = list(read)
    while waiting:
        for name in derived.get(waiting.pop(), set()) - reached:
            reached.add(name)
            waiting.append(name)
    for field in tables.vocabulary.fields.values():
        if field.origin != "field" or field.name in constants:
            continue
        left = field.name in table.leave
        if left and field.name in read:
            where = table.leave[field.name].where
            faults.append(TableError(where, f"{field.name!r} is left out, and a row reads it"))
        elif not left and field.name not in reached and field.name not in table.said:
            problem = (
                f"{field.name!r} has no row in {table.name}: map it, or leave it with a reason"
            )
            faults.append(TableError(field.where, problem))
    faults += [
        TableError(node.where, f"leave: no field {name!r}")
        for name, node in table.leave.items()
        if name not in tables.vocabulary.fields
    ]
    return faults
