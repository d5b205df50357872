"""Make the shape of one spelling: for a target with a plan, and for repaired CEF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters import cef, remains
from datto_siem.converters.assembly import Draft, Shape, assemble
from datto_siem.converters.paths import split
from datto_siem.converters.pieces import Leaf, Objects, Piece, Tree, literal, source, variable
from datto_siem.converters.remains import Impossible
from datto_siem.converters.shaped import Shaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.plan.model import EventPlan, Reading
    from datto_siem.converters.spelling import Spelling


def plan_shape(
    plans: Sequence[EventPlan],
    reading: Reading,
    spelling: Spelling,
    lookups: Lookups,
    types: Mapping[str, str],
    notes: list[str],
) -> Shape:
    """The shape for a target with a table.

    Args:
        plans: The plan to write by, last, after those that ask for more than its records have;
            all made for `reading` and one header's fields.
        reading: What the spelling's keys give.
        spelling: The spelling.
        lookups: The named tables.
        types: Field name -> vocabulary type.
        notes: Notes that every record of the event gets.

    Raises:
        Impossible: The plan needs what a shape does not know.
    """
    writer = Shaped(spelling, lookups, types, notes)
    writer.read()
    *better, plan = plans
    for each in better:
        fields = dict(writer.fields)
        atoms = _needs(writer, each, reading)
        if all(map(writer.sure, atoms)):
            raise Impossible
        open_ = [f"{atom} is not None" for atom in atoms if not writer.sure(atom)]
        writer.guard(" and ".join(open_))
        writer.fields = fields
        writer.known.clear()
        if each.note:
            writer.notes = sorted([*writer.notes, each.note])
    for atom in _needs(writer, plan, reading):
        if not writer.sure(atom):
            writer.guard(f"{atom} is None")
    tree = _tree(writer, plan)
    used = {*plan.used, *_columns(writer, plan, tree)}
    _left_over(writer, plan, tree, used)
    pieces = Objects(writer.assign).whole(tree)
    return _shape(writer, pieces, f"{plan.target}:{plan.id}")


def _needs(writer: Shaped, plan: EventPlan, reading: Reading) -> list[str]:
    """Derive a plan's fields; what holds the values that it needs."""
    writer.given(plan, reading)
    for step in plan.derive:
        writer.fields[step.into] = writer.value(step.expr)
        if step.into in plan.sure:
            writer.certain.add(writer.fields[step.into])
    return [writer.value(need) for need in plan.needs]


def cef_shape(
    spelling: Spelling,
    lookups: Lookups,
    types: Mapping[str, str],
    cef_version: int,
) -> Shape:
    """The shape for canonical CEF."""
    writer = Shaped(spelling, lookups, types, [])
    writer.read()
    writer.constants["_header"] = cef.encode_parts
    pieces: list[Piece] = [variable(writer.assign(f"_header(h, (), {cef_version})", True))]
    if spelling.ordered and any(pair.separator != "=" for pair in spelling.pairs):
        for at, pair in enumerate(spelling.pairs):
            pieces += [literal(f"{' ' if at else ''}{pair.key}="), *writer.wire.get(pair.key, ())]
    else:
        pieces.append(variable(writer.assign("t[end:]", True)))
    return _shape(writer, pieces, "cef")


def _shape(writer: Shaped, pieces: list[Piece], title: str) -> Shape:
    draft = Draft(
        writer.lines, pieces, writer.groups, writer.words(), writer.constants, writer.name
    )
    return assemble(draft, writer.spelling, title)


def _tree(writer: Shaped, plan: EventPlan) -> Tree:
    root: Tree = {}
    for step in plan.emit:
        leaf = writer.leaf(step.expr)
        if leaf is None:
            continue
        place = root
        *parents, (name, _) = split(step.into)
        for parent in parents:
            place = place.setdefault(parent, {})
        place[(name, False)] = leaf
    return root


def _columns(writer: Shaped, plan: EventPlan, tree: Tree) -> set[str]:
    """Columns that hold wire keys literally; the keys they take."""
    taken = set()
    for key, pieces in writer.wire.items():
        column = plan.columns.get(key)
        if column is None:
            continue
        name, type_ = column
        leaf = writer.text_leaf(pieces)
        if f"_column_{type_}" in writer.constants:
            text = writer.assign(source(pieces), True)
            value = writer.assign(f"_column_{type_}({text}, r)", True)
            writer.guard(f"{value} is None")
            number = variable(writer.assign(f"_json({value})", True))
            leaf = Leaf("''", True, (number,))
        tree[(name, False)] = leaf
        taken.add(key)
    return taken


def _left_over(writer: Shaped, plan: EventPlan, tree: Tree, used: set[str]) -> None:
    if plan.leftovers is None:
        return
    exprs = dict(plan.said)

    def covering(key: str) -> str | None:
        atom = writer.value(exprs[key])
        if atom == "None":
            return None
        return "" if writer.sure(atom) else atom

    rest = remains.remaining(plan, used, writer.wire, covering)
    if not rest:
        return
    into, style = plan.leftovers
    if style == "pairs":
        if (into, False) in tree:
            raise Impossible
        tree[(into, False)] = writer.text_leaf(_pairs(writer, rest))
        return
    given = remains.place(tree, rest, plan.leftovers)
    home = remains.home(tree, plan.leftovers)
    for name, each in given:
        leaf = writer.text_leaf(each.text)
        if each.unless:
            absent = writer.assign(f"'' if {each.unless} is None else None")
            leaf = leaf._replace(atom=absent, sure=False)
        home[(name, False)] = leaf


def _pairs(writer: Shaped, rest: list[remains.Remain]) -> list[Piece]:
    """Leftovers as one text, in the order of the record."""
    pieces = remains.listed(rest)
    writer.guard("';' in t")  # it would forge a pair, and is written otherwise
    pairs = writer.spelling.pairs
    whole = len(rest) == len(pairs)
    if writer.spelling.ordered:
        if not whole or any(pair.separator != "=" or pair.may_be_words for pair in pairs):
            return pieces
        return [variable(writer.assign("t[end:].replace(' ', ';')", True))]
    if not whole:
        raise Impossible
    writer.guard(f"t.count(' ', end) >= {len(rest)}")  # a value has blanks
    return [variable(writer.assign("t[end:].replace(' ', ';')", True))]
