"""The pinned Elastic Common Schema: what each field must look like."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters.schemas.extract import load, pinned_version, variant

if TYPE_CHECKING:
    from collections.abc import Mapping


class EcsField(NamedTuple):
    """One field.

    Attributes:
        path: Dotted name.
        type: Elasticsearch type as ECS writes it: `keyword`, `long`, `ip`, `date`, `flattened` ...
        array: True where ECS says "normalize: array": always a list, even of one.
        pattern: Regular expression every value must match, or None.
        allowed: Closed list of values (`event.kind` ...), empty where there is none.
        expected: Values ECS expects (`network.direction` ...), empty where there are none.
    """

    path: str
    type: str
    array: bool
    pattern: str | None
    allowed: tuple[str, ...]
    expected: tuple[str, ...]


class Ecs(NamedTuple):
    """One version of ECS."""

    version: str
    fields: Mapping[str, EcsField]
    categories: Mapping[str, tuple[str, ...]]

    def field(self, path: str) -> EcsField | None:
        """The field of that dotted name, or None."""
        return self.fields.get(path)

    def expected_types(self, category: str) -> tuple[str, ...]:
        """The `event.type` values an `event.category` expects; empty for an unknown category."""
        return self.categories.get(category, ())


def ecs_versions() -> tuple[str, ...]:
    """The versions `ecs` knows, oldest first."""
    return tuple(load("ecs")["versions"])


@cache
def ecs_type(version: str, path: str) -> str | None:
    """The type of one field in one version, or None; a plan needs no more than this.

    Raises:
        SchemaMissing: No extract has this version.
    """
    content = load("ecs")
    entry = content["fields"].get(path)
    key = pinned_version("ECS", version, content["versions"])
    shape = None if entry is None else variant(entry, key)
    return None if shape is None else str(shape["type"])


@cache
def ecs(version: str) -> Ecs:
    """One pinned version of ECS.

    Args:
        version: What `ecs.version` says, such as `8.11.0`.

    Raises:
        SchemaMissing: No extract has this version.
    """
    content = load("ecs")
    key = pinned_version("ECS", version, content["versions"])
    shapes = {path: variant(entry, key) for path, entry in content["fields"].items()}
    types = {name: variant(entry, key) for name, entry in content["expected_types"].items()}
    fields = {
        path: EcsField(
            path=path,
            type=shape["type"],
            array=shape.get("array", False),
            pattern=shape.get("pattern"),
            allowed=tuple(shape.get("allowed", ())),
            expected=tuple(shape.get("expected", ())),
        )
        for path, shape in shapes.items()
        if shape is not None
    }
    categories = {name: tuple(shape["types"]) for name, shape in types.items() if shape is not None}
    return Ecs(version, fields, categories)
