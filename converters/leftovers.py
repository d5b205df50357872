"""What a plan does not carry, and where it goes: nothing of a record is lost.

Keys from the wire are only ever names inside the target's leftover place (or behind its prefix),
never paths; a name that a row already fills is set apart by `raw_`, not overwritten.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datto_siem.converters import casts, times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.event import Event

_NAME = re.compile(r"[^A-Za-z0-9_]")


def gather(event: Event, used: frozenset[str], said: frozenset[str]) -> list[tuple[str, str]]:
    """Pairs that no row carries.

    Args:
        event: The decoded record.
        used: Keys whose whole value the document carries.
        said: Keys that a `said` row covers for this record.
    """
    found = []
    parts = event.parts
    left, listed = parts.left, parts.listed
    for key, text in parts.chosen.items():
        if key in left:
            found.append((key, text))
        elif key not in used and key not in said:
            if key in listed:
                whole = key[: key.rindex(".") + 1] + "*"
                if whole in used or whole in said:
                    continue
            if text:
                found.append((key, text))
    found.extend(parts.spare)
    return found


def place(document: dict[str, Any], rest: list[tuple[str, str]], where: tuple[str, str]) -> None:
    """Put leftover pairs into a document.

    Args:
        document: The document; changed.
        rest: The pairs.
        where: (path or prefix, style): `object` puts them into an object at the path, `prefix`
            before the name, `pairs` writes `k=v;k=v` into one text.
    """
    into, style = where
    if style == "pairs":
        text = ";".join(f"{_pair_part(key)}={_pair_part(value)}" for key, value in rest)
        document[into] = f"{document[into]};{text}" if document.get(into) else text
        return
    home, prefix = document, ""
    if style == "object":
        for part in into.split("."):
            home = home.setdefault(part, {})
    else:
        prefix = into
    names = set(home)
    for key, value in rest:
        name = prefix + (_NAME.sub("_", key) if prefix else key)
        if name in names:
            name = f"{prefix}raw_{name[len(prefix) :]}"
        if name not in home:
            home[name] = value
        elif isinstance(home[name], list):
            home[name].append(value)
        else:
            home[name] = [home[name], value]


def _pair_part(text: str) -> str:
    """A `;` inside a value would forge a pair for every reader of the column."""
    return text.replace(";", "%3B") if ";" in text else text


def fill_columns(
    document: dict[str, Any], event: Event, columns: Mapping[str, tuple[str, str]]
) -> frozenset[str]:
    """Write wire keys literally into columns; the keys whose value the column's type took."""
    taken = set()
    chosen = event.parts.chosen if event.quick is None else event.quick
    for key, text in chosen.items():
        column = columns.get(key)
        if column is None or not text:
            continue
        read = COLUMN_READERS.get(column[1])
        value = text if read is None else read(text, event.received)
        if value is not None:
            document[column[0]] = value
            taken.add(key)
    return frozenset(taken)


def _integer(text: str, received: int) -> int | None:
    value = casts.integer(text)
    return value if value is not None and -(2**31) <= value < 2**31 else None


def _long(text: str, received: int) -> int | None:
    value = casts.integer(text)
    return value if value is not None and -(2**63) <= value < 2**63 else None


def _real(text: str, received: int) -> float | None:
    return casts.number(text)


def _datetime(text: str, received: int) -> str | None:
    value = times.read(text, received)
    return None if value is None else times.iso(value)


COLUMN_READERS = {"int": _integer, "long": _long, "real": _real, "datetime": _datetime}
