"""Ready files of a shipper: kept as they are in a folder beside this module, marks filled in.

`@TARGET@` becomes the target and `@STAMP@` the version and the tables' hash: both are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._shipped import names, part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

TARGETS = ("ecs", "cim", "ocsf", "asim", "csl")
"""Targets whose documents are JSON."""


def ready(context: Context, folder: str) -> Mapping[str, bytes]:
    """Every file of a folder, by name."""
    words = {"TARGET": context.target, "STAMP": context.stamp}
    return {name: part(folder, name, words).encode() for name in names(folder)}
