"""Reads the pinned extracts in `mappings/schemas/` and picks one version out of a merged one.

How they are made, and what `since`, `until` and `variants` mean: `.ci/schemas/`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson

from datto_siem.converters.errors import SchemaMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@cache
def load(name: str) -> Mapping[str, Any]:
    """The content of `mappings/schemas/<name>.json`."""
    file = resources.files("datto_siem.mappings").joinpath("schemas", f"{name}.json")
    content: Mapping[str, Any] = orjson.loads(file.read_bytes())
    return content


def pinned_version(schema: str, asked: str, pinned: Sequence[str]) -> tuple[int, ...]:
    """The asked-for version as a key for `variant`.

    Raises:
        SchemaMissing: No extract has this version.
    """
    if asked not in pinned:
        listed = ", ".join(pinned)
        raise SchemaMissing(f"{schema} {asked} is not pinned here; pinned are {listed}")
    return version_key(asked)


def version_key(version: str) -> tuple[int, ...]:
    """Dotted numbers in comparable form."""
    return tuple(int(part) for part in version.split("."))


def variant(entry: Mapping[str, Any], version: tuple[int, ...]) -> Mapping[str, Any] | None:
    """The shape an entry has in a version, or None where that version lacks it."""
    shapes: Sequence[Mapping[str, Any]] = entry.get("variants") or [entry]
    for shape in shapes:
        since, until = shape.get("since"), shape.get("until")
        if since is not None and version < version_key(since):
            continue
        if until is not None and version >= version_key(until):
            continue
        return shape
    return None
