r"""Literals and names of the Kusto query language: nothing else writes one into a query.

The forms are those that Microsoft's language service and duckdb-kql read alike; control characters
that have no short escape become `\uXXXX`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORT = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ODD = re.compile(r"[\\'\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_META = re.compile(r"[.\\+*?()|\[\]{}^$]")


def text(value: str) -> str:
    """A string literal.

    Raises:
        ValueError: The text holds half of a surrogate pair, which no query can say.
    """
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"KQL cannot say {value!r}: half of a surrogate pair; take it out")
    return "'" + _ODD.sub(lambda found: _escape(found[0]), value) + "'"


def _escape(character: str) -> str:
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def texts(values: Iterable[str]) -> str:
    """What stands behind `in`: `('a', 'b')`."""
    return f"({', '.join(text(value) for value in values)})"


def number(value: int) -> str:
    """A whole number; a negative one needs its type, for `-1` alone is an expression."""
    return str(value) if value >= 0 else f"long({value})"


def pattern(value: str) -> str:
    """A text as part of a regular expression that means just that text."""
    return _META.sub(
        lambda found: f"[{found[0]}]" if found[0] not in "\\^[]" else f"\\{found[0]}", value
    )


def name(value: str) -> str:
    """A column's or function's name."""
    return value if _NAME.fullmatch(value) else f"[{text(value)}]"


def comment(value: str) -> str:
    """A comment of one line: whatever would end the line is a blank."""
    return "// " + re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", value)
