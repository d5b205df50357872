"""Literals of Splunk: eval strings, regular expressions, search terms, settings, lookup rows.

Whatever comes from a table and stands in the add-on goes through here, so that it stays data. A
setting is one line, hence no text may bring a line of its own; NUL and lone surrogates, which no
configuration file can hold, are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CONTROL = re.compile(r"([\x01-\x1f\x7f]+)")
_PLAIN = re.compile(r"[A-Za-z0-9_]")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
NULL = "null()"


def _checked(text: str) -> str:
    """The text, if a configuration file can hold it.

    Raises:
        ValueError: It holds NUL or half a surrogate pair.
    """
    if "\0" in text:
        raise ValueError(f"{text!r}: Splunk's configuration cannot hold NUL; take it out")
    text.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    return text


def text(value: str) -> str:
    """A string of the eval language; a line break in it comes by way of its percent code."""
    found = []
    for index, part in enumerate(_CONTROL.split(_checked(value))):
        if index % 2:
            found.append(f'urldecode("{"".join(f"%{byte:02X}" for byte in part.encode())}")')
        elif part:
            escaped = part.replace("\\", "\\\\").replace('"', '\\"')
            found.append(f'"{escaped}"')
    return found[0] if len(found) == 1 else f"({' . '.join(found)})" if found else '""'


def pattern(expression: str) -> str:
    r"""A regular expression as a string of the eval language.

    A backslash before a letter or digit, such as `\x5c`, stands in such a string as it is; there
    must be none before anything else, nor a quote.

    Raises:
        ValueError: The expression does not keep to that.
    """
    if '"' in expression or re.search(r"\\(?![a-z0-9])", expression):
        raise ValueError(f"{expression!r} cannot stand in an eval string")
    return f'"{expression}"'


def literal(value: str) -> str:
    """A text as a regular expression that matches just it."""
    return "".join(
        char if _PLAIN.match(char) or char > "\x7f" else f"\\x{ord(char):02x}"
        for char in _checked(value)
    )


def term(name: str, value: str) -> str:
    """A search term; what would end the line is matched by `*`, which search strings have."""
    escaped = _CONTROL.sub("*", _checked(value)).replace("\\", "\\\\").replace('"', '\\"')
    return f'{field(name)}="{escaped}"'


def field(name: str) -> str:
    """A field name, if it can stand bare.

    Raises:
        ValueError: It cannot.
    """
    if not _FIELD.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a field of the add-on: letters, digits and _ only")
    return name


def number(value: float) -> str:
    """A number of the eval language."""
    return str(value)


def stanza(name: str, settings: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """One stanza of a configuration file.

    Raises:
        ValueError: A name or value that would leave its line.
    """
    rows = settings.items() if hasattr(settings, "items") else settings
    lines = [f"[{name}]", *(f"{key} = {value}" for key, value in rows)]
    for line in lines:
        if _CONTROL.search(_checked(line)) or line.endswith("\\"):
            raise ValueError(f"{line!r} is more than one line of a configuration file")
    return "\n".join(lines) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """The file of a lookup."""
    lines = [",".join(map(_cell, row)) + "\n" for row in (columns, *rows)]
    return "".join(lines).encode()


def _cell(value: str) -> str:
    """One cell; a line break stays within quotes."""
    quoted = _checked(value).replace('"', '""')
    return f'"{quoted}"' if re.search(r'[",\r\n]|^\s|\s$', value) else value
