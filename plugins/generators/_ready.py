"""Ready files of a shipper: kept as they are in a folder beside this module, marks filled in.

`@TARGET@` becomes the target and `@STAMP@` the version and the tables' hash: both are ours.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

TARGETS = ("ecs", "cim", "ocsf", "asim", "csl")
"""Targets whose documents are JSON."""


def ready(context: Context, folder: str) -> Mapping[str, bytes]:
    """Every file of a folder, by name."""
    marks = {b"@TARGET@": context.target.encode(), b"@STAMP@": context.stamp.encode()}
    found = {}
    place = resources.files("datto_siem.plugins.generators").joinpath(folder)
    for entry in sorted(place.iterdir(), key=lambda each: each.name):
        content = entry.read_bytes()
        for mark, text in marks.items():
            content = content.replace(mark, text)
        found[entry.name] = content
    return found
