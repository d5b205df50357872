r"""Text from the wire made safe for a terminal, and colour for a terminal that has it.

A log line may carry escape sequences, direction marks and invisible characters. Whatever is not
printable is shown as `\x1b` or `\u202e`, on a terminal and in a file alike.
"""

from __future__ import annotations

import json
import os
from typing import TextIO

STYLES = {"heading": "1", "place": "2", "note": "33", "bad": "31", "value": "36"}
_LONGEST = 400  # of a value in `explain`


def escaped(text: str) -> str:
    """A text with everything unprintable escaped; backslashes stay as they are."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _code(char) for char in text)


def quoted(text: str) -> str:
    """A text in double quotes, escaped so that it can be told exactly what stood there."""
    return f'"{escaped(text.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34)))}"'


def value_text(value: object) -> str:
    """A value as JSON, what is not printable escaped, cut when very long."""
    if isinstance(value, str):
        text = quoted(value)
    else:
        text = escaped(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _code(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class Paint:
    """Colours words, or leaves them as they are."""

    def __init__(self, on: bool) -> None:
        """`on` says whether to colour."""
        self.on = on

    def __call__(self, style: str, text: str) -> str:
        """A text in one of `STYLES`; it must be escaped already."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.on and text else text


def paint(choice: str, stream: TextIO) -> Paint:
    """The painter for `--color auto|always|never`; NO_COLOR and dumb terminals mean never."""
    if choice != "auto":
        return Paint(choice == "always")
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Paint(not plain and stream.isatty())
