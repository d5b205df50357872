"""Pin the Elastic Common Schema: `pin_ecs.py OUT UNPACKED_ELASTIC_ECS ...`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pinned import merged, write

DUMP = "const e=require(process.argv[1]);console.log(JSON.stringify([e.EcsVersion,e.EcsFlat]))"


def exported(package: str) -> tuple[str, dict[str, Any]]:
    """The version and the flat field list of the package; it is code, so node reads it."""
    command = ["node", "-e", DUMP, str(Path(package).resolve())]
    answer = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 -- no shell
    version, fields = json.loads(answer.stdout)
    return version, fields


def shape(field: dict[str, Any]) -> dict[str, Any]:
    """What a document is checked against; levels, examples and texts stay behind."""
    found: dict[str, Any] = {"type": field["type"]}
    if "array" in field["normalize"]:
        found["array"] = True
    if "pattern" in field:
        found["pattern"] = field["pattern"]
    if "allowed_values" in field:
        found["allowed"] = [value["name"] for value in field["allowed_values"]]
    if "expected_values" in field:
        found["expected"] = field["expected_values"]
    return found


def expected_types(fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The event types each category expects."""
    values = fields["event.category"]["allowed_values"]
    return {value["name"]: {"types": value["expected_event_types"]} for value in values}


def by_name(of_version: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Turn version -> name -> shape round, and merge the versions of each name."""
    versions = list(of_version)
    names = {name for shapes in of_version.values() for name in shapes}
    return {
        name: merged({v: of_version[v][name] for v in versions if name in of_version[v]}, versions)
        for name in names
    }


def main(out: str, *packages: str) -> None:
    """Write the extract of all packages, oldest version first."""
    flat = dict(sorted(map(exported, packages), key=lambda pair: _key(pair[0])))
    shapes = {
        version: {name: shape(field) for name, field in fields.items()}
        for version, fields in flat.items()
    }
    types = {version: expected_types(fields) for version, fields in flat.items()}
    content = {
        "origin": "npm @elastic/ecs, Apache-2.0",
        "versions": list(flat),
        "fields": by_name(shapes),
        "expected_types": by_name(types),
    }
    write(Path(out), content, depth=2)


def _key(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


if __name__ == "__main__":
    main(*sys.argv[1:])
