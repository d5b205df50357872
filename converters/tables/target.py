"""A target's table for one schema version: layers of rows, facts and settings.

Path-first rows: `a, b: EXPR` fills both paths. Rows and activity variants outside their
`since`/`until` are left out here, so nothing after this module thinks about versions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from datto_siem.converters.tables.model import Layer, Row, Tables, Target
from datto_siem.converters.tables.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTHING = Node({}, "")
_SPAN = re.compile(r"^(?P<head>.*?)(?P<first>\d+)\.\.(?P<last>\d+)(?P<tail>.*)$")
_SETTINGS = frozenset({"use", "since", "until", "inferred", "when", "alone"})
_VERSIONED = frozenset({"since", "until", "value"})


def number(version: str) -> tuple[int, ...]:
    """`1.10.0` as something that sorts."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def holds(row: Node, version: str) -> bool:
    """Whether `since` (included) and `until` (excluded) let this version in."""
    since, until = row.get("since"), row.get("until")
    at = number(version)
    return not (
        (since is not None and at < number(since.text()))
        or (until is not None and at >= number(until.text()))
    )


def target(tables: Tables, name: str, version: str | None = None) -> Target:
    """The table of one target.

    Args:
        tables: All tables.
        name: `ecs`, `cim`, `ocsf`, `asim`, `csl`, or one that an overlay adds.
        version: The schema version to write; the table's own when None.

    Raises:
        KeyError: No such target.
    """
    root = tables.targets[name]
    return _target(_Hashable(root), name, version or _text(root, "version"))


class _Hashable:
    """A node as a cache key: by identity, since loaded tables are never changed."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __hash__(self) -> int:
        return id(self.node)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and other.node is self.node


@lru_cache(maxsize=64)
def _target(key: _Hashable, name: str, version: str) -> Target:
    root = key.node
    facts = tuple(node.text() for node in _list(root, "facts"))
    columns = {short: node.text() for short, node in _map(root, "columns").items()}

    def layer(title: str, node: Node) -> Layer:
        return _layer(title, node, version, facts, columns)

    leftovers = root.get("leftovers") or _NOTHING
    return Target(
        name=name,
        version=version,
        formats={kind: node.text() for kind, node in _map(root, "formats").items()},
        leftovers_into=_text(leftovers, "into"),
        leftovers_as=_text(leftovers, "as"),
        incomplete=_text(root, "incomplete"),
        observables=tuple(
            node.value for node in _list(root, "observables") if isinstance(node.value, int)
        ),
        own=tuple(node.text() for node in _list(root, "own")),
        pivots=frozenset(node.text() for node in _list(root, "pivots")),
        fact_names=facts,
        common=layer("rows", root.get("rows") or _NOTHING),
        blocks={title: layer(title, node) for title, node in _map(root, "blocks").items()},
        keys=_keys(root.get("keys") or _NOTHING),
        activities={
            title: tuple(
                layer(title, each)
                for each in (node.list() if isinstance(node.value, list) else [node])
                if holds(each, version)
            )
            for title, node in _map(root, "activities").items()
        },
        said=dict(_map(root, "said")),
        leave=dict(_map(root, "leave")),
        where=root.where,
    )


def _map(node: Node, name: str) -> dict[str, Node]:
    row = node.get(name)
    return row.map() if row is not None else {}


def _list(node: Node, name: str) -> list[Node]:
    row = node.get(name)
    return row.list() if row is not None else []


def _text(node: Node, name: str) -> str:
    row = node.get(name)
    return row.text() if row is not None else ""


def _layer(
    name: str,
    node: Node,
    version: str,
    fact_names: tuple[str, ...],
    columns: Mapping[str, str],
) -> Layer:
    rows: list[Row] = []
    facts: dict[str, Node] = {}
    for key, value in node.map().items():
        if key in _SETTINGS:
            continue
        if key in fact_names or key.split(".")[0] in fact_names:
            facts[key] = value
            continue
        at = value
        if value.is_map and "value" in value.map() and set(value.map()) <= _VERSIONED:
            if not holds(value, version):
                continue
            value = value.map()["value"]
        for path in (part.strip() for part in key.split(",")):
            absent = value.value is None
            rows.append(Row(columns.get(path, path), None if absent else value, at.where))
    use, alone, inferred = node.get("use"), node.get("alone"), node.get("inferred")
    return Layer(
        name=name,
        rows=tuple(rows),
        facts=facts,
        use=tuple(item.text() for item in use.list()) if use is not None else (),
        alone=alone is not None and alone.value is True,
        inferred=inferred is not None and inferred.value is True,
        when=node.get("when"),
        where=node.where,
    )


def _keys(node: Node) -> dict[str, tuple[str, str]]:
    """Wire key -> (column, where); `cs1..6: Column*` stands for six rows."""
    keys = {}
    for key, column in node.map().items():
        span = _SPAN.match(key)
        if span is None:
            keys[key] = (column.text(), column.where)
            continue
        for count in range(int(span["first"]), int(span["last"]) + 1):
            name = f"{span['head']}{count}{span['tail']}"
            keys[name] = (column.text().replace("*", str(count)), column.where)
    return keys
