"""Literals of Lua 5.1: plain data as the text of a table constructor.

Owns quoting, and nothing of what is written. Text is UTF-8; every byte that is not printable ASCII
is written as a decimal escape, so no encoding of the file, no bracket and no line break can end a
literal early.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KEYWORDS = frozenset(
    [
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    ]
)
_EXACT = 2**53  # Lua's only number is a double
_ESCAPES = {
    code: chr(code) if 32 <= code < 127 and code not in b'"\\' else f"\\{code:03d}"
    for code in range(256)
}


def literal(value: Any) -> str:
    """A value as an expression of Lua.

    Args:
        value: None, a truth value, a number, text, a list or tuple, or a mapping with text keys.
            None is `nil`, so a mapping's key with None is not there.

    Raises:
        ValueError: A number that a double cannot hold, or a text with half of a surrogate pair.
        TypeError: Anything else.
    """
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(literal(item) for item in value) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(_field(key, item) for key, item in value.items()) + "}"
    raise TypeError(f"no Lua literal for a {type(value).__name__}")


def text(value: str) -> str:
    """A quoted string."""
    try:
        content = value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair is no text") from error
    return '"' + "".join(_ESCAPES[code] for code in content) + '"'


def table(rows: Mapping[str, Any]) -> str:
    """A table of a few big parts, each row of a list or mapping on a line of its own."""
    parts = [f"  {_key(name)} = {_lines(value)},\n" for name, value in rows.items()]
    return "{\n" + "".join(parts) + "}"


def _lines(value: Any) -> str:
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], str):
        return "{\n" + "".join(f"    {literal(item)},\n" for item in value) + "  }"
    if isinstance(value, dict) and value:
        return "{\n" + "".join(f"    {_field(*item)},\n" for item in value.items()) + "  }"
    return literal(value)


def _field(key: str, value: Any) -> str:
    return f"{_key(key)}={literal(value)}"


def _key(key: str) -> str:
    return key if _NAME.fullmatch(key) and key not in _KEYWORDS else f"[{text(key)}]"


def _number(value: float) -> str:
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > _EXACT):
        raise ValueError(f"{value} is no number of Lua")
    return f"({value!r})" if value < 0 else repr(value)
