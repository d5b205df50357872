"""All faults of a set of tables at once, each with its file and line.

Shape first (JSON Schema), then what refers to what, then every plan of every target and version
against the pinned schemas. `datto-siem tables check` and the tests call this; so does loading an
overlay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.check import shape, sources, targets
from datto_siem.converters.errors import TableError

if TYPE_CHECKING:
    from pathlib import Path

    from datto_siem.converters.tables.model import Source, Tables


def check(tables: Tables, fixtures: Path | None = None) -> list[TableError]:
    """Every fault, in order of file and line.

    Args:
        tables: The tables.
        fixtures: The folder of fixtures, to ask one of every event; None where there is none.
    """
    faults = shape.shape(tables.roots)
    if not faults:  # what refers to what can only be asked of tables of the right shape
        faults += sources.vocabulary(tables) + sources.lookups(tables) + sources.sources(tables)
    if not faults:
        faults += targets.targets(tables)
    if fixtures is not None:
        faults += _without_fixture(tables, fixtures)
    unique = {(fault.where, fault.problem): fault for fault in faults}
    return sorted(unique.values(), key=_place)


def _place(fault: TableError) -> tuple[str, int, str]:
    name, _, line = fault.where.rpartition(":")
    return name, int(line) if line.isdigit() else 0, fault.problem


def _without_fixture(tables: Tables, fixtures: Path) -> list[TableError]:
    return [
        TableError(event.where, f"no fixture {source.name}/{folder(source, event.id)}/event.log")
        for source in tables.sources.values()
        for event in source.events.values()
        if not fixtures.joinpath(source.name, folder(source, event.id), "event.log").is_file()
    ]


def folder(source: Source, event: str) -> str:
    """An event's fixture folder: `wifi/key-mismatch` is `wifi_key_mismatch`."""
    if event == "*/*":
        return "foreign" if source.any else "unknown"
    return event.replace("/*", "_traffic").replace("/", "_").replace("-", "_")
