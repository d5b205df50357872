"""Where the tables lie, and how a user's directory is laid over ours.

An overlay merges by key at every level: a row replaces the row of that name, `~` takes it away,
anything new is added. There are no positional lists, so merging is always by name.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from datto_siem.converters.errors import TableError
from datto_siem.converters.tables.nodes import Node, parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

FOLDERS = ("sources", "targets", "lookups")
SINGLE = ("vocabulary.yaml", "dictionary.yaml")


def read(overlay: Path | None, faults: list[TableError]) -> tuple[Mapping[str, Node], str]:
    """Read the shipped tables, and an overlay directory on top.

    Args:
        overlay: A directory laid out like `mappings/`, or None.
        faults: Receives what cannot be read.

    Returns:
        Nodes by file name (`targets/ecs.yaml`), and a version: the first 12 hex digits of the
        SHA-256 over every file's name and bytes. Documents carry it, so that a reader can tell
        which tables wrote them.
    """
    digest = hashlib.sha256()
    roots = _tree(resources.files("datto_siem.mappings"), "", digest, faults)
    if overlay is not None:
        if not overlay.is_dir():
            faults.append(TableError(f"{overlay}:1", "not a directory of mapping tables"))
            return roots, digest.hexdigest()[:12]
        ours = _tree(overlay, f"{overlay}/", digest, faults)
        if not ours:
            folders = ", ".join(f"{folder}/" for folder in FOLDERS)
            faults.append(TableError(f"{overlay}:1", f"no tables here: expected {folders}*.yaml"))
        for name, node in ours.items():
            roots[name] = merge(roots[name], node) if name in roots else node
    return roots, digest.hexdigest()[:12]


def _tree(
    root: Traversable | Path, prefix: str, digest: hashlib._Hash, faults: list[TableError]
) -> dict[str, Node]:
    names = [(name, root.joinpath(name)) for name in SINGLE]
    for folder in FOLDERS:
        place = root.joinpath(folder)
        if place.is_dir():
            names += sorted((f"{folder}/{entry.name}", entry) for entry in place.iterdir())
    nodes = {}
    for name, entry in names:
        if not name.endswith(".yaml") or not entry.is_file():
            continue
        content = entry.read_bytes()
        digest.update(name.encode() + b"\0" + content + b"\0")
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
