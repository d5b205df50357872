"""Values as Ruby source.

A literal is ASCII whatever its text holds, so neither a comment's encoding nor a heredoc's end can
change what it says: strings stand between double quotes, and everything that could end or open
something there is escaped.
"""

from __future__ import annotations

import re
from typing import Any

_UNSAFE = re.compile(r"[^ !$-\[\]-~]")  # all but printable ASCII without `"`, `#` and the backslash


def literal(value: Any) -> str:
    """Text, numbers, true, false, nothing, lists and maps as one expression of Ruby.

    Raises:
        ValueError: A lone surrogate, which no text of Ruby can hold.
        TypeError: Anything else.
    """
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("no literal of Ruby is infinite or not a number")
        return repr(value)
    if isinstance(value, str):
        return f'"{_UNSAFE.sub(_escaped, value)}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(k)} => {literal(v)}' for k, v in value.items())}}}"
    raise TypeError(f"no literal of Ruby for {type(value).__name__}")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("a lone surrogate is no text in Ruby")
    return f"\\u{{{code:x}}}"
