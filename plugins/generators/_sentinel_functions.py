"""Every stored function of the solution: parsers of each schema, and of the unknown events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.schemas.sentinel_columns import columns
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._sentinel_legs import CSL, UNKNOWN, Leg, legs
from datto_siem.plugins.generators._sentinel_parser import Parser
from datto_siem.plugins.generators._sentinel_schema import PRODUCT, SCHEMAS, TIMES, parameters
from datto_siem.plugins.generators._shipped import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context
    from datto_siem.plugins.generators._sentinel_schema import Filter, Schema

_PROBE = "wifi.probe"
UNKNOWN_EVENTS = f"{PRODUCT}UnknownEvents"


class Function(NamedTuple):
    """One stored function.

    Attributes:
        name: Its name and alias.
        table: Native table whose rows it gives.
        schema: ASIM schema, or None for the unknown events.
        parameters: As its resource states them.
        body: The query.
    """

    name: str
    table: str
    schema: Schema | None
    parameters: str
    body: str


def functions(context: Context) -> tuple[Function, ...]:
    """All of them, in the order of the schemas; the unknown events last."""
    asim, csl = portable(context, "asim"), portable(context, "csl")
    found = legs(asim, csl, _skipped(csl))
    every = [leg for rows in found.values() for leg in rows]
    made: list[Function] = []
    for table, schema in SCHEMAS.items():
        if table in found:
            parser = Parser(found[table], every, asim, _columns(table), part("kql", "casts.kql"))
            filters: Mapping[str, Filter] = {**TIMES, **schema.filters}
            for name, kept in ((schema.filtering, filters), (schema.parameterless, {})):
                lead = _lead(name, found[table], context.stamp)
                made.append(
                    Function(name, table, schema, parameters(kept), parser.body(lead, schema, kept))
                )
    parser = Parser(found[UNKNOWN], every, asim, _columns(UNKNOWN), part("kql", "casts.kql"))
    lead = _lead(UNKNOWN_EVENTS, found[UNKNOWN], context.stamp)
    body = parser.body(lead, None, TIMES)
    return (*made, Function(UNKNOWN_EVENTS, UNKNOWN, None, parameters(TIMES), body))


def probes(context: Context) -> list[Leg]:
    """The events an operator may want to drop before they cost: an access point's probes."""
    asim, csl = portable(context, "asim"), portable(context, "csl")
    rows = (leg for rows in legs(asim, csl, frozenset()).values() for leg in rows)
    return [leg for leg in rows if leg.event["activity"] == _PROBE]


def _lead(name: str, rows: list[Leg], stamp: str) -> list[str]:
    """Comment lines that open a body."""
    events = dict.fromkeys(leg.id.replace("*", "any") for leg in rows)
    return [f"{name}: {stamp}; generated, do not edit", f"reads {CSL}: {', '.join(events)}"]


def _columns(table: str) -> dict[str, str]:
    return {name: column.type for name, column in columns().table(table).items()}


def _skipped(csl: Mapping[str, Any]) -> frozenset[str]:
    """Columns that rows of CommonSecurityLog fill themselves: they are no pairs of the wire."""
    return frozenset(
        csl["steps"][step][0]
        for plan in csl["plans"]
        for step in plan["emit"]
        if csl["steps"][step][1][0] != "ref"
    )
