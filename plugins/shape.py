"""The fixed shape of a target's documents: which fields they can have, and their types.

Made from the mapping tables' own paths and types and the pinned OCSF types, never from data: a
lake whose columns drift with the events that happen to come cannot be queried. OCSF has a shape
for each class and one that holds them all. Knows neither Arrow nor Parquet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from datto_siem.converters.paths import split
from datto_siem.converters.plan.kinds import kinds
from datto_siem.converters.plan.ocsf import OcsfRules
from datto_siem.converters.plan.reading import reading
from datto_siem.converters.schemas import ocsf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters import Converter
    from datto_siem.converters.plan.model import EventPlan

BOOLEAN, INTEGER, LONG, FLOAT, TEXT, JSON, MAP = (
    "boolean",
    "integer",
    "long",
    "float",
    "text",
    "json",
    "map",
)
_BASES = {
    "boolean_t": BOOLEAN,
    "integer_t": INTEGER,
    "long_t": LONG,
    "float_t": FLOAT,
    "string_t": TEXT,
    "json_t": JSON,
}
_HALF, _WHOLE = 1 << 31, 1 << 63
_OBSERVABLE = ("name", "type", "type_id", "value")


class Many(NamedTuple):
    """A list of values of one shape."""

    each: Any


class Misfit(Exception):
    """A document does not fit its class's shape; the message says where."""


LEFTOVERS = "leftovers"
"""Column of a flat target's leftovers (CIM's `datto_*`), which have names of the wire."""

_KINDS = {
    "bool": BOOLEAN,
    "int": LONG,
    "float": FLOAT,
    "list": Many(TEXT),
    "dict": MAP,
    "any": JSON,
}
_COLUMNS = {"int": LONG, "long": LONG, "real": FLOAT, "bool": BOOLEAN, "dynamic": MAP}

Shape = dict[str, Any]
"""Field -> a type's name, `Many`, or the shape of an object; fields in order of their names."""


def shapes(converter: Converter, version: str) -> dict[int, Shape]:
    """The shape of every class that the tables can produce, by class_uid.

    Args:
        converter: A converter to OCSF.
        version: Its OCSF version.
    """
    schema = ocsf(version)
    rules = OcsfRules(schema, ())
    found: dict[int, Shape] = {}
    tables = converter.tables
    for source in tables.sources.values():
        for event in source.events.values():
            for plan in _plans(converter.plan(reading(source, event))):
                class_ = schema.classes[plan.facts["class"]]
                shape = found.setdefault(class_.uid, {})
                for step in plan.emit:
                    _place(shape, step.into, rules, plan)
                if plan.leftovers is not None:
                    shape[plan.leftovers[0]] = MAP
    return {uid: _sorted(shape) for uid, shape in sorted(found.items())}


def shape(converter: Converter) -> Shape:
    """One shape that every document of a target fits.

    Args:
        converter: To any target with documents.
    """
    if converter.name == "ocsf":
        whole: Shape = {}
        for each in shapes(converter, converter.target.version).values():
            _join(whole, each)
        return _sorted_shape(whole)
    found: Shape = {}
    types, lookups = converter.types, converter.tables.lookups
    for source in converter.tables.sources.values():
        for event in source.events.values():
            for plan in _plans(converter.plan(reading(source, event))):
                for step in plan.emit:
                    given = kinds(step.expr, types, lookups)
                    if step.expr[0] == "fmt" and step.expr[1][1] == "seconds":
                        given = frozenset({"float"})  # milliseconds stand behind the point
                    # a host name or an address is text either way
                    for kind_ in {_KINDS.get(type_, TEXT) for type_ in given}:
                        _put(found, step.into, kind_)
                for column, type_ in plan.columns.values():
                    _put(found, column, _COLUMNS.get(type_, TEXT))
                if plan.leftovers is not None:
                    into, style = plan.leftovers
                    homes = {"object": (into, MAP), "pairs": (into, TEXT)}
                    _put(found, *homes.get(style, (LEFTOVERS, MAP)))
    return _sorted_shape(found)


def _put(shape: Shape, path: str, kind_: Any) -> None:
    """Set a path's kind; where two events differ, any JSON may stand."""
    *parents, (name, _) = split(path)
    for parent, many in parents:
        inner = shape.setdefault(parent, Many({}) if many else {})
        if inner == MAP:
            return  # open to any name
        shape = inner.each if many else inner
    known = shape.setdefault(name, kind_)
    if known != kind_:
        shape[name] = MAP if kind_ == MAP and isinstance(known, dict) else JSON


def _join(shape: Shape, other: Shape) -> None:
    """Lay another class's shape over one."""
    for name, kind_ in other.items():
        known = shape.get(name)
        if isinstance(known, Many) and isinstance(kind_, Many) and isinstance(known.each, dict):
            _join(known.each, kind_.each)
        elif isinstance(known, dict) and isinstance(kind_, dict):
            _join(known, kind_)
        elif known is None:
            shape[name] = _copied(kind_)
        elif known != kind_:
            shape[name] = JSON


def _copied(kind_: Any) -> Any:
    if isinstance(kind_, Many):
        return Many(_copied(kind_.each))
    return (
        {name: _copied(each) for name, each in kind_.items()} if isinstance(kind_, dict) else kind_
    )


def _sorted_shape(shape: Shape) -> Shape:
    found: Shape = _sorted(shape)
    return found


def _plans(plan: EventPlan | None) -> Iterator[EventPlan]:
    while plan is not None:
        yield plan
        plan = plan.instead


def _place(shape: Shape, path: str, rules: OcsfRules, plan: EventPlan) -> None:
    """Add a path's field and the objects on its way."""
    prefix = ""
    parts = split(path)
    for at, (name, many) in enumerate(parts):
        prefix = f"{prefix}.{name}" if prefix else name
        if rules.open(f"{prefix}.x", plan.facts):
            shape[name] = MAP
            return
        if at == len(parts) - 1:
            shape[name] = _leaf(prefix, rules, plan)
            return
        inner = shape.setdefault(name, Many({}) if many else {})
        shape = inner.each if many else inner


def _leaf(path: str, rules: OcsfRules, plan: EventPlan) -> Any:
    attribute = rules.attribute(path, plan.facts)
    if attribute is None:
        raise LookupError(f"{plan.id}: OCSF has no {path} there")
    if attribute.object_type is not None:
        if attribute.object_type != "observable":
            raise LookupError(f"{plan.id}: {path} is filled as a whole")
        inner = rules.schema.objects["observable"].attributes
        kinds = {name: _BASES[rules.schema.types[inner[name].type].base] for name in _OBSERVABLE}
        return Many(kinds)
    kind = _BASES[rules.schema.types[attribute.type].base]
    return Many(kind) if attribute.array else kind


def _sorted(shape: Any) -> Any:
    if isinstance(shape, Many):
        return Many(_sorted(shape.each))
    if isinstance(shape, dict):
        return {name: _sorted(inner) for name, inner in sorted(shape.items())}
    return shape


def fitted(document: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Make a document's values what its columns hold, in place; nothing is left out.

    Raises:
        Misfit: A field the shape lacks, or a value of another type.
    """
    for name, value in document.items():
        kind = shape.get(name)
        if kind == TEXT and type(value) is str:
            continue
        if kind == INTEGER and type(value) is int and -_HALF <= value < _HALF:
            continue
        try:
            document[name] = _value(value, kind)
        except Misfit as error:
            raise Misfit(f"{name}{error}") from None
    return document


def _value(value: Any, kind: Any) -> Any:
    if isinstance(kind, str):
        return _scalar(value, kind)
    if isinstance(kind, Many):
        if not isinstance(value, list):
            raise Misfit(": no list")
        return [_value(each, kind.each) for each in value]
    if kind is None:
        raise Misfit(": the class has no such column")
    if not isinstance(value, dict):
        raise Misfit(": no object")
    try:
        return fitted(value, kind)
    except Misfit as error:
        raise Misfit(f".{error}") from None


def _scalar(value: Any, kind: str) -> Any:
    if kind == JSON:
        return orjson.dumps(value).decode()
    if kind == MAP:
        if not isinstance(value, dict):
            raise Misfit(": no object")
        return [(name, _text(inner)) for name, inner in value.items()]
    if kind == TEXT:
        good = isinstance(value, str)
    elif kind == BOOLEAN:
        good = isinstance(value, bool)
    elif kind == FLOAT:
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        limit = _HALF if kind == INTEGER else _WHOLE
        good = type(value) is int and -limit <= value < limit
    if not good:
        raise Misfit(f": no {kind}")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
