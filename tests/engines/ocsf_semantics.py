"""What OCSF asks beside its JSON Schema, from the package's own export (not our extract)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from ocsf_json_schema import get_ocsf_schema

Finding = tuple[str, str]
_STEP = re.compile(r"(\w+)(?:\[(\d*)\])?")


@cache
def schema(version: str) -> dict[str, Any]:
    """The whole export of one version."""
    found: dict[str, Any] = get_ocsf_schema(version)
    return found


@cache
def class_of(version: str, uid: int) -> str:
    """The class name of a class_uid."""
    classes = schema(version)["classes"]
    return next(name for name, each in classes.items() if each["uid"] == uid)


def _profiles(attribute: dict[str, Any]) -> list[str]:
    found = attribute.get("profiles")
    if isinstance(found, list):
        return found
    return [attribute["profile"]] if attribute.get("profile") else []


@cache
def _attributes(version: str, kind: str, name: str, profiles: tuple[str, ...]) -> dict[str, Any]:
    every = schema(version)[kind][name]["attributes"]
    return {
        key: each
        for key, each in every.items()
        if not _profiles(each) or set(_profiles(each)) & set(profiles)
    }


def check(event: dict[str, Any]) -> list[Finding]:
    """Findings of one event."""
    version = event["metadata"]["version"]
    name = class_of(version, event["class_uid"])
    profiles = tuple(sorted(event["metadata"].get("profiles", [])))
    found: list[Finding] = []
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append(("type_uid", "type_uid_incorrect"))
    _walk(version, event, ("classes", name), profiles, "", found)
    for each in event.get("observables", []):
        there, value = _resolve(version, event, name, profiles, each["name"])
        if not there:
            found.append((each["name"], "observable resolves nowhere"))
        elif not isinstance(value, (dict, list)) and str(value) != each["value"]:
            found.append((each["name"], "observable has another value"))
    return found


def _walk(
    version: str,
    node: dict[str, Any],
    kind: tuple[str, str],
    profiles: tuple[str, ...],
    prefix: str,
    found: list[Finding],
) -> None:
    known = _attributes(version, *kind, profiles)
    if not known:
        return  # the open object, such as unmapped
    for key, value in node.items():
        path = f"{prefix}.{key}" if prefix else key
        attribute = known.get(key)
        if attribute is None:
            found.append((path, "attribute unknown, or its profile is not declared"))
            continue
        if "@deprecated" in attribute:
            found.append((path, "deprecated"))
        for each in value if attribute.get("is_array") else [value]:
            _value(node, attribute, each, path, found)
            if attribute["type"] == "object_t" and isinstance(each, dict):
                inner = ("objects", attribute["object_type"])
                _walk(version, each, inner, profiles, path, found)


def _value(
    node: dict[str, Any], attribute: dict[str, Any], value: Any, path: str, found: list[Finding]
) -> None:
    enum, sibling = attribute.get("enum"), attribute.get("sibling")
    if enum and str(value) in enum and sibling in node and not attribute.get("is_array"):
        caption = enum[str(value)]["caption"]
        if (value != 99) != (node[sibling] == caption):
            found.append((path, f"sibling {node[sibling]!r} against caption {caption!r}"))
    if enum and value == 99 and sibling and sibling not in node:
        found.append((path, "Other without its text"))
    if attribute["type"] == "timestamp_t" and not 946_684_800_000 <= value < 4_102_444_800_000:
        found.append((path, "not milliseconds"))


def _resolve(
    version: str, event: dict[str, Any], name: str, profiles: tuple[str, ...], path: str
) -> tuple[bool, Any]:
    kind: tuple[str, str] | None = ("classes", name)
    value: Any = event
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        key, index = match.groups() if match else (part, None)
        attribute = _attributes(version, *kind, profiles).get(key) if kind else None
        if attribute is None:
            return False, None
        value = value.get(key) if isinstance(value, dict) else None
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        inner = attribute.get("object_type")
        kind = ("objects", inner) if inner else None
    return True, value
