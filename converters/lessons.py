"""What one plain record teaches about those like it: its spelling, and the plan they suit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.given import ATTRIBUTES
from datto_siem.converters.interpret import taken
from datto_siem.converters.plan.compile import compile_event
from datto_siem.converters.plan.reading import SURE_PARTS

if TYPE_CHECKING:
    from datto_siem.converters.event import Event
    from datto_siem.converters.plan.model import EventPlan, Reading
    from datto_siem.converters.spelling import Spelling
    from datto_siem.converters.tables.model import Tables, Target


def another(found: Spelling, known: list[Spelling]) -> Spelling:
    """The spelling to make a shape of, beside those there are.

    Values of other forms than before get the wide form; keys in another order than before count in
    any order from now on, if they can.
    """
    for each in known:
        if each.ordered and each.keys == found.keys:
            found = found.widened(each)
    if any(each.ordered and each.keys == found.keys for each in known):
        return found
    ordered = found.sorted()
    if ordered is None:
        return found
    same = [each for each in known if sorted(each.keys) == sorted(found.keys)]
    if not same and not any(not each.ordered for each in known):
        return found
    for each in same:
        ordered = ordered.widened(each.sorted() or each)
    return ordered


def narrowed(reading: Reading, found: Spelling) -> tuple[Reading, frozenset[str]]:
    """What the spelling gives, and the fields that it always gives."""
    rows = {}
    sure = set()
    for pair in found.pairs:
        if pair.cast is None or pair.form == "empty":
            continue
        rows[pair.cast.key] = pair.cast._replace(parts=pair.parts)
        for part, name in pair.parts:
            if pair.form != "wide" or not part or part in SURE_PARTS:
                sure.add(name)
    return reading._replace(casts=tuple(rows.values())), frozenset(sure)


def is_open(reading: Reading) -> bool:
    """Whether a table row is about events of any name, such as every traffic class."""
    return any(name.endswith("/*") for name in reading.names)


def suited(event: Event, found: Spelling, tables: Tables, target: Target) -> list[EventPlan]:
    """The plan for a spelling's records that have what this one has, last, after better ones."""
    narrow, sure = narrowed(event.reading, found)
    told = {"header.name"} if is_open(event.reading) else set()  # by the sender, not by the shape
    known = {
        name: value
        for name, path in ATTRIBUTES.items()
        if path.startswith("head.") and name not in told
        if (value := getattr(event.head, path.removeprefix("head.")))
    }
    best = compile_event(tables, target, narrow, known, sure)
    last = taken(best, event, tables.lookups).plan
    plans = [best]
    while plans[-1] is not last and plans[-1].instead is not None:
        plans.append(plans[-1].instead)
    return plans
