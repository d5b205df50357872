"""Documents as bytes: compact JSON with sorted keys, so that equal documents are equal bytes."""

from __future__ import annotations

import orjson


def dump(document: object) -> bytes:
    """One document as one line of UTF-8 JSON, without its line feed."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
