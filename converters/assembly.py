"""A shape's statements and pieces as one function of Python, and what it asks only now and then."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.pieces import Piece, merged, source, variable
from datto_siem.converters.spelling import capturing
from datto_siem.converters.staging import (
    Statement,
    decided,
    gathered,
    living,
    parted,
    renumbered,
    statements,
    word_memo,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datto_siem.converters.spelling import Spelling

_NAMES = re.compile(r"\b(?:[vg][0-9]+|[a-z])\b").findall
_SENDER = ("s", "p", "h")
_MOST_PARTS = 30


class Shape(NamedTuple):
    """What one spelling of one header's records needs to become lines of output.

    Attributes:
        write: (line as text, its pairs in order, end of its header, what `sender` gave, receive
            time, end of plausible seconds, receive time as written by ISO 8601 and in
            milliseconds, the record as it came, id, ordinal) to the finished line, ASCII alone,
            or None when it is not of this shape after all.
        sender: (envelope, address of the sender, header) to what they alone decide.
        ordered: Whether the pairs' order is part of the shape; else `write` wants the words.
        equals: How many equals signs an extension of this shape has.
        match: (line as text, end of its header), or (its pairs in order), to what `write` matches.
    """

    write: Callable[..., str | None]
    sender: Callable[..., tuple[Any, ...]]
    ordered: bool
    equals: int
    match: Callable[..., re.Match[str] | None]


class Draft(NamedTuple):
    """A function to be.

    Attributes:
        lines: Its statements.
        pieces: What it gives.
        groups: Variables of the pattern's groups.
        words: Those of few values, on which much depends.
        constants: What it calls by name.
        name: Gives fresh variables.
    """

    lines: Sequence[str]
    pieces: Sequence[Piece]
    groups: Sequence[str]
    words: Sequence[str]
    constants: Mapping[str, Any]
    name: Callable[[], str]


def assemble(draft: Draft, spelling: Spelling, title: str) -> Shape:
    """Make the functions."""
    found = living(statements(draft.lines), _read(draft.pieces))
    known = decided(found, _SENDER)
    pieces, lines = gathered(draft.pieces, known, draft.name)
    inner, found = parted([*found, *statements(lines)], known | _set(statements(lines)))
    wanted = {name for each in found for name in each.reads} | _read(pieces)
    sender = sorted((_set(inner) | {*_SENDER}) & wanted)
    found, pieces, memo = _by_words(draft, found, pieces)
    body = [f"m = _match({'t, end' if spelling.ordered else 'o'})", "if m is None: return None"]
    read = {name for each in found for name in each.reads} | _read(pieces)
    groups = [name for name in draft.groups if name in read]
    if groups:
        body.append(f"{_tuple(groups)} = m.groups()")
    if sender:
        body.append(f"{_tuple(sender)} = q")
    body += [each.text for each in found]
    body += _returned(pieces)
    pattern = capturing(spelling.pattern, [name in read for name in draft.groups])
    match = re.compile(pattern).match
    scope = {**draft.constants, **memo, "_match": match}
    write = _function(title, "t, o, end, q, r, l, i, j, raw, u, n", body, scope)
    last = renumbered([*(each.text for each in inner), f"return {_tuple(sender)}"])
    given = _function("sender", "s, p, h", last, scope)
    return Shape(write, given, spelling.ordered, spelling.equals, match)


def _by_words(
    draft: Draft, found: list[Statement], pieces: list[Piece]
) -> tuple[list[Statement], list[Piece], dict[str, Any]]:
    """Move what a few words decide into a function of its own, with a memory."""
    words = list(draft.words)
    if not words:
        return found, pieces, {}
    known = decided(found, words)
    gathered_, lines = gathered(pieces, known, draft.name)
    added = statements(lines)
    inner, rest = parted([*found, *added], known | _set(added))
    if len(inner) < 2:
        return found, pieces, {}
    wanted = {name for each in rest for name in each.reads} | _read(gathered_)
    out = sorted(_set(inner) & wanted)
    key = words[0] if len(words) == 1 else _tuple(words)
    body = renumbered([f"{key} = k", *(each.text for each in inner), f"return {_tuple(out)}"])
    memo = word_memo(_function("words", "k", body, dict(draft.constants)))
    lines = [f"k = _words[{key}]", "if k is None: return None"]
    if out:
        lines.append(f"{_tuple(out)} = k")
    return [*statements(lines), *rest], gathered_, {"_words": memo}


def _function(title: str, arguments: str, body: Iterable[str], scope: dict[str, Any]) -> Any:
    text = "\n".join(body).replace("\n", "\n    ")
    source = f"def function({arguments}):\n    {text}\n"
    exec(_compiled(source, title), scope)  # noqa: S102  our own text, made from numbers and reprs
    return scope["function"]


@lru_cache(maxsize=128)
def _compiled(source: str, title: str) -> Any:
    """Code; what depends on a sender or on words is the same for many shapes."""
    return compile(source, f"<{title}>", "exec")


def _returned(pieces: Iterable[Piece]) -> list[str]:
    """Statements that give the whole text.

    CPython joins a formatted string of more than 30 parts by way of a list, which costs more than
    joining parts first.
    """
    whole = merged(pieces)
    size = -(-len(whole) // -(-len(whole) // _MOST_PARTS)) if len(whole) > _MOST_PARTS else 0
    if not size:
        return [f"return {source(whole)}"]
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    names = [f"w{number}" for number in range(len(parts))]
    lines = [f"{name} = {source(part)}" for name, part in zip(names, parts, strict=True)]
    return [*lines, f"return {source(map(variable, names))}"]


def _read(pieces: Iterable[Piece]) -> set[str]:
    return {name for is_variable, text in pieces if is_variable for name in _NAMES(text)}


def _set(found: Iterable[Statement]) -> set[str]:
    return {name for each in found for name in each.sets}


def _tuple(names: Iterable[str]) -> str:
    return "(" + "".join(f"{name}, " for name in names) + ")"
