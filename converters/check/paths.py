"""Every path a plan writes, held against the pinned schema: is it there, and does the value fit.

Each schema has its own `Judge`. A row counts as unknown when no version and no event that it is
written for has its path; OCSF rows of newer versions are left out of older plans on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from datto_siem.converters.errors import TableError
from datto_siem.converters.plan.kinds import kind
from datto_siem.converters.plan.ocsf import OcsfRules
from datto_siem.converters.plan.rules import CimRules, EcsRules, SentinelRules
from datto_siem.converters.schemas import cim, columns, ecs, ocsf_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.converters.plan.compile import EventCompiler, Stacked
    from datto_siem.converters.plan.model import Step
    from datto_siem.converters.tables.expression import Expr
    from datto_siem.converters.tables.model import Tables, Target


@dataclass
class Seen:
    """Whether a row's path was ever there, by its `path@where`."""

    path: str
    where: str
    found: bool


class Judge(Protocol):
    """What one schema says of a row."""

    def has(self, path: str) -> bool:
        """Whether the path exists for this event in this version."""

    def problems(self, step: Step, type_: str | None) -> Iterator[str]:
        """What is wrong with the value, the path being there."""

    def whole(self, stacked: Stacked) -> Iterator[str]:
        """What is wrong with the event as a whole."""


def check(
    tables: Tables, table: Target, compiler: EventCompiler, seen: dict[str, Seen]
) -> list[TableError]:
    """Faults of one event in one target and version."""
    faults = []
    types = {name: field.type for name, field in tables.vocabulary.fields.items()}
    types["message"] = "text"
    for stacked in compiler.stacks():
        judge = _judge(table, compiler, stacked)
        if judge is None:
            continue
        for step in stacked.authored.values():
            mark = f"{step.into}@{step.where}"
            entry = seen.setdefault(mark, Seen(step.into, step.where, False))
            if not judge.has(step.into):
                continue
            entry.found = True
            written = stacked.written.get(step.into, step)
            type_ = kind(written.expr, types, tables.lookups)
            faults += [
                TableError(step.where, f"{step.into}: {problem}")
                for problem in judge.problems(step, type_)
            ]
        where = stacked.where
        faults += [TableError(where, problem) for problem in judge.whole(stacked)]
    return faults


def never(seen: Mapping[str, Seen]) -> list[TableError]:
    """Rows whose path no version of the schema has."""
    return [
        TableError(entry.where, f"{entry.path!r} is not in the schema")
        for entry in seen.values()
        if not entry.found
    ]


def constants(expr: Expr, others: bool = False) -> Iterator[Any]:
    """The constant leaves an expression can give; with `others`, OCSF's free texts too."""
    op = expr[0]
    if op == "other" and others:
        yield from constants(expr[1], others)
    if op == "const":
        values = expr[1] if isinstance(expr[1], tuple) else (expr[1],)
        yield from (value for value in values if value is not None)
    elif op == "if":
        yield from constants(expr[2], others)
        yield from constants(expr[3], others)
    elif op in ("first", "list"):
        for item in expr[1]:
            yield from constants(item, others)
    elif op == "lookup":
        for _, row in expr[2]:
            yield from constants(row, others)
        yield from constants(expr[3], others)
    elif op == "table":
        yield from constants(expr[4], others)


def _judge(table: Target, compiler: EventCompiler, stacked: Stacked) -> Judge | None:
    rules = compiler.rules
    if isinstance(rules, OcsfRules):
        return _Ocsf(rules, stacked.facts)
    if isinstance(rules, EcsRules):
        return _Ecs(rules, table.own)
    if isinstance(rules, CimRules):
        return _Cim(stacked.facts)
    if isinstance(rules, SentinelRules):
        return _Sentinel(table, stacked.facts)
    return None


def _outside(step: Step, allowed: tuple[str, ...]) -> Iterator[str]:
    for value in constants(step.expr):
        if value != "" and str(value) not in allowed:
            yield f"{value!r} is none of {', '.join(allowed)}"


class _Ecs:
    """ECS fields, arrays, allowed and expected values."""

    _TYPES: Mapping[str, tuple[str, ...]] = {
        "long": ("int",),
        "integer": ("int",),
        "float": ("float", "int"),
        "scaled_float": ("float", "int"),
        "boolean": ("bool",),
        "ip": ("ip", "text"),
        "date": ("text",),
    }

    def __init__(self, rules: EcsRules, own: tuple[str, ...]) -> None:
        self._schema = ecs(rules.version)
        self._own = own

    def has(self, path: str) -> bool:
        return path.split(".")[0] in self._own or self._schema.field(path) is not None

    def problems(self, step: Step, type_: str | None) -> Iterator[str]:
        field = self._schema.field(step.into)
        if field is None or type_ in (None, "any"):
            return
        if (type_ == "list") != field.array:
            yield "the schema wants a list" if field.array else "the schema wants one value"
        wanted = self._TYPES.get(field.type, ("text", "mac", "ip", "bool"))
        if type_ != "list" and type_ not in wanted:
            yield f"{type_} does not fit the schema's {field.type}"
        if field.allowed:
            yield from _outside(step, tuple(field.allowed))

    def whole(self, stacked: Stacked) -> Iterator[str]:
        written = stacked.authored
        if "event.category" not in written or "event.type" not in written:
            return
        categories = tuple(constants(written["event.category"].expr))
        expected = {each for name in categories for each in self._schema.expected_types(name)}
        for value in constants(written["event.type"].expr):
            if expected and value not in expected:
                yield f"event.type {value!r} is not expected of {', '.join(map(str, categories))}"


class _Cim:
    """Data sets: forbidden, required and waived fields, expected values."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        name = facts.get("dataset")
        self._facts = facts
        self._known = name is None or name in cim().datasets
        self._name = name
        self._fields = cim().dataset(name).fields if name is not None and self._known else {}

    def has(self, path: str) -> bool:
        return True  # CIM forbids fields, it does not list all others

    def problems(self, step: Step, type_: str | None) -> Iterator[str]:
        if step.into in cim().common:
            yield "an add-on must never set this field"
        field = self._fields.get(step.into)
        if field is None:
            return
        if field.forbidden:
            yield f"forbidden in {self._name}"
        if field.expected_values:
            yield from _outside(step, tuple(field.expected_values))

    def whole(self, stacked: Stacked) -> Iterator[str]:
        if not self._known:
            yield f"no data set {self._name!r}"
            return
        waived = {name.removeprefix("waive.") for name in self._facts if name.startswith("waive.")}
        required = {name for name, each in self._fields.items() if each.type == "required"}
        for name in sorted(required - waived - stacked.authored.keys()):
            yield f"{self._name} requires {name!r}: fill it or waive it with a reason"
        conditional = {name for name, each in self._fields.items() if each.type == "conditional"}
        for name in sorted(waived - required - conditional):
            yield f"waive.{name}: {self._name or 'no data set'} does not require it"


class _Sentinel:
    """Columns of the row's table: physical, typed, enumerated, mandatory."""

    _TYPES: Mapping[str, tuple[str, ...]] = {
        "string": ("text", "mac", "ip"),
        "int": ("int",),
        "long": ("int",),
        "real": ("float", "int"),
        "boolean": ("bool",),
        "datetime": ("text",),
        "dynamic": ("list", "dict", "text", "int", "bool", "mac", "ip"),
    }

    def __init__(self, table: Target, facts: Mapping[str, Any]) -> None:
        name = "CommonSecurityLog" if table.name == "csl" else facts.get("Type", "")
        self._name = name
        self._columns = columns().tables.get(name, {})

    def has(self, path: str) -> bool:
        column = self._columns.get(path.split(".")[0])
        return column is not None and column.physical

    def problems(self, step: Step, type_: str | None) -> Iterator[str]:
        column = self._columns[step.into.split(".")[0]]
        if type_ not in (None, "any") and type_ not in self._TYPES.get(column.type, ()):
            yield f"{type_} does not fit a column of type {column.type}"
        if column.allowed and "." not in step.into:
            yield from _outside(step, tuple(column.allowed))

    def whole(self, stacked: Stacked) -> Iterator[str]:
        if not self._columns:
            yield f"no table {self._name!r}"
        for name, column in self._columns.items():
            if column.klass == "Mandatory" and column.physical and name not in stacked.authored:
                yield f"{self._name} demands {name!r}"


class _Ocsf:
    """Attributes, captions and required attributes of the class."""

    _BASES: Mapping[str, tuple[str, ...]] = {
        "string_t": ("text", "mac", "ip"),
        "integer_t": ("int",),
        "long_t": ("int",),
        "float_t": ("float", "int"),
        "boolean_t": ("bool",),
    }

    def __init__(self, rules: OcsfRules, facts: Mapping[str, Any]) -> None:
        self._rules = rules
        self._facts = facts
        # an older version may lack a caption: it becomes 99 there, with the text kept
        self._newest = rules.schema.version == ocsf_versions()[-1]

    def has(self, path: str) -> bool:
        if path == "activity":
            return True
        return self._rules.known(path, self._facts)

    def problems(self, step: Step, type_: str | None) -> Iterator[str]:
        captions = self._rules.captions(step.into, self._facts)
        if captions:
            known = {caption.lower() for caption in captions}
            for value in constants(step.expr):
                if str(value).lower() not in known and self._newest:
                    yield f"no caption {value!r}; there are {', '.join(captions)}"
        attribute = self._rules.attribute(step.into, self._facts)
        if attribute is None or type_ in (None, "any"):
            return
        if attribute.object_type is not None:
            yield "an object: fill its attributes"
        elif (type_ == "list") != attribute.array:
            yield "the schema wants a list" if attribute.array else "the schema wants one value"
        elif type_ != "list":
            base = self._rules.schema.types[attribute.type].base
            if type_ not in self._BASES.get(base, (type_,)):
                yield f"{type_} does not fit {attribute.type}"

    def whole(self, stacked: Stacked) -> Iterator[str]:
        class_ = self._rules.class_of(self._facts)
        if class_ is None:
            yield f"no class {self._facts.get('class')!r} in {self._rules.schema.version}"
            return
        for name, each in class_.attributes.items():
            if each.required and not each.profiles and not stacked.fills(name):
                yield f"{class_.name} requires {name!r}"
