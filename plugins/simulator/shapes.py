"""Documented events as templates: their keys, order and separators come from the source tables.

Product, version and severity stand in the vendor's examples that the tables keep as samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.converters.tables.load import load
from datto_siem.plugins.simulator.draft import Draft, Pair, escape_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.tables.model import Source

PRODUCTS = ("access_point", "secure_edge")
ANY_NAME = "*"  # the traffic class stands where other events have their name
LIST = "groups.*"


@dataclass(frozen=True, slots=True)
class Shape:
    """One documented event, or one of its other spellings.

    Attributes:
        label: `product:class/name`, as the table has the row.
        header: Vendor, product, device version, class id, name, severity.
        keys: Key -> separator, in documented order.
        times: Keys that hold a time.
        urgency: Syslog severity that goes with the header's.
        template: The line, to be filled from a mapping of keys.
    """

    label: str
    product: str
    event: str
    header: tuple[str, ...]
    keys: Mapping[str, str]
    times: tuple[str, ...]
    urgency: int
    template: str

    def draft(self, values: Mapping[str, object], sent: int) -> Draft:
        """The line as parts, for a quirk to change."""
        header = [*self.header]
        if header[4] == ANY_NAME:
            header[4] = str(values["class"])
        draft = Draft(self.product, self.event, header, times=self.times, sent=sent)
        for key, sep in self.keys.items():
            if key == LIST:
                pairs = (item.partition("=") for item in str(values[key]).split(" "))
                draft.pairs += [Pair(name, text) for name, _, text in pairs]
            else:
                draft.pairs.append(Pair(key, str(values[key]), sep))
        return draft


def listed(texts: list[str]) -> str:
    """The pairs `groups.0=..`, `groups.1=..` of a list."""
    return " ".join(f"groups.{number}={text}" for number, text in enumerate(texts))


def shapes() -> dict[str, list[Shape]]:
    """`class/name` -> the event's shape, and after it those of its other spellings."""
    tables = load()
    found: dict[str, list[Shape]] = {}
    for product in PRODUCTS:
        source = tables.sources[product]
        for event_id, event in source.events.items():
            if event.keys:
                found[event_id] = [_shape(source, event_id, name) for name in event.names]
    return found


def _shape(source: Source, event_id: str, spelling: str) -> Shape:
    event = source.events[event_id]
    sample = source.samples.get(event_id)
    example = (sample or next(iter(source.samples.values()))).split("|", 7)
    class_id, _, name = spelling.partition("/")
    severity = example[6] if sample else "0"
    header = (*example[1:4], class_id, name, severity)
    keys = {key: ":" if source.keys[key].colon else "=" for key in event.keys}
    shown = [*map(escape_header, header)]
    if name == ANY_NAME:
        shown[4] = "%(class)s"
    pairs = [f"%({key})s" if key == LIST else f"{key}{sep}%({key})s" for key, sep in keys.items()]
    return Shape(
        label=f"{source.name}:{event_id}",
        product=source.name,
        event=event_id,
        header=header,
        keys=keys,
        times=tuple(key for key in keys if source.keys[key].cast == "time"),
        urgency=4 if severity == "7" else 5 if severity == "2" else 6,
        template=f"{example[0]}|{'|'.join(shown)}|{' '.join(pairs)}",
    )
