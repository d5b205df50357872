"""What one spelling's plan leaves over, settled when its function is made.

`leftovers` does this record by record; where the keys are known beforehand, so are the names that
their values go by. What cannot be settled raises `Impossible`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.pieces import Leaf, Piece, Tree, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datto_siem.converters.plan.model import EventPlan

_NAME = re.compile(r"[^A-Za-z0-9_]")


class Impossible(Exception):
    """No function can be made for this spelling of this plan."""


class Remain(NamedTuple):
    """A pair that no row carries whole.

    Attributes:
        key: The wire key.
        text: Its value as pieces.
        unless: The variable that covers it when it has a value, or "".
    """

    key: str
    text: tuple[Piece, ...]
    unless: str


def remaining(
    plan: EventPlan,
    used: Iterable[str],
    wire: Mapping[str, Sequence[Piece]],
    covering: Callable[[str], str | None],
) -> list[Remain]:
    """The pairs that are left over, in the order of the record.

    Args:
        plan: The plan.
        used: Keys whose whole value the document carries.
        wire: Key -> its text, of keys with one.
        covering: Gives the variable that covers a key of `said`: "" when it always does.
    """
    told = {key for key, _ in plan.said}
    shown = set(used)
    found = []
    for key, text in wire.items():
        name = key
        if key not in shown and key not in told and "." in key:
            name = key[: key.rindex(".") + 1] + "*"
        if name in shown:
            continue
        unless = covering(name) if name in told else None
        if unless != "":
            found.append(Remain(key, tuple(text), unless or ""))
    return found


def place(tree: Tree, rest: list[Remain], where: tuple[str, str]) -> list[tuple[str, Remain]]:
    """Names inside an object, or behind a prefix, for the pairs left over.

    Returns:
        (name, pair); the caller writes each into `home(tree, where)`.
    """
    into, style = where
    prefix = into if style == "prefix" else ""
    inside = home(tree, where)
    names = {name: child for (name, _), child in inside.items()}
    given: list[tuple[str, Remain]] = []
    for each in rest:
        name = prefix + (_NAME.sub("_", each.key) if prefix else each.key)
        if name in names:
            held = names[name]
            if not (isinstance(held, Leaf) and held.sure):
                raise Impossible
            name = f"{prefix}raw_{name[len(prefix) :]}"
        if name in names or any(name == other for other, _ in given):
            raise Impossible
        given.append((name, each))
    return given


def home(tree: Tree, where: tuple[str, str]) -> Tree:
    """The object that pairs left over go into."""
    place_: Any = tree
    if where[1] == "object":
        for part in where[0].split("."):
            place_ = place_.setdefault((part, False), {})
            if not isinstance(place_, dict):
                raise Impossible
    found: Tree = place_
    return found


def listed(rest: list[Remain]) -> list[Piece]:
    """The pairs as `k=v;k=v`."""
    pieces: list[Piece] = []
    for each in rest:
        if each.unless or ";" in each.key:
            raise Impossible
        pieces += [literal(f"{';' if pieces else ''}{each.key}="), *each.text]
    return pieces
