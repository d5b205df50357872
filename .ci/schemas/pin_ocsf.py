"""Pin OCSF, all versions in one file: `pin_ocsf.py OUT WHEEL_DIR`, an unpacked ocsf-json-schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pinned import merged, write

VERSIONS = ["1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.8.0"]
CLASSES = [
    "base_event",
    "network_activity",
    "authentication",
    "dhcp_activity",
    "dns_activity",
    "tunnel_activity",
    "application_lifecycle",
    "device_power_state_activity",  # from 1.9 on; taken as soon as an export has it
]
PROFILES = {"host", "security_control", "datetime"}

Entries = dict[str, dict[str, dict[str, Any]]]  # name -> version -> the export's entry


def profiles(attribute: dict[str, Any]) -> set[str]:
    """The profiles an attribute belongs to: a list since 1.8, one name or null before."""
    if "profiles" in attribute:
        return set(attribute["profiles"] or [])
    return {attribute["profile"]} if attribute.get("profile") else set()


def wanted(entry: dict[str, Any]) -> dict[str, Any]:
    """The attributes an event without any other profile may have.

    The exports call `cloud` and `osint` required; they are, under their own profiles only.
    """
    return {
        name: attribute
        for name, attribute in entry["attributes"].items()
        if not profiles(attribute) or profiles(attribute) & PROFILES
    }


def reachable(export: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our classes, and every object that can occur in them."""
    classes = {name: export["classes"][name] for name in CLASSES if name in export["classes"]}
    objects: dict[str, Any] = {}
    waiting = list(classes.values())
    while waiting:
        for attribute in wanted(waiting.pop()).values():
            name = attribute.get("object_type")
            if name and name not in objects:
                objects[name] = export["objects"][name]
                waiting.append(objects[name])
    return classes, objects


def attribute_shape(attribute: dict[str, Any]) -> dict[str, Any]:
    """What an attribute is checked against, without its enumeration."""
    found: dict[str, Any] = {"type": attribute["type"]}
    if attribute.get("object_type"):
        found = {"object": attribute["object_type"]}
    if attribute.get("is_array"):
        found["array"] = True
    if attribute["requirement"] == "required":
        found["required"] = True
    if attribute.get("sibling"):
        found["sibling"] = attribute["sibling"]
    if attribute.get("observable"):
        found["observable"] = attribute["observable"]
    if "@deprecated" in attribute:
        found["deprecated"] = True
    kept = sorted(profiles(attribute) & PROFILES)
    return found | ({"profiles": kept} if kept else {})


def captions(by_version: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The enumeration over the versions that have the attribute; a steady value is bare."""
    versions = list(by_version)
    listed = {v: by_version[v].get("enum", {}) for v in versions}
    found: dict[str, Any] = {}
    for value in {value for values in listed.values() for value in values}:
        of_value = {
            v: {"caption": listed[v][value]["caption"]} for v in versions if value in listed[v]
        }
        entry = merged(of_value, versions)
        found[value] = entry["caption"] if list(entry) == ["caption"] else entry
    return found


def attributes(by_version: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All attributes of one class or object over all versions."""
    kept = {version: wanted(entry) for version, entry in by_version.items()}
    found: dict[str, Any] = {}
    for name in {name for entries in kept.values() for name in entries}:
        of_name = {v: kept[v][name] for v in VERSIONS if name in kept.get(v, {})}
        shapes = {v: attribute_shape(attribute) for v, attribute in of_name.items()}
        found[name] = merged(shapes, list(by_version))
        if enumeration := captions(of_name):
            found[name]["enum"] = enumeration
    return found


def class_shape(entry: dict[str, Any]) -> dict[str, Any]:
    """Number, names and constraints of a class."""
    category = entry["category_uid"]
    text = entry["attributes"]["category_uid"]["enum"][str(category)]["caption"]
    found = {"uid": entry["uid"], "caption": entry["caption"]}
    return found | {"category_uid": category, "category_name": text} | entry.get("constraints", {})


def object_shape(entry: dict[str, Any]) -> dict[str, Any]:
    """Constraints and observable number of an object."""
    number = {"observable": entry["observable"]} if entry.get("observable") else {}
    return number | entry.get("constraints", {})


def type_shape(entry: dict[str, Any]) -> dict[str, Any]:
    """What a value of a scalar type must be."""
    found = {"base": entry["type"]} if "type" in entry else {}
    return found | {k: entry[k] for k in ("regex", "range", "max_len", "observable") if k in entry}


def turned(by_version: dict[str, dict[str, Any]]) -> Entries:
    """Turn version -> name -> entry into name -> version -> entry."""
    names = {name for entries in by_version.values() for name in entries}
    return {
        name: {v: by_version[v][name] for v in VERSIONS if name in by_version[v]} for name in names
    }


def main(out: str, wheel: str) -> None:
    """Write the extract of all versions."""
    folder = Path(wheel) / "ocsf_json_schema" / "ocsf"
    exports = {v: json.loads((folder / f"{v}.json").read_text(encoding="utf-8")) for v in VERSIONS}
    found = {version: reachable(export) for version, export in exports.items()}
    kinds: dict[str, Any] = {}
    for place, (kind, shape) in enumerate([("classes", class_shape), ("objects", object_shape)]):
        entries = turned({version: pair[place] for version, pair in found.items()})
        kinds[kind] = {
            name: {
                "head": merged({v: shape(entry) for v, entry in of_name.items()}, VERSIONS),
                "attributes": attributes(of_name),
            }
            for name, of_name in entries.items()
        }
    types = turned({v: _types(export) for v, export in exports.items()})
    used = _used_types(kinds)
    observable = {
        v: e["objects"]["observable"]["attributes"]["type_id"] for v, e in exports.items()
    }
    content = {
        "origin": "PyPI ocsf-json-schema 1.2.0 (MIT), its schema exports by OCSF, Apache-2.0",
        "versions": VERSIONS,
        "types": {
            name: merged({v: type_shape(t) for v, t in of_name.items()}, VERSIONS)
            for name, of_name in types.items()
            if name in used
        },
        "observable_types": captions(observable),
    }
    write(Path(out), content | kinds, depth=4)


def _types(export: dict[str, Any]) -> dict[str, Any]:
    if "dictionary" in export:
        export = {"types": export["dictionary"]["types"]["attributes"]}
    types: dict[str, Any] = export["types"]
    return types


def _used_types(kinds: dict[str, Any]) -> set[str]:
    entries = [entry for kind in kinds.values() for entry in kind.values()]
    shapes = [shape for entry in entries for shape in entry["attributes"].values()]
    flat = [variant for shape in shapes for variant in shape.get("variants", [shape])]
    return {shape["type"] for shape in flat if "type" in shape} | {
        "string_t",
        "integer_t",
        "long_t",
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
