"""Which wire keys a plan carries whole; every other key goes to the leftovers.

A row *carries* a field when its value shows the field whole: a reference, the value side of a
choice or lookup, lists, joins, templates, changes of case and of written form. A lookup's
subject, a test, `head`, `ipver`, `scope`, `label`, `fqdn`, `minus`, `slug` and the like keep less
than the value, so they do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.tables.expression import Expr, children

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from datto_siem.converters.plan.model import Cast, Reading, Step

_PARTIAL = frozenset(
    {
        "head",
        "ip",
        "ipver",
        "label",
        "fqdn",
        "local_mac",
        "mac",
        "minus",
        "scope",
        "seconds",
        "slug",
        "community_id",
    }
)
# parts that together say all of a value: any one of these sets is enough
_WHOLE: Mapping[str, tuple[frozenset[str], ...]] = {
    "hostport": (frozenset({"ip", "port"}),),
    "email": (frozenset({"all"}), frozenset({"name", "domain"})),
    "uid": (frozenset({"all"}),),
    "span": (frozenset({"all"}),),
}
_TIME = frozenset({"event.time", "event.time_text"})


def carried(expr: Expr) -> Iterator[str]:
    """The fields whose whole value an expression shows."""
    op = expr[0]
    if op in _PARTIAL:
        return
    if op == "ref":
        yield expr[1]
    elif op == "if":
        yield from carried(expr[2])
        yield from carried(expr[3])
    elif op == "lookup":
        for _, row in expr[2]:
            yield from carried(row)
        yield from carried(expr[3])
    elif op == "table":
        yield from carried(expr[4])
    elif op == "collect":
        return
    else:
        for child in children(expr):
            yield from carried(child)


def fields(derive: Iterable[Step], emit: Iterable[Step]) -> frozenset[str]:
    """Fields that the document carries, derived fields followed to their parts."""
    inside = {step.into: set(carried(step.expr)) for step in derive}
    found: set[str] = set()
    open_ = [name for step in emit for name in carried(step.expr)]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_.extend(inside.get(name, ()))
    return frozenset(found)


def keys(reading: Reading, known: frozenset[str]) -> frozenset[str]:
    """Wire keys whose value the carried fields say whole."""
    used = {cast.key for cast in reading.casts if _whole(cast, known)}
    if known & _TIME:
        used.update(reading.time)
    if "pairs" in known:
        used.update(cast.key for cast in reading.casts)
    return frozenset(used)


def _whole(cast: Cast, known: frozenset[str]) -> bool:
    got = {part for part, name in cast.parts if name in known}
    enough = _WHOLE.get(cast.kind)
    if enough is None:
        return bool(cast.parts) and len(got) == len(cast.parts)
    return any(parts <= got for parts in enough)
