"""The generated field reference: for every event, every output field of every target, and its key.

Made from the plans alone, so it cannot say anything that the converter does not do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters.check.paths import constants
from datto_siem.converters.notes import NOTES
from datto_siem.converters.plan.compile import compile_event
from datto_siem.converters.plan.reading import documented, reading
from datto_siem.converters.tables.expression import children, names
from datto_siem.converters.tables.target import target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.converters.plan.model import EventPlan, Reading, Step
    from datto_siem.converters.tables.expression import Expr
    from datto_siem.converters.tables.model import Source, SourceEvent, Tables

REGENERATE = "datto-siem tables docs -o mappings/README.md"
TITLES = {
    "ecs": "Elastic Common Schema",
    "cim": "Splunk CIM",
    "ocsf": "OCSF",
    "asim": "Microsoft Sentinel, ASIM",
    "csl": "Microsoft Sentinel, CommonSecurityLog",
}
_MOST = 6
_INTRO = """# Field reference

Generated from the tables in this folder; do not edit. To renew it: `{regenerate}`.

Everything rests on the vendor's public help page; no device log was available. Rows and events
marked **inferred** are our reading where that page does not settle the matter.

How to read it: *Field* is the path in the output; *From* names the wire keys (`key`), header
parts (*header name*) or decoder facts (*receive time*) that the value comes from; a value in
`code` after "=" is constant, values after "one of" are the constants it can take. A key that no
row of a target shows whole is kept in the target's leftover place, so nothing is lost.
"""
_ADDING = """## Adding an event

1. `datto-siem tables new access_point wifi/roam` adds the row and a fixture folder.
2. Edit the row: activity, documented keys; put real (redacted) lines into `event.log`.
3. `pytest --update` writes the goldens; read them. `datto-siem tables check` tells every fault.
4. `{regenerate}` renews this page.

A new kind of activity also needs its row in each target; the check lists the missing ones.
"""


def markdown(tables: Tables) -> str:
    """The whole page, ending in a line feed."""
    lines = [_INTRO.format(regenerate=REGENERATE)]
    plans = {name: _plans(tables, name) for name in sorted(tables.targets)}
    common = {name: _common(tables, each.values()) for name, each in plans.items()}
    lines.append(_ADDING.format(regenerate=REGENERATE))
    lines += ["## In every event", ""]
    for name, rows in common.items():
        lines += [f"### {TITLES.get(name, name)}", "", *_table(rows), ""]
    for source in tables.sources.values():
        lines += [f"## {source.name}", "", *_source(source)]
        for event in source.events.values():
            lines += _event(tables, source, event, plans, common)
    lines += ["## Notes of the decoder", "", "| Note | Meaning |", "| --- | --- |"]
    lines += [f"| `{kind}` | {meaning} |" for kind, meaning in sorted(NOTES.items())]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _plans(tables: Tables, name: str) -> dict[str, EventPlan]:
    table = target(tables, name)
    return {row.id: compile_event(tables, table, row) for row in _readings(tables)}


def _readings(tables: Tables) -> list[Reading]:
    """Every event's reading, with its documented keys only where there are any."""
    return [
        _narrow(reading(source, event))
        for source in tables.sources.values()
        for event in source.events.values()
    ]


def _narrow(row: Reading) -> Reading:
    return documented(row) if row.keys else row


def _source(source: Source) -> list[str]:
    lines = ["| Key | Type | Meaning |", "| --- | --- | --- |"]
    for rule in source.keys.values():
        marks = [mark for mark, on in (("inferred", rule.inferred), ("`:` too", rule.colon)) if on]
        told = f" ({', '.join(marks)})" if marks else ""
        lines.append(f"| `{rule.key}` | {rule.cast} | {_cell(rule.doc)}{told} |")
    return [*lines, ""]


def _event(
    tables: Tables,
    source: Source,
    event: SourceEvent,
    plans: Mapping[str, Mapping[str, EventPlan]],
    common: Mapping[str, Mapping[str, str]],
) -> list[str]:
    row = _narrow(reading(source, event))
    activity = tables.vocabulary.activities[event.activity]
    inferred = " **inferred**" if row.inferred or activity.inferred else ""
    lines = [
        f"### {source.name}: {event.id}",
        "",
        f"{activity.title} (`{event.activity}`){inferred}",
    ]
    if len(event.names) > 1:
        lines.append("Also sent as " + ", ".join(f"`{name}`" for name in event.names[1:]) + ".")
    if event.keys:
        lines.append("Documented keys: " + ", ".join(f"`{key}`" for key in event.keys) + ".")
    for name, each in plans.items():
        plan = each[row.id]
        shown = {
            path: text
            for path, text in _described(tables, row, plan).items()
            if common[name].get(path) != text
        }
        facts = _facts(plan)
        lines += ["", f"**{TITLES.get(name, name)}**{facts}", "", *_table(shown)]
    return [*lines, ""]


def _facts(plan: EventPlan) -> str:
    told = []
    for name in ("dataset", "tags", "Type", "class"):
        if name in plan.facts:
            value = plan.facts[name]
            told.append(", ".join(value) if isinstance(value, tuple) else str(value))
    waived = [name.removeprefix("waive.") for name in plan.facts if name.startswith("waive.")]
    if waived:
        told.append(f"waived: {', '.join(waived)}")
    return f" ({'; '.join(told)})" if told else ""


def _common(tables: Tables, plans: Any) -> dict[str, str]:
    """Rows that read the same in every event."""
    found: dict[str, str] | None = None
    readings = {row.id: row for row in _readings(tables)}
    for plan in plans:
        if plan.facts.get("Type") == "Datto_CL":
            continue
        rows = _described(tables, readings[plan.id], plan)
        kept = rows if found is None else found
        found = {path: text for path, text in kept.items() if rows.get(path) == text}
    return found or {}


def _described(tables: Tables, row: Reading, plan: EventPlan) -> dict[str, str]:
    rows = {step.into: _from(tables, row, plan, step) for step in plan.emit}
    for key, (column, _) in plan.columns.items():
        if key in {cast.key for cast in row.casts} and (not row.keys or key in row.keys):
            rows[column] = f"`{key}`"
    return rows


def _from(tables: Tables, row: Reading, plan: EventPlan, step: Step) -> str:
    expr = step.expr
    if expr[0] == "const":
        value = ", ".join(map(str, expr[1])) if isinstance(expr[1], tuple) else expr[1]
        return f"= `{value}`"
    if expr[0] == "collect":
        return "of " + ", ".join(f"`{path}`" for path, *_ in expr[1])
    origins = list(dict.fromkeys(_origins(tables, row, plan, step)))
    values = [str(value) for value in dict.fromkeys(constants(expr, True)) if value != ""]
    text = ", ".join(origins) or "by presence"
    through = list(dict.fromkeys(_lookups(expr)))
    if through:
        text += " through " + ", ".join(f"lookup `{name}`" for name in through)
    if values:
        shown = ", ".join(f"`{value}`" for value in values[:_MOST])
        text += f"; one of {shown}{' ..' if len(values) > _MOST else ''}"
    return text + (" **inferred**" if step.inferred else "")


def _lookups(expr: Expr) -> Iterator[str]:
    if expr[0] == "table":
        yield expr[2]
    for child in children(expr):
        yield from _lookups(child)


def _origins(tables: Tables, row: Reading, plan: EventPlan, step: Step) -> Iterator[str]:
    derived = {each.into: each for each in plan.derive}
    for name in names(step.expr):
        if name in derived:
            yield from _origins(tables, row, plan, derived[name])
            continue
        keys = [cast.key for cast in row.casts if name in dict(cast.parts).values()]
        if keys:
            yield from (f"`{key}`" for key in keys if not row.keys or key in row.keys)
        elif name == "event.time":
            yield "event time" + (f" (`{'`, `'.join(row.time)}`)" if row.time else "")
        else:
            yield f"*{name.replace('.', ' ').replace('_', ' ')}*"


def _table(rows: Mapping[str, str]) -> list[str]:
    if not rows:
        return ["Nothing beside the rows of every event."]
    head = ["| Field | From |", "| --- | --- |"]
    return head + [f"| `{path}` | {_cell(text)} |" for path, text in rows.items()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
