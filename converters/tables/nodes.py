"""YAML as nodes that know their file and line.

Only `true`, `false`, decimal integers and `~` are special (YAML 1.2's core, less floats), so that
`yes`, `no`, `1.10` and `12:30` stay the text an author typed. Duplicate keys are faults: YAML
would silently keep the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from datto_siem.converters.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scalar: TypeAlias = "str | int | bool | None"
Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS: Mapping[str, Scalar] = {"true": True, "false": False, "~": None, "": None, "null": None}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Node:
    """One YAML value.

    Attributes:
        value: Text, integer, truth value, None, a list of nodes, or a mapping of text to nodes.
        where: `file:line`; for a value in a mapping the line of its key.
        parsed: The expression it was parsed into, kept because every event asks again.
    """

    value: str | int | bool | list[Node] | dict[str, Node] | None
    where: str
    parsed: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def is_map(self) -> bool:
        """Whether this is a mapping."""
        return isinstance(self.value, dict)

    def map(self) -> dict[str, Node]:
        """The mapping's rows; empty for anything else (the shape check tells of that)."""
        return self.value if isinstance(self.value, dict) else {}

    def list(self) -> list[Node]:
        """The items of a list, or the one scalar as a list of itself."""
        if isinstance(self.value, list):
            return self.value
        return [] if self.value is None else [self]

    def text(self) -> str:
        """The scalar as text: numbers in decimal, `true`, `false`, and nothing for `~`."""
        if self.value is None or isinstance(self.value, (list, dict)):
            return ""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value)

    def get(self, key: str) -> Node | None:
        """A mapping's row, or None."""
        return self.map().get(key)

    def plain(self) -> Plain:
        """The same value without places, for JSON Schema and for printing."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def walk(self) -> Iterator[Node]:
        """This node and every node below it."""
        yield self
        if isinstance(self.value, dict):
            for node in self.value.values():
                yield from node.walk()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.walk()


def parse(text: str, name: str, faults: list[TableError]) -> Node:
    """Read one YAML document.

    Args:
        text: The file's content.
        name: How messages call the file, such as `targets/ecs.yaml`.
        faults: Receives syntax errors and duplicate keys.

    Returns:
        The root; an empty mapping when the file is empty or no YAML.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.append(TableError(f"{name}:{line}", f"not YAML: {error.problem}"))
        return Node({}, f"{name}:1")
    except yaml.YAMLError as error:
        faults.append(TableError(f"{name}:1", f"not YAML: {error}"))
        return Node({}, f"{name}:1")
    if root is None:
        return Node({}, f"{name}:1")
    return _node(root, name, root.start_mark.line + 1, faults)


def _node(source: yaml.Node, name: str, line: int, faults: list[TableError]) -> Node:
    where = f"{name}:{line}"
    if isinstance(source, yaml.MappingNode):
        rows: dict[str, Node] = {}
        for key_node, value_node in source.value:
            at = key_node.start_mark.line + 1
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if not isinstance(key_node, yaml.ScalarNode):
                faults.append(TableError(f"{name}:{at}", "a key must be text"))
            elif key in rows:
                faults.append(TableError(f"{name}:{at}", f"duplicate key {key!r}"))
            rows[key] = _node(value_node, name, at, faults)
        return Node(rows, where)
    if isinstance(source, yaml.SequenceNode):
        items = [_node(item, name, item.start_mark.line + 1, faults) for item in source.value]
        return Node(items, where)
    return Node(_scalar(source), where)


def _scalar(source: yaml.Node) -> Scalar:
    text = str(source.value)
    if getattr(source, "style", None):  # quoted or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text
