"""One record for each event of the tables, for the pipeline tests of a package.

Headers are those of the vendor's own samples; values are example values of each key's cast, from
ranges set aside for documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.plan.reading import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.converters.plan.model import Cast, Reading
    from datto_siem.converters.tables.model import Lookup, Source, Tables

RECEIVED = 1_795_514_400_000
"""2026-11-24T10:00:00Z: when these records are received."""

_VALUES = {
    "text": "sample",
    "lower": "sample",
    "dns_name": "www.example.com",
    "int": "1",
    "float": "1.5",
    "port": "53124",
    "mac": "02:00:5E:10:00:0A",
    "ip": "192.0.2.7",
    "time": str(RECEIVED - 99_588),
    "hostport": "192.0.2.7:53124",
    "uid": "8d6f2c1e-5b7a-4c3d-9e2f-0a1b2c3d4e5f",
    "email": "jo@example.com",
    "span": "3600",
    "list": "sample",
}
_SYSLOG = "<134>Nov 24 09:58:20 ap-1 "
_OTHERS = (
    "<134>Nov 24 09:58:20 sw-1 port 7: link up",
    "CEF:0|Example|Gateway|1.0|100|login|5|src=192.0.2.7 dst=198.51.100.9 spt=53124 dpt=443 act=ok",
    "hello world",
)


def samples(tables: Tables) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name of the product, its records) for each source, in the order of the tables."""
    for source in tables.sources.values():
        lines = [] if source.any else list(_records(source, tables))
        yield source.name, tuple(lines or _OTHERS)


def _records(source: Source, tables: Tables) -> Iterator[str]:
    for event in source.events.values():
        if "/" not in event.id:  # what is not CEF
            continue
        row = reading(source, event)
        sample = source.samples.get(event.id) or next(iter(source.samples.values()), "")
        head = sample.split("|")[:7]
        if len(head) < 7:
            head = ["CEF:1", "Datto", source.products[0].replace("*", ""), "1.0", "", "", "3"]
        head[4:6] = (part.replace("*", "other") for part in event.names[0].split("/", 1))
        pairs = " ".join(_pairs(row, head[5], tables.lookups))
        yield f"{_SYSLOG}{'|'.join(head)}|{pairs}"


def _pairs(row: Reading, name: str, lookups: Mapping[str, Lookup]) -> Iterator[str]:
    casts = {cast.key: cast for cast in row.casts}
    for key in row.keys or row.time:
        cast = casts.get(key)
        if cast is None:
            continue
        mark = ":" if cast.colon else "="
        yield f"{key.replace('*', '0')}{mark}{_value(cast, name, lookups)}"


def _value(cast: Cast, name: str, lookups: Mapping[str, Lookup]) -> str:
    if cast.agrees == "header.name":
        return name
    if not cast.among:
        return _VALUES[cast.kind]
    table, _, column = cast.among[0].partition(".")
    if not column:
        return table
    return next(key for key, row in lookups[table].rows.items() if column in row)
