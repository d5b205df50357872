"""Checks a document against the Elastic Common Schema.

Rules beyond the field list: nested objects, never dotted keys; category and type agree as in
elastic-package (each type is expected by at least one category); `network` with `protocol` names
the protocol; `@timestamp` and `ecs.version` are there. `datto` is our own root and free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from datto_siem.converters.schemas import ecs, ecs_versions
from datto_siem.converters.validators.finding import Finding, shown, under
from datto_siem.converters.validators.formats import compiled, fits, is_ip, is_number, is_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from datto_siem.converters.schemas import Ecs, EcsField

OWN = frozenset({"datto"})
_OPEN = frozenset({"flattened", "geo_point"})
_OBJECTS = frozenset({"object", "nested"})


def _text(value: object) -> bool:
    return isinstance(value, str)


_TYPES: dict[str, tuple[Callable[[object], bool], str]] = {
    "keyword": (_text, "text"),
    "constant_keyword": (_text, "text"),
    "wildcard": (_text, "text"),
    "text": (_text, "text"),
    "match_only_text": (_text, "text"),
    "long": (lambda value: fits(value, 64), "a whole number"),
    "integer": (lambda value: fits(value, 32), "a whole number"),
    "float": (is_number, "a number"),
    "double": (is_number, "a number"),
    "scaled_float": (is_number, "a number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "ip": (is_ip, "an IP address"),
    "date": (is_time, "an RFC 3339 time with a zone"),
}


def check(document: Mapping[str, object], version: str | None = None) -> list[Finding]:
    """All that is wrong with an ECS document.

    Args:
        document: The document, nested.
        version: ECS version to check against; by default the one the document states, and the
            newest pinned one where it states none that is pinned.

    Raises:
        SchemaMissing: `version` is given and not pinned.
    """
    found = list(_version(document))
    stated = _at(document, "ecs", "version")
    pinned = stated if isinstance(stated, str) and stated in ecs_versions() else ecs_versions()[-1]
    schema = ecs(version or pinned)
    found += _members(document, "", "", schema)
    found += _event(document, schema)
    return found


def _version(document: Mapping[str, object]) -> Iterator[Finding]:
    if "@timestamp" not in document:
        yield Finding("@timestamp", "is required")
    stated = _at(document, "ecs", "version")
    if stated is None:
        yield Finding("ecs.version", "is required")
    elif isinstance(stated, str) and stated not in ecs_versions():
        yield Finding("ecs.version", f"{shown(stated)} is not one of {', '.join(ecs_versions())}")


@cache
def _groups(version: str) -> frozenset[str]:
    """Every path that has fields below it."""
    groups = set()
    for path in ecs(version).fields:
        parts = path.split(".")
        groups |= {".".join(parts[:length]) for length in range(1, len(parts))}
    return frozenset(groups)


def _members(
    members: Mapping[str, object], group: str, place: str, schema: Ecs
) -> Iterator[Finding]:
    """What is wrong below a group; `place` is its path here, with list positions."""
    for name, value in members.items():
        path, here = under(group, name), under(place, name)
        if path in OWN:
            continue
        if "." in name:
            yield Finding(here, "is a dotted key; ECS documents are nested objects")
        elif value is None:
            yield Finding(here, "is null; leave an absent field out")
        elif value in ({}, []):
            yield Finding(here, "is empty; leave an absent field out")
        else:
            yield from _value(value, path, here, schema)


def _value(value: object, path: str, place: str, schema: Ecs) -> Iterator[Finding]:
    field = schema.field(path)
    if field is None:
        if path not in _groups(schema.version):
            yield Finding(place, f"is not a field of ECS {schema.version}")
        elif isinstance(value, Mapping):
            yield from _members(value, path, place, schema)
        else:
            yield Finding(place, f"must be an object, not {shown(value)}")
    elif isinstance(value, list):
        if not field.array and field.type not in (*_OBJECTS, *_OPEN):
            yield Finding(place, "must be a single value")
        for number, item in enumerate(value):
            yield from _item(item, under(place, number), field, schema)
    else:
        if field.array:
            yield Finding(place, "must be a list")
        yield from _item(value, place, field, schema)


def _item(value: object, place: str, field: EcsField, schema: Ecs) -> Iterator[Finding]:
    if field.type in _OPEN:
        return
    if field.type in _OBJECTS:
        if not isinstance(value, Mapping):
            yield Finding(place, f"must be an object, not {shown(value)}")
        elif field.path in _groups(schema.version):
            yield from _members(value, field.path, place, schema)
        return
    fit, wanted = _TYPES[field.type]
    if not fit(value):
        yield Finding(place, f"must be {wanted}, not {shown(value)}")
        return
    if field.pattern and isinstance(value, str) and not compiled(field.pattern).search(value):
        yield Finding(place, f"{shown(value)} does not match {field.pattern}")
    if field.allowed and value not in field.allowed:
        yield Finding(place, f"{shown(value)} is not one of {', '.join(field.allowed)}")
    if field.expected and value not in field.expected:
        yield Finding(place, f"{shown(value)} is not one of {', '.join(field.expected)}")


def _event(document: Mapping[str, object], schema: Ecs) -> Iterator[Finding]:
    categories = _words(_at(document, "event", "category"))
    types = _words(_at(document, "event", "type"))
    expected = {word for category in categories for word in schema.expected_types(category)}
    for word in types:
        if categories and word not in expected:
            yield Finding("event.type", f"{word!r} is expected by none of {', '.join(categories)}")
    named = _at(document, "network", "protocol")
    if "network" in categories and "protocol" in types and named is None:
        yield Finding("network.protocol", "is required with category network and type protocol")


def _words(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _at(document: Mapping[str, object], group: str, name: str) -> object:
    members = document.get(group)
    return members.get(name) if isinstance(members, Mapping) else None
