"""Splunk: a complete search-time add-on that reads Datto's lines as they come, and our JSON.

What depends on tables is `_splunk_props`'s, the package `_splunk_package`'s, and where it cannot
equal the converter `_splunk_differences`'s. This module puts them together and writes the README.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators import _splunk_package as package
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._shipped import part
from datto_siem.plugins.generators._splunk_differences import KNOWN_DIFFERENCES
from datto_siem.plugins.generators._splunk_props import build
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context
    from datto_siem.plugins.generators._splunk_props import Addon

USAGE = "Splunk add-on (.spl): fields, event types and tags at search time, CIM"
TARGETS: tuple[str, ...] = ()


def files(context: Context) -> Mapping[str, bytes]:
    """The package, and its README beside it."""
    addon = build(portable(context, "cim"))
    readme = _readme(context, addon)
    lines = [
        sample.replace("\r", " ").replace("\n", " ")
        for source in context.tables.sources.values()
        for sample in source.samples.values()
    ]
    found = package.files(addon, context.version, context.stamp, readme, "\n".join([*lines, ""]))
    return {
        "README.md": readme.encode(),
        f"{package.APP}.spl": package.archive(found),
    }


def _readme(context: Context, addon: Addon) -> str:
    general = SOURCETYPES["raw"]
    events = "\n".join(
        f"| `{name}` | {', '.join(addon.tags.get(f'eventtype={name}', ())) or 'none'} |"
        for name in addon.eventtypes
    )
    differences = "\n".join(
        f"| `{row.path}` | {row.when} | {row.reason} |" for row in KNOWN_DIFFERENCES
    )
    words = {
        "STAMP": context.stamp,
        "APP": package.APP,
        "ACCESS_POINT": general["access_point"],
        "SECURE_EDGE": general["secure_edge"],
        "SWITCH": general["switch"],
        "GENERAL": general[""],
        "JSON": SOURCETYPES["cim"][""],
        "EVENTS": events,
        "DIFFERENCES": differences,
    }
    return part("splunk", "README.template.md", words)
