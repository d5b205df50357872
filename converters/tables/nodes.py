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
    from collections.abc import Callable, Iterator, Mapping

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
        loader = _Loader(text)
        try:
            return _Document(loader.get_event, name, faults).root()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.append(TableError(f"{name}:{line}", f"not YAML: {error.problem}"))
    except yaml.YAMLError as error:
        faults.append(TableError(f"{name}:1", f"not YAML: {error}"))
    return Node({}, f"{name}:1")


class _Document:
    """Nodes straight from the parser's events: composing YAML's own first takes twice as long.

    Anchors and aliases are faults: every row says itself, and a few aliases of aliases would fill
    the memory.
    """

    def __init__(self, event: Callable[[], Any], name: str, faults: list[TableError]) -> None:
        self._event, self._name, self._faults = event, name, faults

    def root(self) -> Node:
        event = self._event
        event()  # the stream begins
        if type(event()) is yaml.StreamEndEvent:
            return Node({}, f"{self._name}:1")
        first = event()
        root = self._node(first, first.start_mark.line + 1)
        event()  # the document ends
        after = event()
        if type(after) is not yaml.StreamEndEvent:
            self._fault(after, "one YAML document only")
        if root.value is None:
            return Node({}, root.where)
        return root

    def _node(self, event: Any, line: int) -> Node:
        where = f"{self._name}:{line}"
        if event.anchor is not None:
            self._fault(event, "no anchors and aliases here: write the row out")
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return Node(_scalar(event.value, event.style), where)
        if kind is yaml.MappingStartEvent:
            return Node(self._rows(), where)
        if kind is yaml.SequenceStartEvent:
            return Node(self._items(), where)
        return Node(None, where)  # an alias

    def _rows(self) -> dict[str, Node]:
        rows: dict[str, Node] = {}
        event = self._event
        while True:
            head = event()
            kind = type(head)
            if kind is yaml.MappingEndEvent:
                return rows
            line = head.start_mark.line + 1
            if kind is yaml.ScalarEvent and head.anchor is None:
                key = head.value
                if key in rows:
                    self._fault(head, f"duplicate key {key!r}")
            else:
                key = ""
                self._node(head, line)
                self._fault(head, "a key must be text")
            rows[key] = self._node(event(), line)

    def _items(self) -> list[Node]:
        items: list[Node] = []
        while True:
            event = self._event()
            if type(event) is yaml.SequenceEndEvent:
                return items
            items.append(self._node(event, event.start_mark.line + 1))

    def _fault(self, event: Any, text: str) -> None:
        self._faults.append(TableError(f"{self._name}:{event.start_mark.line + 1}", text))


def _scalar(text: str, style: str | None) -> Scalar:
    if style:  # quoted or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text
