"""Literals of generated pipelines: JSON that is YAML too, whatever a table holds.

Table texts reach a pipeline only as `params` of its scripts, which no template engine reads. Two
braces in a row are escaped nevertheless: in a package, `{{ IngestPipeline "x" }}` is filled in
before the pipeline is parsed.
"""

from __future__ import annotations

import json
import re
from typing import Any

from datto_siem.converters.errors import TableError, TableErrors

# Characters YAML does not take as they are, or that end a line somewhere.
_UNUSUAL = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")

_LEVELS = 6  # down to one event, plan or cast among the params of a script


def literal(value: Any) -> str:
    """One value on one line.

    Raises:
        TableErrors: A text holds half of a surrogate pair, which no JSON can carry.
    """
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = "a text holds half of a surrogate pair: take it out"
        raise TableErrors(
            "1 fault in the mapping tables", [TableError("tables", problem)]
        ) from error
    text = _UNUSUAL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    # Outside texts two braces meet only as `{{`, which JSON has nowhere, and `}}`, which is safe.
    return text.replace("{{", "\\u007b\\u007b")


def pretty(value: Any) -> str:
    """A document for people to read."""
    return json.dumps(value, ensure_ascii=False, indent=4, sort_keys=True) + "\n"


def written(value: Any, indent: str = "") -> str:
    """A value with one line for each item of its upper levels, so that versions can be compared.

    Args:
        value: Maps, lists, texts, numbers.
        indent: Blanks before every line but the first.
    """
    return _written(value, indent, _LEVELS)


def _written(value: Any, indent: str, levels: int) -> str:
    if levels == 0 or not isinstance(value, (dict, list)) or not value:
        return literal(value)
    deeper = indent + "  "
    if isinstance(value, dict):
        rows = [
            f"{literal(key)}: {_written(each, deeper, levels - 1)}" for key, each in value.items()
        ]
        opening, closing = "{", "}"
    else:
        rows = [_written(each, deeper, levels - 1) for each in value]
        opening, closing = "[", "]"
    inner = f",\n{deeper}".join(rows)
    return f"{opening}\n{deeper}{inner}\n{indent}{closing}"
