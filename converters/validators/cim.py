"""Checks a document against Splunk's Common Information Model.

A CIM document does not say its data set: event types and tags are search-time facts of the tables.
So the caller passes them, with the waivers (required fields the vendor cannot supply, each with a
reason). Without a data set only the rules of every Splunk event are checked: flat, no fillers, MAC
addresses as CIM wants them, no field that asset and identity correlation owns.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from datto_siem.converters.schemas import cim
from datto_siem.converters.validators.cim_rules import condition, constraint, validity
from datto_siem.converters.validators.finding import Finding, shown
from datto_siem.converters.validators.formats import is_lower_mac, is_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from datto_siem.converters.schemas import CimDataset, CimField

OWN = "datto_"
FILLERS = frozenset({"", "-", "null", "(null)", "unknown"})
_NO_WAIVERS: Mapping[str, str] = MappingProxyType({})


def check(
    document: Mapping[str, object],
    dataset: str | None = None,
    tags: Collection[str] = (),
    waived: Mapping[str, str] = _NO_WAIVERS,
) -> list[Finding]:
    """All that is wrong with a CIM document.

    Args:
        document: The event, flat.
        dataset: `Model.Object` it is meant for, or None to check the general rules only.
        tags: The tags its event type gets.
        waived: Required fields that may be absent, with the reason.

    Raises:
        SchemaMissing: `dataset` is in no pinned model.
    """
    found = list(_general(document))
    if dataset is not None:
        entry = cim().dataset(dataset)
        known = frozenset(tags)
        found += _tags(entry, known)
        found += _constraints(document, entry)
        for field in entry.fields.values():
            found += _field(document, field, known, waived)
        found += _clusters(document, entry)
    return found


def _general(document: Mapping[str, object]) -> Iterator[Finding]:
    for name, value in document.items():
        items = value if isinstance(value, list) else [value]
        if name in cim().common:
            yield Finding(name, "belongs to asset and identity correlation; never set it")
        if value is None or not items:
            yield Finding(name, "is null or empty; leave an absent field out")
        elif any(isinstance(item, (Mapping, list)) for item in items):
            yield Finding(name, "is nested; a CIM event is flat")
        elif not name.startswith(OWN):
            yield from _content(name, items)
    time = document.get("_time")
    if time is not None and not is_number(time):
        yield Finding("_time", f"must be a number of seconds, not {shown(time)}")


def _content(name: str, items: list[object]) -> Iterator[Finding]:
    for item in items:
        if isinstance(item, str) and item.strip().lower() in FILLERS:
            yield Finding(name, f"{shown(item)} says nothing; leave an absent field out")
        elif name.endswith("_mac") and not is_lower_mac(item):
            yield Finding(name, f"{shown(item)} is not a MAC address in lower case with colons")


def _tags(entry: CimDataset, tags: frozenset[str]) -> Iterator[Finding]:
    if not any(tags.issuperset(wanted) for wanted in entry.tags):
        listed = " or ".join(", ".join(wanted) for wanted in entry.tags)
        yield Finding("tag", f"{entry.name} needs the tags {listed}")
    model = entry.name.partition(".")[0]
    for other in cim().datasets.values():
        rival = other.name.partition(".")[0]
        root = len(other.constraint) == 1
        if root and rival != model and any(tags.issuperset(wanted) for wanted in other.tags):
            yield Finding("tag", f"the tags also put it into {rival}; one event, one model")


def _constraints(document: Mapping[str, object], entry: CimDataset) -> Iterator[Finding]:
    for expression in entry.constraint:
        for name, wanted in constraint(expression).items():
            if document.get(name) != wanted:
                yield Finding(name, f"must be {wanted} in {entry.name}")


def _field(
    document: Mapping[str, object],
    field: CimField,
    tags: frozenset[str],
    waived: Mapping[str, str],
) -> Iterator[Finding]:
    rule = condition(field.condition) if field.condition else None
    applies = rule is None or rule(document, tags)
    if field.name not in document:
        wanted = field.type == "required" or (field.type == "conditional" and applies)
        if wanted and field.name not in waived:
            yield Finding(field.name, f"is {field.type} and neither there nor waived")
        return
    if field.forbidden or (field.condition == "tag != dhcp" and not applies):
        yield Finding(field.name, "is forbidden in this data set")
        return
    value = document[field.name]
    for item in value if isinstance(value, list) else [value]:
        if field.expected_values and str(item) not in field.expected_values:
            yield Finding(
                field.name, f"{shown(item)} is not one of {', '.join(field.expected_values)}"
            )
    test = validity(field.name, field.validity) if field.validity else None
    if test is not None and not test[0](document, tags):
        yield Finding(field.name, f"{shown(value)} {test[1]}")


def _clusters(document: Mapping[str, object], entry: CimDataset) -> Iterator[Finding]:
    for cluster in entry.clusters:
        absent = [name for name in cluster if name not in document]
        if absent and len(absent) < len(cluster):
            there = ", ".join(name for name in cluster if name in document)
            yield Finding(absent[0], f"must come together with {there}")
