r"""rsyslog's own language: texts as strings and as patterns, and tables as lookup files.

Every byte of a text that is not a letter, a digit or `_` is written as `\xHH`, which rsyslog reads
in strings. In a pattern such a byte would still mean what it means to POSIX, so it stands in
brackets or behind a backslash.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def string(text: str) -> str:
    """A string constant.

    Raises:
        ValueError: It holds NUL, which ends a string in rsyslog.
        UnicodeEncodeError: It holds half a surrogate pair, which no record can hold.
    """
    if "\0" in text:
        raise ValueError("NUL ends a string in rsyslog: take it out of the table")
    return "'" + "".join(map(_letter, text.encode())) + "'"


def regular(pattern: str) -> str:
    """A pattern as it stands between single quotes."""
    return "".join(
        "\\\\"
        if byte == 0x5C
        else chr(byte)
        if 0x1F < byte < 0x7F and byte != 0x27
        else f"\\x{byte:02x}"
        for byte in pattern.encode()
    )


def pattern(text: str) -> str:
    """A pattern that matches a text and nothing else; for `regular`.

    Raises:
        ValueError: It holds NUL, which ends a pattern.
    """
    if "\0" in text:
        raise ValueError("NUL ends a pattern in rsyslog: take it out of the table")
    return "".join(
        letter if letter.isalnum() or letter > "\x7f" else "\\^" if letter == "^" else f"[{letter}]"
        for letter in text
    )


def lookup(rows: Mapping[str, str]) -> str:
    """A lookup file of texts; a key that is not in it gives an empty text."""
    table = [{"index": key, "value": value} for key, value in sorted(rows.items())]
    whole = {"version": 1, "nomatch": "", "type": "string", "table": table}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _letter(byte: int) -> str:
    return chr(byte) if byte in _PLAIN else f"\\x{byte:02x}"
