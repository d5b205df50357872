"""The shape of each table file, by the JSON Schema `mappings/schemas/tables.json`."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from datto_siem.converters.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jsonschema import ValidationError

    from datto_siem.converters.tables.nodes import Node

_KINDS = {"sources/": "source", "targets/": "target", "lookups/": "lookup"}


def shape(roots: Mapping[str, Node]) -> list[TableError]:
    """Unknown settings, missing ones and wrong kinds of value, in every file.

    Args:
        roots: File name (`targets/ecs.yaml`) -> root node.
    """
    faults = []
    for name, root in roots.items():
        kind = next((each for start, each in _KINDS.items() if name.startswith(start)), None)
        kind = kind or name.removesuffix(".yaml")
        errors: Iterable[ValidationError] = _validator(kind).iter_errors(root.plain())
        for error in errors:
            for deep in _deepest(error):
                path = list(deep.absolute_path)
                faults.append(TableError(_where(root, path), _told(deep, path)))
    return faults


@cache
def _validator(kind: str) -> Draft202012Validator:
    text = resources.files("datto_siem.mappings").joinpath("schemas/tables.json").read_text()
    schema = {**json.loads(text), "$ref": f"#/$defs/{kind}"}
    return Draft202012Validator(schema)


def _deepest(error: ValidationError) -> Iterator[ValidationError]:
    """Of alternatives that all failed, the one that got furthest says what was meant."""
    if error.validator == "anyOf" and error.context:
        longest = max(len(each.absolute_path) for each in error.context)
        if longest > len(error.absolute_path):
            yield from (each for each in error.context if len(each.absolute_path) == longest)
            return
        nearer = [each for each in error.context if each.validator != "type"]
        if nearer:
            yield from nearer[:1]
            return
    yield error


def _told(error: ValidationError, path: list[Any]) -> str:
    place = ".".join(str(part) for part in path) or "the file"
    return f"{place}: {error.message[:200]}"


def _where(root: Node, path: list[Any]) -> str:
    node = root
    for part in path:
        if (isinstance(node.value, dict) and part in node.value) or (
            isinstance(node.value, list) and isinstance(part, int)
        ):
            node = node.value[part]
    return node.where
