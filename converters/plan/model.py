"""The plan's rows: what is read from a record and what is written for it.

Everything is frozen and plain (text, numbers, tuples), so that a generator can write a plan out
in any language. Expressions are described in `tables.expression`; two more kinds stand only here:
`("fmt", (type, style), x)` writes a MAC, time or duration in the target's style, and
`("collect", ((path, id, caption, x), ..))` gathers OCSF observables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.tables.expression import Expr


class Cast(NamedTuple):
    """How one wire key is read: `parts` are (part of the cast, canonical field)."""

    key: str
    kind: str
    parts: tuple[tuple[str, str], ...]
    colon: bool = False
    wins: bool = False
    free: bool = False
    agrees: str = ""
    among: tuple[str, ...] = ()


class Reading(NamedTuple):
    """How one source event is read; the same for every target.

    Attributes:
        id: `source/class/name`, or `source/text`, `source/undecodable`.
        keys: Documented wire keys in documented order.
        casts: Every wire key that is read, documented or not.
        time: Keys that may give the event time, best first.
        constants: Fields that are the same for every event of the source.
    """

    id: str
    source: str
    event: str
    names: tuple[str, ...]
    activity: str
    keys: tuple[str, ...]
    casts: tuple[Cast, ...]
    time: tuple[str, ...]
    constants: tuple[tuple[str, str], ...]
    inferred: bool


class Step(NamedTuple):
    """One assignment: a derived field, or a path of the document. `where` is its table row."""

    into: str
    expr: Expr
    where: str
    inferred: bool = False


class EventPlan(NamedTuple):
    """What is written for one source event in one target.

    Attributes:
        derive: Derived fields in order; each reads fields above it only.
        emit: Paths in order; each reads fields only, never the document.
        columns: Wire key -> (column, type) for a target that maps keys literally.
        needs: Expressions that must all have a value; otherwise `instead` is written.
        instead: The plan for a record that lacks a need, or None.
        note: Note to add when `instead` is taken, or "".
        used: Wire keys whose whole value the document carries.
        said: Wire keys that count as used when the expression has a value.
        leftovers: (path, style) of the place for keys that are not used, or None.
        sure: Fields that every record of the event has.
        facts: What is true of the event in this schema but not written (data set, tags, class).
    """

    id: str
    target: str
    activity: str
    derive: tuple[Step, ...]
    emit: tuple[Step, ...]
    columns: Mapping[str, tuple[str, str]]
    needs: tuple[Expr, ...]
    instead: EventPlan | None
    note: str
    used: frozenset[str]
    said: tuple[tuple[str, Expr], ...]
    leftovers: tuple[str, str] | None
    sure: frozenset[str]
    facts: Mapping[str, Any]
    inferred: bool
