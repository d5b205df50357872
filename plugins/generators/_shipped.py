"""Files that go into artefacts: where they lie here, and how their marks are filled in."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def shipped(folder: str, name: str) -> bytes:
    """A file of a folder beside this module, as it stands there."""
    place = resources.files("datto_siem.plugins.generators") / folder / name
    return place.read_bytes()


def names(folder: str) -> list[str]:
    """The files of a folder beside this module, in order."""
    place = resources.files("datto_siem.plugins.generators") / folder
    return sorted(entry.name for entry in place.iterdir() if entry.is_file())


def part(folder: str, name: str, words: Mapping[str, str] | None = None) -> str:
    """A file as text, its marks filled in."""
    return filled(shipped(folder, name).decode(), words or {})


def filled(text: str, words: Mapping[str, str]) -> str:
    """A text with its `@NAME@` replaced, in one pass: what is put in is not read again.

    A mark that `words` does not hold stays as it is. A replacement of several lines takes over the
    blanks before its mark.
    """

    def one(match: re.Match[str]) -> str:
        before = match.string[: match.start()].rpartition("\n")[2]
        return words[match[1]].replace("\n", "\n" + (before if before.isspace() else ""))

    marks = "|".join(map(re.escape, words))
    return re.sub(f"@({marks})@", one, text) if words else text
