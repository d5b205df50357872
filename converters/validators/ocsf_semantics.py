"""The OCSF rules a JSON Schema cannot say: type_uid, enumeration siblings, observables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from datto_siem.converters.validators.finding import Finding, shown, under
from datto_siem.converters.validators.ocsf_structure import DEEPEST, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters.schemas import OcsfAttribute, OcsfClass, OcsfObject

OTHER = 99
_STEP = re.compile(r"(\w+)(?:\[(\d{0,9})\])?", re.ASCII)


def semantics(document: Mapping[str, object], klass: OcsfClass, scope: Scope) -> Iterator[Finding]:
    """What is wrong beyond the structure."""
    activity, told = document.get("activity_id"), document.get("type_uid")
    if isinstance(activity, int) and told != klass.uid * 100 + activity:
        yield Finding("type_uid", f"{shown(told)} is not {klass.uid * 100 + activity}")
    yield from _siblings(document, klass, scope, "", 0)
    observables = document.get("observables")
    for number, entry in enumerate(observables if isinstance(observables, list) else []):
        if isinstance(entry, Mapping):
            yield from _observable(entry, under("observables", number), document, klass, scope)


def _siblings(
    members: Mapping[str, object],
    entry: OcsfClass | OcsfObject,
    scope: Scope,
    path: str,
    depth: int,
) -> Iterator[Finding]:
    if depth > DEEPEST:
        return
    for name, value in members.items():
        attribute = entry.attributes.get(name)
        if attribute is None:
            continue
        inner = scope.object_of(attribute)
        if inner is None:
            if not attribute.array:
                yield from _sibling(value, members, attribute, path)
            continue
        place = under(path, name)
        items = enumerate(value) if isinstance(value, list) else [("", value)]
        for number, item in items:
            if isinstance(item, Mapping):
                where = under(place, number) if isinstance(number, int) else place
                yield from _siblings(item, inner, scope, where, depth + 1)


def _sibling(
    value: object, members: Mapping[str, object], attribute: OcsfAttribute, path: str
) -> Iterator[Finding]:
    if attribute.sibling is None or not isinstance(value, (int, str)):
        return
    caption = attribute.enum.get(value)
    if caption is None:
        return
    place, text = under(path, attribute.sibling), members.get(attribute.sibling)
    if value == OTHER and text is None:
        yield Finding(place, f"must say what {attribute.name} {OTHER} stands for")
    elif value == OTHER and text == caption:
        yield Finding(place, f"must say more than {caption!r} for {attribute.name} {OTHER}")
    elif value != OTHER and text not in (None, caption):
        yield Finding(place, f"{shown(text)} is not {caption!r}, as {attribute.name} says")


def _observable(
    entry: Mapping[str, object],
    path: str,
    document: Mapping[str, object],
    klass: OcsfClass,
    scope: Scope,
) -> Iterator[Finding]:
    name = entry.get("name")
    if not isinstance(name, str):
        return
    values = _resolved(name, document, klass, scope)
    if values is None:
        yield Finding(under(path, "name"), f"{shown(name)} is not a path of this class")
        return
    told = entry.get("value")
    scalars = [value for value in values if not isinstance(value, (Mapping, list))]
    if (
        told is not None
        and len(scalars) == len(values)
        and told not in [_written(value) for value in scalars]
    ):
        yield Finding(under(path, "value"), f"{shown(told)} is not what {name} holds")


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _resolved(
    name: str, document: Mapping[str, object], klass: OcsfClass, scope: Scope
) -> list[object] | None:
    """The values a path leads to in the document; None where the class has no such path."""
    entry: OcsfClass | OcsfObject | None = klass
    values: list[object] = [document]
    for part in name.split("."):
        step = _STEP.fullmatch(part)
        attribute = entry.attributes.get(step[1]) if step and entry else None
        if step is None or attribute is None or not scope.active(attribute):
            return None
        found = [value.get(step[1]) for value in values if isinstance(value, Mapping)]
        values = list(_picked(found, int(step[2]) if step[2] else None))
        entry = scope.object_of(attribute)
    return values


def _picked(found: list[object], number: int | None) -> Iterator[object]:
    """List members one by one, or the numbered one; other values as they are."""
    for value in found:
        if not isinstance(value, list):
            yield value
        elif number is None:
            yield from value
        elif number < len(value):
            yield value[number]
