"""Make the plan of one source event for one target.

Layers are stacked by path (common rows, blocks in `use` order, the activity), expressions parsed
and folded for the event, the schema's own rows added, typed leaves put into written form, and the
wire keys nothing shows whole are left to the leftovers. See `mappings/README.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.plan import used
from datto_siem.converters.plan.kinds import Writer
from datto_siem.converters.plan.model import EventPlan, Reading, Step
from datto_siem.converters.plan.rules import Rules, rules
from datto_siem.converters.plan.simplify import Simplifier
from datto_siem.converters.tables.expression import ABSENT, Expr, names, parse
from datto_siem.converters.tables.model import Layer, Row, Tables, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from datto_siem.converters.errors import TableError
    from datto_siem.converters.tables.nodes import Node

_ALWAYS = ("event.time", "received", "processed", "uid", "original", "original_size")
_HEADER = ("header.cef_version", "header.vendor", "header.product", "header.class_id")


def compile_event(
    tables: Tables,
    target: Target,
    reading: Reading,
    constants: Mapping[str, Any] | None = None,
    sure: frozenset[str] = frozenset(),
) -> EventPlan:
    """The plan of one event.

    Args:
        tables: All tables.
        target: The target's table for the wanted schema version.
        reading: How the event is read.
        constants: Given fields known beforehand, such as those of one header.
        sure: Fields that the records meant always have, beside those of every record.

    Returns:
        The plan; its `instead` chain covers activity variants with `when` and records that lack
        what the schema requires.
    """
    return EventCompiler(tables, target, reading, constants, sure).plan(reading.activity)


class Stacked(NamedTuple):
    """One activity variant's rows for one event, before and after writing.

    Attributes:
        authored: Path -> row as the tables have it, folded for the event.
        written: Path -> row with the schema's own rows, in written form.
    """

    layer: Layer
    simplify: Simplifier
    derive: tuple[Step, ...]
    authored: Mapping[str, Step]
    written: Mapping[str, Step]
    facts: dict[str, Any]

    @property
    def where(self) -> str:
        """Where the activity's row stands."""
        return self.layer.where

    @property
    def emit(self) -> tuple[Step, ...]:
        """What is written, in order."""
        return tuple(step for step in self.written.values() if step.expr != ABSENT)

    def fills(self, name: str) -> bool:
        """Whether a top-level attribute has a row."""
        return any(
            path == name or path.startswith((f"{name}.", f"{name}[")) for path in self.written
        )


class EventCompiler:
    """Makes the plans of one event for one target."""

    def __init__(
        self,
        tables: Tables,
        target: Target,
        reading: Reading,
        constants: Mapping[str, Any] | None = None,
        sure: frozenset[str] = frozenset(),
    ) -> None:
        """Pick the schema's rules."""
        self.constants = constants or {}
        self.always = sure
        self.tables = tables
        self.target = target
        self.reading = reading
        self.rules: Rules = rules(target)
        self.faults: list[TableError] = []

    def plan(self, activity: str) -> EventPlan:
        """The activity's plan, its variants chained by `when`."""
        variants = self.layers(activity)
        plan: EventPlan | None = None
        for layer in reversed(variants):
            plan = self._variant(activity, layer, plan)
        return plan if plan is not None else self._variant(activity, Layer(activity, (), {}), None)

    def layers(self, activity: str) -> tuple[Layer, ...]:
        """The activity's variants in this version, or the starred row that covers all others.

        A variant whose `when` the event can never fill is none of its variants.
        """
        activities = self.target.activities
        found = activities.get(activity) or activities.get("*") or ()
        if all(layer.when is None for layer in found):
            return found
        simplify = self._simplifier(activity)
        self._derive(activity, simplify)
        return tuple(
            layer
            for layer in found
            if layer.when is None or simplify(parse(layer.when, self.faults)) != ABSENT
        )

    def stacks(self) -> Iterator[Stacked]:
        """Every variant that a record of the event may be written as."""
        activities = dict.fromkeys([self.reading.activity, self.target.incomplete])
        for activity in activities:
            if activity in self.tables.vocabulary.activities:
                for layer in self.layers(activity):
                    yield self.stacked(activity, layer)

    def stacked(self, activity: str, layer: Layer) -> Stacked:
        """One variant's rows."""
        simplify = self._simplifier(activity)
        derive = self._derive(activity, simplify)
        authored, facts = self._stack(layer, simplify)
        rows = self.rules.expand(authored, facts, simplify.sure)
        writer = Writer(self.target.formats, self._types(), self.tables.lookups)
        written = {
            path: _with(step, writer.write(step.expr, self.rules.holds_text(path, facts)))
            for path, step in rows.items()
        }
        written = self.rules.finish(written, facts, simplify.sure)
        written = {path: _with(step, simplify(step.expr)) for path, step in written.items()}
        return Stacked(layer, simplify, derive, authored, written, facts)

    def _variant(self, activity: str, layer: Layer, instead: EventPlan | None) -> EventPlan:
        stacked = self.stacked(activity, layer)
        simplify = stacked.simplify
        needs = tuple(self.rules.needs(dict(stacked.written), stacked.facts, simplify.sure))
        note = ""
        if layer.when is not None and instead is not None:
            needs = (simplify(parse(layer.when, self.faults)), *needs)
        else:
            instead, note = self._fallback(activity, needs, stacked)
        return self._assemble(activity, stacked, needs, instead, note)

    def _assemble(
        self,
        activity: str,
        stacked: Stacked,
        needs: tuple[Expr, ...],
        instead: EventPlan | None,
        note: str,
    ) -> EventPlan:
        emit, facts = stacked.emit, stacked.facts
        read = used.read(stacked.derive, emit)
        said = {
            name: expr
            for name, expr in self._said(stacked.simplify).items()
            if read & {name, *names(expr)}
        }
        target, reading = self.target, self.reading
        homes = [step for step in emit if step.into not in target.pivots]
        known = used.fields(stacked.derive, homes)
        carried: frozenset[str] = frozenset()
        sometimes: dict[str, Expr] = {}
        if not target.keys:
            carried, sometimes = used.keys(reading, known)
        leftovers: tuple[str, str] | None = (target.leftovers_into, target.leftovers_as)
        if not target.leftovers_into or ("leftovers" in facts and facts["leftovers"] is None):
            leftovers = None
        columns = {
            key: (column, self._column_type(column)) for key, (column, _) in target.keys.items()
        }
        told = {key: stacked.simplify(when) for key, when in sometimes.items()}
        for cast in reading.casts:
            for _, name in cast.parts:
                if name in said and cast.key not in carried:
                    other = told.get(cast.key, ABSENT)
                    told[cast.key] = ("first", (said[name], other))
        carried |= {key for key, when in told.items() if stacked.simplify.sure(when)}
        told = {key: when for key, when in told.items() if key not in carried}
        readers = [*emit, *_as_steps(needs), *_as_steps(told.values())]
        derive = _order(stacked.derive, readers)
        return EventPlan(
            id=reading.id,
            target=target.name,
            activity=activity,
            derive=derive,
            emit=emit,
            columns=columns,
            needs=needs,
            instead=instead,
            note=note,
            used=carried,
            said=tuple(told.items()),
            leftovers=leftovers,
            sure=frozenset(stacked.simplify.certain),
            facts=facts,
            inferred=reading.inferred or self.tables.vocabulary.activities[activity].inferred,
        )

    def _column_type(self, column: str) -> str:
        from datto_siem.converters.schemas import columns

        known = columns().table("CommonSecurityLog").get(column)
        return known.type if known is not None else "string"

    def _fallback(
        self, activity: str, needs: tuple[Expr, ...], stacked: Stacked
    ) -> tuple[EventPlan | None, str]:
        """What is written for a record that cannot meet the schema: a note says so."""
        incomplete = self.target.incomplete
        if not needs or not incomplete or incomplete == activity:
            return None, ""
        if incomplete != "plain":
            return self.plan(incomplete), "incomplete"
        kept = {
            name: value
            for name, value in stacked.facts.items()
            if name.split(".")[0] not in self.target.fact_names
        }
        plain = self._assemble(activity, stacked._replace(facts=kept), (), None, "")
        return plain, "incomplete"

    def _types(self) -> dict[str, str]:
        types = {name: field.type for name, field in self.tables.vocabulary.fields.items()}
        return {**types, "message": "text"}

    def _simplifier(self, activity: str) -> Simplifier:
        vocabulary = self.tables.vocabulary
        constants: dict[str, Any] = {
            **dict(self.reading.constants),
            **self.constants,
            "event.activity": activity,
            "tables.version": self.tables.version,
            "target.version": self.target.version,
        }
        title = vocabulary.activities[activity].title if activity in vocabulary.activities else ""
        if title:
            constants["event.title"] = title
        event = self.reading.event
        given = {name for name, field in vocabulary.fields.items() if field.origin == "given"}
        given -= constants.keys()
        if event not in ("text", "undecodable"):
            given -= {"syslog.text", "fault"}
        if event == "text":
            given -= {name for name in given if name.startswith("header.")}
        filled = {name for cast in self.reading.casts for _, name in cast.parts}
        sure = {*_ALWAYS, *self.always}
        if event not in ("text", "undecodable", "*/*"):
            sure.update(_HEADER)
            if not any(name.endswith("/*") for name in self.reading.names):
                sure.add("header.name")
        return Simplifier(
            constants, frozenset(given | filled), frozenset(sure), self.tables.lookups
        )

    def _derive(self, activity: str, simplify: Simplifier) -> tuple[Step, ...]:
        steps = []
        rows = [(each.name, each.expr, each.where) for each in self.tables.vocabulary.derived]
        known = self.tables.vocabulary.activities.get(activity)
        if known is not None:
            rows.append(("message", known.message, known.where))
        for name, node, where in rows:
            if node is None:
                continue
            expr = simplify(parse(node, self.faults))
            simplify.define(name, expr)
            if expr[0] != "const":
                steps.append(Step(name, expr, where))
        return tuple(steps)

    def _stack(self, layer: Layer, simplify: Simplifier) -> tuple[dict[str, Step], dict[str, Any]]:
        blocks = [self.target.blocks[name] for name in layer.use if name in self.target.blocks]
        alone = any(block.alone for block in blocks)
        layers = [*([] if alone else [self.target.common]), *blocks, layer]
        last: dict[str, tuple[Row, bool]] = {}
        facts: dict[str, Any] = {}
        for each in layers:
            for row in each.rows:
                if row.node is None:
                    last.pop(row.path, None)
                else:
                    last[row.path] = row, each.inferred
            facts.update({name: _fact(node) for name, node in each.facts.items()})
        rows = {
            path: Step(path, simplify(parse(row.node, self.faults)), row.where, inferred)
            for path, (row, inferred) in last.items()
            if row.node is not None
        }
        if "Type" in rows and rows["Type"].expr[0] == "const":
            facts["Type"] = rows["Type"].expr[1]
        return {path: step for path, step in rows.items() if step.expr != ABSENT}, facts

    def _said(self, simplify: Simplifier) -> dict[str, Expr]:
        found = {
            name: simplify(parse(node, self.faults)) for name, node in self.target.said.items()
        }
        return {name: expr for name, expr in found.items() if expr != ABSENT}


def _fact(node: Node) -> Any:
    value = node.plain()
    return tuple(value) if isinstance(value, list) else value


def _with(step: Step, expr: Expr) -> Step:
    return Step(step.into, expr, step.where, step.inferred)


def _as_steps(exprs: Iterable[Expr]) -> list[Step]:
    return [Step("", expr, "") for expr in exprs]


def _order(derive: tuple[Step, ...], readers: Iterable[Step]) -> tuple[Step, ...]:
    """The derived fields somebody reads, in table order."""
    wanted = {name for step in readers for name in names(step.expr)}
    kept = []
    for step in reversed(derive):
        if step.into in wanted:
            kept.append(step)
            wanted.update(names(step.expr))
    return tuple(reversed(kept))
