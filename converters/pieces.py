"""The text of a JSON object as pieces: literals, and variables of generated source.

Keys are sorted as `output.dump` sorts them, so the bytes are the same. An object's members are
certain, or tested for when it is written; what an object lacks leaves no comma behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.memo import Memo
from datto_siem.converters.output import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Piece = tuple[bool, str]
"""(whether it is a variable, the literal or the variable's name)."""
Tree = dict[tuple[str, bool], Any]
"""(name, whether it is a list with one object) -> `Leaf` or `Tree`."""


class Leaf(NamedTuple):
    """A value: the variable that tells whether it is there, and its text when it is."""

    atom: str
    sure: bool
    pieces: tuple[Piece, ...]


def literal(text: str) -> Piece:
    """A piece that is always the same."""
    return (False, text)


def variable(name: str) -> Piece:
    """A piece that a variable holds."""
    return (True, name)


def json(value: object) -> str:
    """A value as JSON text."""
    return dump(value).decode()


_name: Memo[str, str] = Memo(json, 1_024)
"""Names of members, which most documents have in common."""


def source(pieces: Iterable[Piece]) -> str:
    """Pieces as one expression of Python."""
    parts = []
    for is_variable, text in merged(pieces):
        parts.append(f"f'{{{text}}}'" if is_variable else repr(text))
    return " ".join(parts) or "''"


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """The same with neighbouring literals as one."""
    found: list[Piece] = []
    for is_variable, text in pieces:
        if not is_variable and found and not found[-1][0]:
            found[-1] = literal(found[-1][1] + text)
        elif text:
            found.append((is_variable, text))
    return found


def certain(tree: Any) -> bool:
    """Whether an object always has a member, or a leaf its value."""
    if isinstance(tree, Leaf):
        return tree.sure
    return any(certain(each) for each in tree.values())


class Objects:
    """Writes objects.

    Args:
        assign: Takes an expression of Python, gives the variable that then holds its value.
    """

    def __init__(self, assign: Callable[[str], str]) -> None:
        """Keep the means."""
        self._assign = assign

    def whole(self, tree: Tree) -> list[Piece]:
        """An object with a certain member."""
        members = sorted(tree.items(), key=lambda item: item[0][0])
        first = next(at for at, (_, child) in enumerate(members) if certain(child))
        pieces = [literal("{")]
        for at, (key, child) in enumerate(members):
            before, after = ("", ",") if at < first else ("," if at > first else "", "")
            pieces += self._member(key, child, before, after)
        return [*pieces, literal("}")]

    def _member(self, key: tuple[str, bool], child: Any, before: str, after: str) -> list[Piece]:
        name, is_list = key
        head = f"{before}{_name[name]}:" + ("[" if is_list else "")
        tail = ("]" if is_list else "") + after
        if certain(child):
            inner = child.pieces if isinstance(child, Leaf) else self.whole(child)
            return [literal(head), *inner, literal(tail)]
        if isinstance(child, Leaf):
            text = source([literal(head), *child.pieces, literal(tail)])
            return [variable(self._assign(f"'' if {child.atom} is None else {text}"))]
        loose = self._assign(source(self._loose(child)))
        text = source([literal(head + "{"), variable(f"{loose}[1:]"), literal("}" + tail)])
        return [variable(self._assign(f"{text} if {loose} else ''"))]

    def _loose(self, tree: Tree) -> list[Piece]:
        """The members of an object that may be empty, each after a comma."""
        pieces: list[Piece] = []
        for key, child in sorted(tree.items(), key=lambda item: item[0][0]):
            pieces += self._member(key, child, ",", "")
        return pieces
