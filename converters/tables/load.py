"""Tables from nodes: the typed rows of vocabulary, dictionary, sources and lookups.

Shape faults (unknown settings, wrong kinds of value) are the JSON Schema's work in `shape`;
what refers to what is `check`'s. This module assumes nothing of either and never raises on a
broken table: it reads what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from datto_siem.converters.errors import TableError, TableErrors
from datto_siem.converters.tables import files
from datto_siem.converters.tables.model import (
    Activity,
    DictionaryKey,
    Field,
    Key,
    Lookup,
    Source,
    SourceEvent,
    Tables,
    Vocabulary,
)
from datto_siem.converters.tables.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOTHING = Node({}, "")


@lru_cache(maxsize=8)
def load(overlay: Path | None = None) -> Tables:
    """Load the tables, with an overlay laid over the shipped ones.

    Nothing is checked here: `converters.check` does that, for an overlay whenever one is used, for
    the shipped tables in `datto-siem tables check` and the tests.

    Args:
        overlay: A user's directory of tables.

    Raises:
        TableErrors: Files that cannot be read, or are no YAML. A shipped target is read when it is
            first asked for, and raises then.
    """
    faults: list[TableError] = []
    roots, version = files.read(overlay, faults)
    if faults:
        raise TableErrors("mapping tables that cannot be read", faults)
    return from_nodes(roots, version)


class Folder(Mapping[str, Node]):
    """The files of one folder, by their names without its name and their ending."""

    def __init__(self, roots: Mapping[str, Node], folder: str) -> None:
        """`roots` are all files."""
        self._roots = roots
        names = [name for name in roots if name.startswith(f"{folder}/")]
        self._names = {name[len(folder) + 1 :].removesuffix(".yaml"): name for name in names}

    def __getitem__(self, name: str) -> Node:
        """One file's root."""
        return self._roots[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)


def from_nodes(roots: Mapping[str, Node], version: str) -> Tables:
    """Type the rows of every file but the targets, which depend on a version."""
    dictionary = _dictionary(roots.get("dictionary.yaml", _NOTHING))
    return Tables(
        vocabulary=_vocabulary(roots.get("vocabulary.yaml", _NOTHING)),
        dictionary=dictionary,
        sources={
            name: _source(name, node, dictionary) for name, node in Folder(roots, "sources").items()
        },
        lookups={name: _lookup(name, node) for name, node in Folder(roots, "lookups").items()},
        targets=Folder(roots, "targets"),
        version=version,
        roots=roots,
    )


def _flag(node: Node, name: str) -> bool:
    row = node.get(name)
    return row is not None and row.value is True


def _text(node: Node, name: str) -> str:
    row = node.get(name)
    return row.text() if row is not None else ""


def _texts(node: Node, name: str) -> tuple[str, ...]:
    row = node.get(name)
    return tuple(item.text() for item in row.list()) if row is not None else ()


def _rows(node: Node, name: str) -> dict[str, Node]:
    row = node.get(name)
    return row.map() if row is not None else {}


def _vocabulary(root: Node) -> Vocabulary:
    fields = {}
    for part, origin in (("given", "given"), ("fields", "field"), ("derived", "derived")):
        for name, row in _rows(root, part).items():
            fields[name] = Field(
                name=name,
                type=_text(row, "type"),
                origin=origin,
                doc=_text(row, "doc"),
                where=row.where,
                inferred=_flag(row, "inferred"),
                expr=row.get("is"),
            )
    activities = {
        name: Activity(
            name=name,
            title=_text(row, "title"),
            message=row.get("message") or Node("", row.where),
            doc=_text(row, "doc"),
            inferred=_flag(row, "inferred"),
            where=row.where,
        )
        for name, row in _rows(root, "activities").items()
    }
    derived = tuple(each for each in fields.values() if each.origin == "derived")
    return Vocabulary(fields=fields, derived=derived, activities=activities)


def _dictionary(root: Node) -> dict[str, DictionaryKey]:
    keys = {}
    for key, row in _rows(root, "keys").items():
        size = row.get("size")
        keys[key] = DictionaryKey(
            key=key,
            name=_text(row, "name") or key,
            cast=_text(row, "as"),
            size=size.value if size is not None and isinstance(size.value, int) else None,
            field=_text(row, "is") or None,
            where=row.where,
        )
    return keys


def _key(name: str, row: Node) -> Key:
    target = row.get("is")
    if target is None:
        parts = {}
    elif target.is_map:
        parts = {part: node.text() for part, node in target.map().items()}
    else:
        parts = {"": target.text()}
    return Key(
        key=name,
        cast=_text(row, "as"),
        parts=parts,
        colon=_flag(row, "colon"),
        wins=_flag(row, "wins"),
        free=_flag(row, "free"),
        inferred=_flag(row, "inferred"),
        doc=_text(row, "doc"),
        where=row.where,
        agrees=_text(row, "agrees"),
        among=_texts(row, "among"),
        personal=_flag(row, "personal"),
    )


def fold(text: str) -> str:
    """Vendor and product names are compared without case and blanks."""
    return text.replace(" ", "").lower()


def _source(name: str, root: Node, dictionary: Mapping[str, DictionaryKey]) -> Source:
    match = root.get("match") or _NOTHING
    time = _texts(root, "time")
    keys = {key: _key(key, row) for key, row in _rows(root, "fields").items()}
    standard = {
        key: Key(key, row.cast, {"": row.field}, False, False, False, False, row.name, row.where)
        for key, row in dictionary.items()
        if row.field is not None and key not in keys
    }
    events = {}
    for event_id, row in _rows(root, "events").items():
        overrides: dict[str, Key | None] = {
            key: None if node.value is None else _key(key, node)
            for key, node in _rows(row, "fields").items()
        }
        if _text(row, "activity") == "unknown":  # an event no row names may use standard keys
            overrides = {**standard, **overrides}
        events[event_id] = SourceEvent(
            id=event_id,
            names=(event_id, *_texts(row, "also")),
            activity=_text(row, "activity"),
            keys=_texts(row, "keys"),
            overrides=overrides,
            inferred=_flag(row, "inferred"),
            doc=_text(row, "doc"),
            where=row.where,
        )
    return Source(
        name=name,
        vendor=fold(_text(match, "vendor")),
        products=tuple(fold(product) for product in _texts(match, "product")),
        any=match.text() == "any",
        takes_text=_text(match, "text_from") != "",
        inferred=_flag(match, "inferred"),
        constants={key: node.text() for key, node in _rows(root, "set").items()},
        time=time,
        keys=keys,
        events=events,
        samples={key: node.text() for key, node in _rows(root, "samples").items()},
        oldest=_text(match, "oldest"),
        where=root.where,
    )


def _lookup(name: str, root: Node) -> Lookup:
    def columns(row: Node) -> dict[str, object]:
        return {column: node.plain() for column, node in row.map().items()}

    return Lookup(
        name=name,
        columns={column: node.text() for column, node in _rows(root, "columns").items()},
        rows={key.lower(): columns(row) for key, row in _rows(root, "rows").items()},
        default=columns(root.get("default") or _NOTHING),
        where=root.where,
    )
