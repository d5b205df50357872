"""Checks the attributes of an OCSF event: known, present, of the right type and value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.converters.validators.finding import WARNING, Finding, shown, under
from datto_siem.converters.validators.formats import compiled, is_integer, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from datto_siem.converters.schemas import (
        Ocsf,
        OcsfAttribute,
        OcsfClass,
        OcsfObject,
        OcsfType,
    )

DEEPEST = 32  # objects may hold themselves (a process its parent); no event of ours comes near
EARLIEST, LATEST = 946_684_800_000, 4_102_444_800_000  # 2000 to 2100 in ms: seconds fall outside

_BASES: dict[str, tuple[Callable[[object], bool], str]] = {
    "string_t": (lambda value: isinstance(value, str), "text"),
    "integer_t": (is_integer, "a whole number"),
    "long_t": (is_integer, "a whole number"),
    "float_t": (is_number, "a number"),
    "boolean_t": (lambda value: isinstance(value, bool), "true or false"),
    "json_t": (lambda value: True, "anything"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What decides which attributes an event may have: the version and the declared profiles."""

    schema: Ocsf
    profiles: frozenset[str]

    def active(self, attribute: OcsfAttribute) -> bool:
        """True where the event may have the attribute."""
        return not attribute.profiles or bool(attribute.profiles & self.profiles)

    def object_of(self, attribute: OcsfAttribute) -> OcsfObject | None:
        """The object an attribute holds, or None for a scalar."""
        return self.schema.objects[attribute.object_type] if attribute.object_type else None


def structure(
    members: Mapping[str, object],
    entry: OcsfClass | OcsfObject,
    scope: Scope,
    path: str = "",
    depth: int = 0,
) -> Iterator[Finding]:
    """What is wrong with the attributes of a class or object, and of the objects below."""
    if not entry.attributes:  # the open object: `unmapped`
        return
    if depth > DEEPEST:
        yield Finding(path, f"is nested deeper than {DEEPEST} objects")
        return
    yield from _presence(members, entry, scope, path)
    for name, value in members.items():
        place = under(path, name)
        attribute = entry.attributes.get(name)
        if attribute is None:
            yield Finding(place, f"is not an attribute of {entry.name} in {scope.schema.version}")
            continue
        if not scope.active(attribute):
            wanted = " or ".join(sorted(attribute.profiles))
            yield Finding(place, f"needs profile {wanted} in metadata.profiles")
            continue
        if attribute.deprecated:
            yield Finding(place, f"{WARNING}is deprecated")
        if not attribute.array:
            yield from _value(value, place, attribute, scope, depth)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from _value(item, under(place, number), attribute, scope, depth)
        else:
            yield Finding(place, f"must be a list, not {shown(value)}")


def _presence(
    members: Mapping[str, object], entry: OcsfClass | OcsfObject, scope: Scope, path: str
) -> Iterator[Finding]:
    for name, attribute in entry.attributes.items():
        if attribute.required and scope.active(attribute) and name not in members:
            yield Finding(under(path, name), "is required")
    if entry.at_least_one and not any(name in members for name in entry.at_least_one):
        yield Finding(path, f"{entry.name} needs at least one of {', '.join(entry.at_least_one)}")
    present = [name for name in entry.just_one if name in members]
    if entry.just_one and len(present) != 1:
        yield Finding(path, f"{entry.name} needs just one of {', '.join(entry.just_one)}")


def _value(
    value: object, path: str, attribute: OcsfAttribute, scope: Scope, depth: int
) -> Iterator[Finding]:
    if value is None:
        yield Finding(path, "is null; leave an absent attribute out")
        return
    inner = scope.object_of(attribute)
    if inner is None:
        yield from _scalar(value, path, attribute, scope.schema.types[attribute.type])
    elif isinstance(value, Mapping):
        yield from structure(value, inner, scope, path, depth + 1)
    else:
        yield Finding(path, f"must be an object, not {shown(value)}")


def _scalar(
    value: object, path: str, attribute: OcsfAttribute, kind: OcsfType
) -> Iterator[Finding]:
    fit, wanted = _BASES[kind.base]
    if not fit(value):
        yield Finding(path, f"must be {wanted}, not {shown(value)}")
        return
    if attribute.enum and isinstance(value, (int, str)) and value not in attribute.enum:
        yield Finding(path, f"{shown(value)} is not in the enumeration of {attribute.name}")
    if isinstance(value, (int, float)):
        yield from _range(value, path, kind)
    elif isinstance(value, str):
        yield from _characters(value, path, kind)


def _range(value: float, path: str, kind: OcsfType) -> Iterator[Finding]:
    if kind.low is not None and kind.high is not None and not kind.low <= value <= kind.high:
        yield Finding(path, f"{value} is not between {kind.low} and {kind.high}")
    if kind.name == "timestamp_t" and not EARLIEST <= value < LATEST:
        yield Finding(path, f"{value} is not a time in milliseconds since 1970")


def _characters(value: str, path: str, kind: OcsfType) -> Iterator[Finding]:
    if kind.max_len is not None and len(value) > kind.max_len:
        yield Finding(path, f"is longer than {kind.max_len} characters")
    elif kind.pattern is not None and not compiled(kind.pattern).search(value):
        # up to 1.3 the pattern refuses _ldap._tcp.example.com, an ordinary name in a DNS query
        grade = WARNING if kind.name == "hostname_t" else ""
        yield Finding(path, f"{grade}{shown(value)} is not a valid {kind.name}")
