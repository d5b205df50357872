"""Run a plan step by step: the reference that the compiled path is held against.

`explain` uses it too, because here every value still knows the table row it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters import given
from datto_siem.converters.evaluate import Lookups, evaluate
from datto_siem.converters.leftovers import fill_columns, gather, place
from datto_siem.converters.paths import assign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.event import Event
    from datto_siem.converters.plan.model import EventPlan, Step

_READERS = {name: given.reader(name) for name in given.ATTRIBUTES}


class Run:
    """One plan run on one event.

    Attributes:
        plan: The plan that was taken in the end (`instead` followed).
        notes: Notes that this target adds to the event's own, such as `incomplete`.
        values: Every field's value: given, read from the record, derived.
        written: (step, value) for each path that was written, in order.
        document: The result.
    """

    def __init__(self, plan: EventPlan, event: Event, lookups: Lookups) -> None:
        """Run it."""
        self.plan, self.values, self.notes = taken(plan, event, lookups)
        self.written: list[tuple[Step, Any]] = []
        self.document: dict[str, Any] = {}
        for step in self.plan.emit:
            value = evaluate(step.expr, self.values, lookups)
            if value is not None:
                self.written.append((step, value))
                assign(self.document, step.into, value)
        used = self.plan.used
        if self.plan.columns:
            used = used | fill_columns(self.document, event, self.plan.columns)
        if self.plan.leftovers is not None:
            said = frozenset(
                key
                for key, expr in self.plan.said
                if evaluate(expr, self.values, lookups) is not None
            )
            rest = gather(event, used, said)
            if rest:
                place(self.document, rest, self.plan.leftovers)


class Taken(NamedTuple):
    """A plan that an event meets the needs of; see `Run` for the attributes."""

    plan: EventPlan
    values: dict[str, Any]
    notes: list[str]


def taken(plan: EventPlan, event: Event, lookups: Lookups) -> Taken:
    """The plan that is taken for an event: this one, or one that stands in for it."""
    notes: list[str] = []
    while True:
        values = _values(plan, event, lookups, notes)
        met = all(evaluate(need, values, lookups) is not None for need in plan.needs)
        if met or plan.instead is None:
            return Taken(plan, values, notes)
        if plan.note:
            notes.append(plan.note)
        plan = plan.instead


def _values(plan: EventPlan, event: Event, lookups: Lookups, notes: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: read(event) for name, read in _READERS.items()}
    values.update(event.fields)
    if notes:
        values["notes"] = sorted([*(values["notes"] or ()), *notes])
    for step in plan.derive:
        values[step.into] = evaluate(step.expr, values, lookups)
    return values


def interpret(plan: EventPlan, event: Event, lookups: Lookups) -> Mapping[str, Any]:
    """The document of one event."""
    return Run(plan, event, lookups).document
