"""Paths of a document: `a.b`, and `a[0].b` for the first item of a list of objects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def split(path: str) -> tuple[tuple[str, bool], ...]:
    """A path's parts as (name, whether it is a list whose first item is meant)."""
    return tuple((part.removesuffix("[0]"), part.endswith("[0]")) for part in path.split("."))


def assign(document: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a path, making the objects on the way."""
    *parents, (name, _) = split(path)
    place = document
    for parent, is_list in parents:
        place = place.setdefault(parent, [{}])[0] if is_list else place.setdefault(parent, {})
    place[name] = value
