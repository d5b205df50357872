"""One source event in the add-on: its name there, its rows of the tables, its fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._splunk_fields import Fields
from datto_siem.plugins.generators._splunk_walk import Names
from datto_siem.plugins.splunk_sourcetypes import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ENVELOPE = frozenset({"_time", EVENT_ID})  # the sender gives them beside the event


@dataclass(frozen=True)
class Event:
    """One source event.

    Attributes:
        name: What `line_event` holds for it.
        row: Its row of the portable tables.
        plan: Its plan.
        names: `class/name` of its header; empty for records that are not CEF.
        fields: Its fields as eval expressions.
        emit: Path -> expression.
    """

    name: str
    row: Mapping[str, Any]
    plan: Mapping[str, Any]
    names: tuple[str, ...]
    fields: Fields
    emit: Mapping[str, list[Any]]

    @property
    def event_type(self) -> str:
        """The name of its event type and of its transforms."""
        return f"datto_{self.name}"

    def path(self, field: str) -> str | None:
        """The path that holds a field as it is."""
        return next((path for path, expr in self.emit.items() if expr == ["ref", field]), None)

    @property
    def mark(self) -> str:
        """The `FORMAT` that marks a record as this event."""
        return f"line_event::{self.name}"

    @property
    def by_class(self) -> dict[str, list[str]]:
        """Class -> names, of headers."""
        found: dict[str, list[str]] = {}
        for name in self.names:
            class_id, slash, rest = name.partition("/")
            if slash:
                found.setdefault(class_id, []).append(rest)
        return found


def source_events(
    tables: Mapping[str, Any], source: Mapping[str, Any]
) -> tuple[list[Event], Names]:
    """The events of a source, and the names of its wire keys."""
    rows = [row for row in tables["events"] if row["source"] == source["name"]]
    keys = {key for row in rows for key in (*row["casts"], *row["boundary"])}
    names = Names({*keys, *(start for row in rows for start, _ in row["lists"])})
    taken: set[str] = set()
    return [_event(tables, source, row, names, taken) for row in rows], names


def _event(
    tables: Mapping[str, Any],
    source: Mapping[str, Any],
    row: Mapping[str, Any],
    keys: Names,
    taken: set[str],
) -> Event:
    base = re.sub(r"[^a-z0-9]+", "_", row["id"].lower().replace("*", "any")).strip("_")
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    plan = tables["plans"][row["plan"]]
    steps = (tables["steps"][number] for number in plan["emit"])
    return Event(
        name,
        row,
        plan,
        tuple(sorted(n for n, at in source["names"].items() if tables["events"][at] is row)),
        Fields(row, plan, tables, keys),
        {path: expr for path, expr in steps if path not in _ENVELOPE},
    )


def is_one_of(found: Iterable[Event]) -> str:
    """Whether a record is one of some events."""
    names = [event.name for event in found]
    start = commonprefix(names) if len(names) > 1 else ""  # noqa: RUF071  no paths
    rest = "|".join(name.removeprefix(start) for name in names)
    choice = rest if len(names) == 1 else f"{start}(?:{rest})"
    return f"match(line_event,{_spl.pattern(f'^{choice}$')})"
