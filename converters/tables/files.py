"""Where the tables lie, and how a user's directory is laid over ours.

An overlay merges by key at every level: a row replaces the row of that name, `~` takes it away,
anything new is added. There are no positional lists, so merging is always by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

from datto_siem.converters.errors import TableError, TableErrors
from datto_siem.converters.tables.nodes import Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

FOLDERS = ("sources", "targets", "lookups")
SINGLE = ("vocabulary.yaml", "dictionary.yaml")


def read(overlay: Path | None, faults: list[TableError]) -> tuple[Mapping[str, Node], str]:
    """Read the shipped tables, and an overlay directory on top.

    Shipped tables without an overlay are parsed when they are asked for: most runs need one target
    of several.

    Args:
        overlay: A directory laid out like `mappings/`, or None.
        faults: Receives what cannot be read.

    Returns:
        Nodes by file name (`targets/ecs.yaml`), and a version: the first 12 hex digits of the
        SHA-256 over every file's name and bytes. Documents carry it, so that a reader can tell
        which tables wrote them.
    """
    digest = hashlib.sha256()
    shipped = Unread(_contents(resources.files("datto_siem.mappings"), digest))
    if overlay is None:
        return shipped, digest.hexdigest()[:12]
    roots = dict(shipped)
    if not overlay.is_dir():
        faults.append(TableError(f"{overlay}:1", "not a directory of mapping tables"))
    else:
        ours = _parsed(_contents(overlay, digest), f"{overlay}/", faults)
        if not ours:
            folders = ", ".join(f"{folder}/" for folder in FOLDERS)
            faults.append(TableError(f"{overlay}:1", f"no tables here: expected {folders}*.yaml"))
        for name, node in ours.items():
            roots[name] = merge(roots[name], node) if name in roots else node
    return roots, digest.hexdigest()[:12]


class Unread(Mapping[str, Node]):
    """Files that are parsed when they are asked for."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        """Keep their contents."""
        self._contents = contents
        self._nodes: dict[str, Node] = {}

    def __getitem__(self, name: str) -> Node:
        """One file's root.

        Raises:
            KeyError: No such file.
            TableErrors: It is no YAML.
        """
        if name not in self._nodes:
            faults: list[TableError] = []
            found = _parsed({name: self._contents[name]}, "", faults)
            if faults:
                raise TableErrors("mapping tables that cannot be read", faults)
            self._nodes.update(found)
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._contents)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._contents)


def _contents(root: Traversable | Path, digest: hashlib._Hash) -> dict[str, bytes]:
    names = [(name, root.joinpath(name)) for name in SINGLE]
    for folder in FOLDERS:
        place = root.joinpath(folder)
        if place.is_dir():
            names += sorted((f"{folder}/{entry.name}", entry) for entry in place.iterdir())
    found = {}
    for name, entry in names:
        if name.endswith(".yaml") and entry.is_file():
            found[name] = entry.read_bytes()
            digest.update(name.encode() + b"\0" + found[name] + b"\0")
    return found


def _parsed(
    contents: Mapping[str, bytes], prefix: str, faults: list[TableError]
) -> dict[str, Node]:
    nodes = {}
    for name, content in contents.items():
        try:
            nodes[name] = parse(content.decode(), prefix + name, faults)
        except UnicodeDecodeError as error:
            faults.append(TableError(f"{prefix}{name}:1", f"not UTF-8 at byte {error.start}"))
    return nodes


def merge(base: Node, over: Node) -> Node:
    """Lay one node over another, mapping by mapping."""
    if not (base.is_map and over.is_map):
        return over
    rows = dict(base.map())
    for key, node in over.map().items():
        if node.value is None and key in rows and rows[key].value is not None:
            del rows[key]
        elif key in rows:
            rows[key] = merge(rows[key], node)
        else:
            rows[key] = node
    return Node(rows, over.where)
