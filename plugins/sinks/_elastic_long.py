"""Long vendor values: cut, so that a document is never refused because of one.

OpenSearch refuses a whole document for one value of a flat_object above 32,766 bytes and knows no
limit to set, so a sender could hide an event by padding it. The whole text stays in event.original.
"""

from __future__ import annotations

from typing import Any

import orjson

LONGEST_TERM = 32_000  # of Lucene's 32,766 bytes; the name of the key counts too
_KEPT = LONGEST_TERM // 4  # characters, each at most four bytes


def fitted(document: bytes, place: str) -> bytes:
    """The document with its long vendor values cut and a warning for each.

    Args:
        document: One that is longer than `LONGEST_TERM`.
        place: Dotted path of the object that holds vendor values.
    """
    content = orjson.loads(document)
    *parents, name = place.split(".")
    holder: Any = content
    for parent in parents:
        holder = holder.get(parent, {}) if isinstance(holder, dict) else {}
    values = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(values, dict):
        return document
    cut = [key for key, value in values.items() if _long(value)]
    if not cut:
        return document
    for key in cut:
        values[key] = _cut(values[key])
    warnings = content.setdefault("datto", {}).setdefault("parse", {}).setdefault("warnings", [])
    warnings += [f"value-cut:{key}" for key in cut]
    return orjson.dumps(content)


def _long(value: Any) -> bool:
    if isinstance(value, list):
        return any(_long(each) for each in value)
    return isinstance(value, str) and len(value) > _KEPT


def _cut(value: Any) -> Any:
    if isinstance(value, list):
        return [_cut(each) for each in value]
    return value[:_KEPT] if isinstance(value, str) else value
