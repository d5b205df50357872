"""Pin Splunk's CIM field expectations: `pin_cim.py OUT UNPACKED_PYTEST_SPLUNK_ADDON`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pinned import write

MODELS = ["Authentication", "Change", "Network_Resolution", "Network_Sessions", "Network_Traffic"]
CIM = "6.2"  # the field definitions of these files; 6.0 to 6.2 changed no required field
KEPT = ("type", "condition", "validity", "expected_values", "multi_value")


def fields(listed: list[dict[str, Any]]) -> dict[str, Any]:
    """What a field is checked against, without its comment."""
    return {field["name"]: {key: field[key] for key in KEPT if field.get(key)} for field in listed}


def datasets(listed: list[dict[str, Any]], parent: str | None) -> dict[str, Any]:
    """All data sets of one level and below, flat, each naming its parent."""
    found: dict[str, Any] = {}
    for entry in listed:
        found[entry["name"]] = {
            "parent": parent,
            "tags": entry["tags"],
            "constraint": entry["search_constraints"],
            "clusters": entry["fields_cluster"],
            "fields": fields(entry["fields"]),
        }
        found |= datasets(entry["child_dataset"], entry["name"])
    return found


def main(out: str, wheel: str) -> None:
    """Write the extract of the models this product maps to."""
    package = Path(wheel) / "pytest_splunk_addon"
    models = {}
    for name in MODELS:
        model = json.loads((package / "data_models" / f"{name}.json").read_text(encoding="utf-8"))
        models[name] = datasets(model["objects"], None)
    common = json.loads((package / "cim_tests" / "CommonFields.json").read_text(encoding="utf-8"))
    content = {
        "origin": "PyPI pytest-splunk-addon 6.4.0, Apache-2.0",
        "version": CIM,
        "common": {field["name"]: field["type"] for field in common["fields"]},
        "models": models,
    }
    write(Path(out), content, depth=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
