"""Generated statements sorted by how often their values change.

What only the sender decides is worked out once for each sender, what only a few words of the
record decide once for each combination of them, and what nobody reads not at all. The statements
are those that `codegen` writes: straight lines over variables, with `return None` as the way out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.memo import Memo
from datto_siem.converters.pieces import Piece, merged, source, variable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

_LITERAL = re.compile(r"f'\{([^{}']*)\}'|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_VARIABLES = re.compile(r"\b(?:[vg][0-9]+|[a-z]|raw|end)\b").findall
_SETS = re.compile(r"\b([vg][0-9]+)(?: = |\.append\()").findall
_NUMBERED = re.compile(r"\b[vg][0-9]+\b")
_NAMES = re.compile(rf"{_LITERAL.pattern}|\b[vg][0-9]+\b")
_INDENT = "    "
_MOST = 1_024
_LONGEST = 128


class WordMemo(Memo[Any, Any]):
    """A memory by one short text or by several, bounded in bytes as well as in entries."""

    __slots__ = ()

    def __missing__(self, key: Any) -> Any:
        """Work it out, and remember it when the texts are short."""
        size = len(key) if isinstance(key, str) else sum(map(len, key))
        return super().__missing__(key) if size <= _LONGEST else self._read(key)


def word_memo(read: Callable[[Any], Any]) -> WordMemo:
    """A memory of what a function of words gives."""
    return WordMemo(read, _MOST)


class Statement(NamedTuple):
    """One statement of a function's top level.

    Attributes:
        text: Its source.
        reads: Variables it names, those it sets among them.
        sets: Variables it sets or adds to.
        leaves: Whether it may leave the function.
    """

    text: str
    reads: frozenset[str]
    sets: frozenset[str]
    leaves: bool


def statements(lines: Iterable[str]) -> list[Statement]:
    """Source lines as statements."""
    blocks: list[str] = []
    whole = "\n".join(lines)
    if whole.startswith(_INDENT):  # as a writer's lines are, all of them
        whole = whole[len(_INDENT) :].replace(f"\n{_INDENT}", "\n")
    for line in whole.split("\n"):
        if line.startswith((" ", "else:", "elif ")) and blocks:
            blocks[-1] += "\n" + line
        elif line:
            blocks.append(line)
    return [_known[block] for block in blocks]


def _statement(text: str) -> Statement:
    bare = _LITERAL.sub(r" \1 ", text)
    return Statement(
        text,
        frozenset(_VARIABLES(bare)),
        frozenset(_SETS(bare)),
        "return None" in bare,
    )


_known: Memo[str, Statement] = Memo(_statement, 4_096)
"""The spellings of an event share most of their statements."""


def renumbered(lines: Iterable[str]) -> list[str]:
    """Source with its variables numbered anew: what does the same is then written the same."""
    known: dict[str, str] = {}

    def name(old: str) -> str:
        return known.setdefault(old, f"v{len(known)}")

    def new(found: re.Match[str]) -> str:
        if found[1] is not None:  # in a formatted text
            return f"f'{{{_NUMBERED.sub(lambda inner: name(inner[0]), found[1])}}}'"
        return found[0] if found[0][0] in "'\"" else name(found[0])

    return [_NAMES.sub(new, line) for line in lines]


def living(found: Sequence[Statement], wanted: Collection[str]) -> list[Statement]:
    """Those that somebody needs, in order."""
    needed = set(wanted)
    kept = []
    for each in reversed(found):
        if each.leaves or each.sets & needed:
            kept.append(each)
            needed |= each.reads
    return kept[::-1]


def decided(found: Sequence[Statement], bases: Collection[str]) -> set[str]:
    """The variables that some variables alone decide."""
    known = {name for each in found for name in each.sets} | set(bases)
    before = -1
    while before != len(known):
        before = len(known)
        for each in found:
            if not each.reads <= known:
                known -= each.sets
    return known


def parted(
    found: Sequence[Statement], known: Collection[str]
) -> tuple[list[Statement], list[Statement]]:
    """Statements about known variables only, and the others."""
    inner = [each for each in found if each.reads | each.sets <= set(known)]
    return inner, [each for each in found if not each.reads | each.sets <= set(known)]


def gathered(
    pieces: Iterable[Piece], known: Collection[str], name: Callable[[], str]
) -> tuple[list[Piece], list[str]]:
    """Runs of pieces that known variables decide, each as one variable; and what sets those."""
    kept: list[Piece] = []
    run: list[Piece] = []
    lines: list[str] = []

    def close() -> None:
        while run and not run[-1][0]:
            tail.insert(0, run.pop())
        if sum(is_variable for is_variable, _ in run) > 1 or len(run) > 1:
            fresh = name()
            lines.append(f"{fresh} = {source(run)}")
            kept.append(variable(fresh))
        else:
            kept.extend(run)
        kept.extend(tail)
        run.clear()
        tail.clear()

    tail: list[Piece] = []
    for piece in merged(pieces):
        is_variable, text = piece
        if text in known if is_variable else run:
            run.append(piece)
        else:
            close()
            kept.append(piece)
    close()
    return kept, lines
