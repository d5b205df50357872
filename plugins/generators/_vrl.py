"""VRL literals: text, patterns, paths, data. Owns every escape, and nothing about tables.

What VRL reads as a template (`{{`) or as the end of a literal is escaped, so any text stays data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\0": "\\0",
    "{": "\\{",
    "}": "\\}",
}
_FIRST_PRINTED = 32
_DELETE = 127
_SPECIAL = frozenset("\\.+*?()|[]{}^$#&-~/'\" ")
_LARGEST = 2**63 - 1


def text(value: str) -> str:
    """A string literal.

    Raises:
        ValueError: A lone surrogate, which no UTF-8 file can hold.
    """
    value.encode()
    return '"' + "".join(_ESCAPES.get(char) or _plain(char) for char in value) + '"'


def _plain(char: str) -> str:
    code = ord(char)
    return f"\\u{{{code:x}}}" if code < _FIRST_PRINTED or code == _DELETE else char


def literal(value: Any) -> str:
    """Any plain data: text, numbers, lists, maps, null.

    Raises:
        ValueError: A number that VRL cannot hold, or a lone surrogate.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int):
        if not -_LARGEST <= value <= _LARGEST:
            raise ValueError(f"{value} does not fit 64 bits")
        return str(value)
    if isinstance(value, float):
        shown = f"{value:f}"
        if float(shown) != value:
            raise ValueError(f"{value} cannot be written without an exponent")
        return shown
    if isinstance(value, Pattern):
        return value.literal
    if isinstance(value, dict):
        inside = ", ".join(f"{text(key)}: {literal(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    raise ValueError(f"no VRL literal for {type(value).__name__}")


class Pattern:
    """A regular expression, as data.

    Attributes:
        literal: How VRL writes it.
    """

    def __init__(self, source: str) -> None:
        """`source` holds no quote and no control character: `quoted` sees to what is data."""
        self.literal = f"r'{source}'"


def quoted(value: str) -> str:
    """A text as part of a pattern that matches just it."""
    value.encode()
    return "".join(_in_pattern(char) for char in value)


def _in_pattern(char: str) -> str:
    if char in _SPECIAL or ord(char) < _FIRST_PRINTED or ord(char) == _DELETE:
        return f"\\x{{{ord(char):X}}}"
    return char


def among(words: Iterable[str]) -> Pattern:
    """A pattern that matches exactly one of some texts; none at all when there are none."""
    found = sorted(words)
    if not found:
        return Pattern(r"[^\s\S]")
    return Pattern(f"^(?:{'|'.join(map(quoted, found))})$")


def starting(words: Iterable[str]) -> Pattern:
    """A pattern of texts that begin with one of some."""
    found = sorted(words)
    return Pattern(f"^(?:{'|'.join(map(quoted, found))})") if found else Pattern(r"[^\s\S]")


def path(name: str, parts: Iterable[str | int]) -> str:
    """A place inside a variable: `v."client.ip"`, `doc."a"[0]."b"`."""
    shown = (f"[{part}]" if isinstance(part, int) else f".{text(part)}" for part in parts)
    return name + "".join(shown)


def indented(lines: Iterable[str], by: int = 1) -> list[str]:
    """Lines moved to the right."""
    return [f"{'  ' * by}{line}" if line else line for line in lines]


_INCLUDE = re.compile(r"( *)#> ([a-z_]+)")


def expanded(source: str, parts: dict[str, str]) -> str:
    """A program with each line `#> name` replaced by that part, indented alike.

    VRL has neither functions nor includes, so the parts that two places need are set in twice.
    """
    lines = []
    for line in source.removesuffix("\n").split("\n"):  # a literal may hold other line breaks
        found = _INCLUDE.fullmatch(line)
        if found is None:
            lines.append(line)
        else:
            part = expanded(parts[found[2]], parts).removesuffix("\n").split("\n")
            lines += [f"{found[1]}{each}" if each else each for each in part]
    return "\n".join(lines) + "\n"
