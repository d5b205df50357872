"""Which wire keys a plan carries whole; every other key goes to the leftovers.

A row *carries* a field when its value shows the field whole: a reference, the value side of a
choice or lookup, lists, joins, templates, changes of case and of written form. A lookup's
subject, a test, `head`, `ipver`, `scope`, `minus`, `slug` and the like keep less than the value, so
they do not count. A field that is shown on a condition only (one side of a choice, a later item of
`first`, an object with a guard) counts for the records that meet the condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.tables.expression import ABSENT, Expr, children, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from datto_siem.converters.plan.model import Cast, Reading, Step

Shown = tuple[str, "Expr | None"]
"""A field, and the expression that has a value when it is shown; None for always."""

_PARTIAL = frozenset(
    {"head", "ipver", "local_mac", "minus", "scope", "seconds", "slug", "community_id", "collect"}
)
_WHOLE_OR_NOTHING = frozenset({"label", "fqdn", "ip", "mac"})
_SENTENCE = "message"  # what a line for people mentions is not kept by that
_TRUE: Expr = ("const", True)
# parts that together say all of a value: any one of these sets is enough
_WHOLE: Mapping[str, tuple[frozenset[str], ...]] = {
    "hostport": (frozenset({"ip", "port"}),),
    "email": (frozenset({"all"}), frozenset({"name", "domain"})),
    "uid": (frozenset({"all"}),),
    "span": (frozenset({"all"}),),
}
_TIME = frozenset({"event.time", "event.time_text"})


def carried(expr: Expr) -> Iterator[Shown]:
    """The fields whose whole value an expression shows, each with its condition."""
    op = expr[0]
    if op in _PARTIAL:
        return
    if op == "ref":
        yield expr[1], None
    elif op == "if":
        for name, when in carried(expr[2]):
            yield name, ("if", expr[1], when or _TRUE, ABSENT)
        for name, when in carried(expr[3]):
            yield name, ("if", expr[1], ABSENT, when or _TRUE)
    elif op == "lookup":
        for key, row in expr[2]:
            for name, when in carried(row):
                yield name, ("lookup", expr[1], ((key, when or _TRUE),), ABSENT)
        listed = tuple((key, ABSENT) for key, _ in expr[2])
        for name, when in carried(expr[3]):
            yield name, ("lookup", expr[1], listed, when or _TRUE)
    elif op == "table":
        found = (*expr[:4], ABSENT)
        for name, when in carried(expr[4]):
            yield name, ("if", found, ABSENT, when or _TRUE)
    elif op == "first":
        for at, item in enumerate(expr[1]):
            for name, when in carried(item):
                before = ("first", expr[1][:at])
                yield name, ("if", before, ABSENT, when or _TRUE) if at else when
    elif op in _WHOLE_OR_NOTHING:
        for name, _ in carried(expr[1]):
            yield name, expr
    elif op == "template":
        holes = [child[1] for child in children(expr)]
        for name in holes:
            yield name, None if len(holes) == 1 else expr
    else:
        for child in children(expr):
            yield from carried(child)


def fields(derive: Iterable[Step], emit: Iterable[Step]) -> dict[str, list[Expr | None]]:
    """Fields that the document carries, derived fields followed to their parts.

    Returns:
        Field -> the conditions it is shown on, any of which is enough.
    """
    inside = {step.into: list(carried(step.expr)) for step in derive}
    found: dict[str, list[Expr | None]] = {}
    waiting = [shown for step in emit for shown in carried(step.expr)]
    seen: set[Shown] = set()
    while waiting:
        name, when = waiting.pop()
        if name == _SENTENCE or (name, when) in seen:
            continue
        seen.add((name, when))
        found.setdefault(name, []).append(when)
        for inner, condition in inside.get(name, ()):
            both = condition if when is None else ("if", when, condition or _TRUE, ABSENT)
            waiting.append((inner, both))
    return found


def read(derive: Iterable[Step], emit: Iterable[Step]) -> set[str]:
    """Every field that a path of the document depends on in any way, the sentence aside."""
    inside = {step.into: set(names(step.expr)) for step in derive}
    found: set[str] = set()
    waiting = [name for step in emit for name in names(step.expr)]
    while waiting:
        name = waiting.pop()
        if name not in found and name != _SENTENCE:
            found.add(name)
            waiting.extend(inside.get(name, ()))
    return found


def keys(
    reading: Reading, known: Mapping[str, list[Expr | None]]
) -> tuple[frozenset[str], dict[str, Expr]]:
    """Wire keys whose value the carried fields say whole.

    Returns:
        Keys that are always said, and key -> the condition under which it is.
    """
    if "pairs" in known:
        return frozenset(cast.key for cast in reading.casts), {}
    always: set[str] = set()
    sometimes: dict[str, Expr] = {}
    for cast in reading.casts:
        when = _whole(cast, known)
        if when is None:
            always.add(cast.key)
        elif when != ABSENT:
            sometimes[cast.key] = when
    if known.keys() & _TIME:
        always.update(reading.time)
    return frozenset(always), {key: when for key, when in sometimes.items() if key not in always}


def _whole(cast: Cast, known: Mapping[str, list[Expr | None]]) -> Expr | None:
    """When all of a value is shown: None for always, absent for never."""
    shown: dict[str, Expr | None] = {}
    for part, name in cast.parts:
        if name in known:
            conditions = known[name]
            every = tuple(each for each in conditions if each is not None)
            shown[part] = None if len(every) < len(conditions) else ("first", every)
    enough = _WHOLE.get(cast.kind) or (frozenset(part for part, _ in cast.parts),)
    ways = []
    for parts in enough:
        if not parts or not parts <= shown.keys():
            continue
        tests = [shown[part] for part in sorted(parts) if shown[part] is not None]
        if not tests:
            return None
        way = _TRUE
        for test in tests:
            way = ("if", test, way, ABSENT)
        ways.append(way)
    return ("first", tuple(ways)) if ways else ABSENT
