"""Sequences of keys that an event's plain records come with, each as one pattern.

What matches is read at once, and the result is what `Dialect.quick` finds word by word: values are
ASCII without equals signs and backslashes, only a value's first word may hold a colon where colon
pairs are possible, and what a colon pair must prove of its value is in the pattern. Only keys that
a table documents, or the numbered ones of its lists, ever get here.

Few are kept, and a sequence must have come often of late: keys in random order, or a flood of
made-up sequences, are not worth a pattern, nor are those that a shape soon spares the decoder.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from datto_siem.converters.spelling import FIRM, uncaptured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Read = Callable[[str, int], dict[str, str] | None]

MOST = 4
OFTEN = 8
_MOST_MET = 16
_WORD = r"!-<>-\[\]-~"
_LATER = r"!-9;<>-\[\]-~"  # without a colon
_ALL = "+" if sys.version_info >= (3, 11) else ""  # possessive: a word ends where its class does
_PROVEN = frozenset({"mac", "ip", "int"})
"""Casts whose strict form is all that a colon pair must prove."""


class Sequences:
    """The patterns of one dialect.

    Attributes:
        known: Functions of a text and where its extension begins, to be tried in this order;
            each gives the pairs, or None when they are others.

    Args:
        colon: Key that may have a colon -> its cast, or "" where any text will do.
    """

    def __init__(self, colon: Mapping[str, str]) -> None:
        """None yet."""
        self._colon = colon
        self._met: dict[tuple[str, ...], int] = {}
        self.known: tuple[Read, ...] = ()

    def learn(self, text: str, start: int, found: Mapping[str, str]) -> None:
        """Take note of a plain record that no pattern matched."""
        if len(self.known) >= MOST:
            return
        keys = tuple(found)
        met = self._met.get(keys, 0) + 1
        if met < OFTEN:
            if len(self._met) >= _MOST_MET:
                self._met.clear()
            self._met[keys] = met
            return
        pattern = self._pattern(text, start, found)
        if pattern is not None:
            self.known = (*self.known, _reader(pattern, keys))

    def _pattern(self, text: str, start: int, found: Mapping[str, str]) -> str | None:
        parts = []
        at = start
        for key, value in found.items():
            separator = text[at + len(key)]
            form = self._form(key, separator, value)
            if form is None:
                return None
            parts.append(re.escape(key + separator) + form)
            at += len(key) + len(value) + 2
        return " ".join(parts) + r"\Z"

    def _form(self, key: str, separator: str, value: str) -> str | None:
        kind = self._colon.get(key, "") if separator == ":" else ""
        if not value:
            return "()"
        if kind:
            return f"({uncaptured(kind)})" if kind in _PROVEN else None
        later = _LATER if self._colon else _WORD
        if " " not in value and separator == "=":
            return f"([{_WORD}]+{_ALL})"
        return f"([{_WORD}]+{_ALL}{FIRM}(?: [{later}]+{_ALL}(?![=:]))*))"


def _reader(pattern: str, keys: tuple[str, ...]) -> Read:
    """A function that makes the dictionary at once: its size and its keys are known."""
    groups = [f"g{number}" for number in range(len(keys))]
    pairs = ", ".join(f"{key!r}: {group}" for key, group in zip(keys, groups, strict=True))
    source = (
        "def read(text, start):\n"
        "    found = match(text, start)\n"
        "    if found is None: return None\n"
        f"    ({', '.join(groups)},) = found.groups()\n"
        f"    return {{{pairs}}}\n"
    )
    scope: dict[str, Any] = {"match": re.compile(pattern).match}
    exec(compile(source, "<sequence>", "exec"), scope)  # noqa: S102  our own text: keys as reprs
    read: Read = scope["read"]
    return read
