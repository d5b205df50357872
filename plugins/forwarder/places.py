"""Where things stand in a TOML file: the path of a key -> its line.

TOML parsers tell no positions of what parsed well, and a configuration fault needs one. This reads
only as much as is needed for that: headers, keys, and where values end.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_KEY = re.compile(r'\s*("(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+)\s*(\.?)')
_STRINGS = ('"""', "'''", '"', "'")
_ESCAPE = re.compile(r'\\(["\\])')


def places(text: str) -> dict[Path, int]:
    """Lines of tables and keys, counted from 1.

    Args:
        text: A TOML document that parses.

    Returns:
        Path -> line; elements of arrays of tables have their number in the path. What stands
        inside a value has no entry of its own: `line` finds the nearest.
    """
    found: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = {}
    table: Path = ()
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        start = text[at:end].lstrip()
        number = text.count("\n", 0, at) + 1
        if start.startswith("["):
            table = _header(start, counts)
            for depth in range(1, len(table) + 1):
                found.setdefault(table[:depth], number)
        elif start and not start.startswith("#"):
            key, after = _dotted(text, at)
            path = (*table, *key)
            for depth in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:depth], number)
            end = _value_end(text, text.index("=", after) + 1)
        at = end + 1
    return found


def line(found: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the nearest thing around it."""
    while path not in found:
        path = path[:-1]
    return found[path]


def _header(start: str, counts: dict[Path, int]) -> Path:
    """The path of `[a.b]` or `[[a.b]]`; counts elements of arrays."""
    array = start.startswith("[[")
    names, _ = _dotted(start, 2 if array else 1)
    path: Path = ()
    for name in names[:-1]:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    path = (*path, names[-1])
    if array:
        counts[path] = counts.get(path, -1) + 1
    return (*path, counts[path]) if path in counts else path


def _dotted(text: str, at: int) -> tuple[list[str], int]:
    """The parts of a dotted key, and where it ends."""
    names: list[str] = []
    while True:
        match = _KEY.match(text, at)
        if match is None:
            return names or [""], at
        name, at = match[1], match.end()
        if name[0] == '"':
            name = _ESCAPE.sub(r"\1", name[1:-1])
        elif name[0] == "'":
            name = name[1:-1]
        names.append(name)
        if not match[2]:
            return names, at


def _value_end(text: str, at: int) -> int:
    """The line feed (or end of text) behind a value that may run over lines."""
    depth = 0
    while at < len(text):
        quote = next((each for each in _STRINGS if text.startswith(each, at)), None)
        if quote is not None:
            at = _string_end(text, at + len(quote), quote)
            continue
        letter = text[at]
        if letter == "#":
            feed = text.find("\n", at)
            at = len(text) if feed < 0 else feed
            continue
        if letter == "\n" and depth == 0:
            return at
        depth += (letter in "[{") - (letter in "]}")
        at += 1
    return at


def _string_end(text: str, at: int, quote: str) -> int:
    """Behind the quote that ends a string."""
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if quote[0] == '"' and text[at] == "\\" else 1
    at += len(quote)
    while len(quote) == 3 and text.startswith(quote[0], at):
        at += 1  # a multi-line string may end in quotes of its own
    return at
