"""Vector: four VRL programs and a configuration that chains them.

The programs' text is under `vrl/`; what comes from the tables is set in where a line reads
`#> name`, and a pattern's part where it reads `@NAME@`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import times
from datto_siem.plugins.generators import _vrl_document, _vrl_reading
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._shipped import part
from datto_siem.plugins.generators._vrl import expanded, literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context, Difference

USAGE = "VRL programs for Vector's remap transform, and a vector.yaml around them"
TARGETS = ("ecs", "ocsf", "cim", "asim", "csl")

PROGRAMS = ("record", "pairs", "fields", "document")
"""The programs in the order they run, without `.vrl`."""

_FOLDER = "vrl"
_PARTS = ("syslog", "time", "cast", "fits", "extra", "columns", "gather", "put")
_CLOCK = "[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
_ISO = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}(?:[Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?"
_CISCO = r"(?:[0-9]{1,10}: {1,3}(?:(?P<cisco>[^\s\x1c-\x1f:|]+) ?: {1,3})?)?[*.]?"


KNOWN_DIFFERENCES: tuple[Difference, ...] = ()


def files(context: Context) -> Mapping[str, bytes]:
    """The artefact's files."""
    tables = portable(context, context.target)
    zones = sorted({*times.ZONES, *times.AMBIGUOUS_ZONES}, key=lambda name: (-len(name), name))
    words = {
        "ISO": _ISO,
        "CLOCK": _CLOCK,
        "CISCO": _CISCO,
        "ZONES": "|".join(zones),
        "OFFSETS": literal(dict(sorted(times.ZONES.items()))),
    }
    parts = {name: part(_FOLDER, f"{name}.vrl", words) for name in _PARTS}
    parts["catalogue"] = _vrl_reading.catalogue(tables)
    parts["dialects"] = _vrl_reading.dialects(tables)
    parts["readings"] = _vrl_reading.readings(tables)
    parts["plans"] = _vrl_document.document(tables)
    found = {
        f"{name}.vrl": expanded(part(_FOLDER, f"{name}.vrl", words), parts) for name in PROGRAMS
    }
    found["vector.yaml"] = part(_FOLDER, "vector.yaml", {"TARGET": context.target})
    found = {name: f"# {context.stamp}\n{content}" for name, content in found.items()}
    found["README.md"] = _readme(context, tables)
    return {name: content.encode() for name, content in found.items()}


def _readme(context: Context, tables: Mapping[str, Any]) -> str:
    events = [f"* `{row['id']}`: {row['activity']}" for row in tables["events"]]
    differences = [f"* `{row.path}`, {row.when}: {row.reason}" for row in KNOWN_DIFFERENCES]
    words = {
        "TARGET": context.target,
        "STAMP": context.stamp,
        "EVENTS": "\n".join(events),
        "DIFFERENCES": "\n".join(differences) or "Nowhere that is known.",
    }
    return part(_FOLDER, "README.md", words)
