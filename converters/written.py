"""The way from a complete plain record straight to its line of JSON.

For a header met often nearly all of a document is the same text each time. This writes that text
once, with keys in sorted order, and fills the values in: no dictionary is made. The bytes are those
that `output.dump` gives for the document; a test holds both against each other. A record that is
not complete, or leaves something over, gives None and takes the other way.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from datto_siem.converters.lean import MEMO_SIZE, Lean, TextMemo
from datto_siem.converters.output import dump
from datto_siem.converters.paths import split
from datto_siem.converters.plan.kinds import kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.event import Event
    from datto_siem.converters.plan.model import EventPlan, Reading
    from datto_siem.converters.tables.expression import Expr

_BY_TYPE = {
    "text": "text",
    "ip": "text",
    "mac": "safe",
    "int": "int",
    "bool": "bool",
    "list": "list",
}
_FORMS = {"milliseconds": "int", "nanoseconds": "int", "seconds": "any"}
"""How a `fmt` style is written in JSON; the other styles give text that needs no escaping."""


class Leaf(NamedTuple):
    """A value: its variable or literal, and how it is written (`safe` text, `text`, int, any)."""

    atom: str
    form: str


Tree = dict[tuple[str, bool], Any]


def compile_written(
    plan: EventPlan, reading: Reading, lookups: Lookups, types: Mapping[str, str]
) -> Callable[[Event], bytes | None] | None:
    """Make the function, or None when records of this plan always leave something over.

    Args:
        plan: A plan made for `documented(reading)` and one header's fields.
        reading: That reading.
        lookups: The named tables.
        types: Field name -> vocabulary type.
    """
    told = {key for key, _ in plan.said}
    if plan.columns or any(cast.key not in plan.used | told for cast in reading.casts):
        return None
    writer = _Written(plan, reading, lookups, types)
    writer.complete = True
    function: Any = writer.function({"_full": lambda event: None})
    write: Callable[[Event], bytes | None] = function
    return write


def _json(value: object) -> str:
    return dump(value).decode()


class _Written(Lean):
    """Writes the source of one header's function."""

    def __init__(
        self, plan: EventPlan, reading: Reading, lookups: Lookups, types: Mapping[str, str]
    ) -> None:
        """Take the plan, and a memory of texts as JSON."""
        super().__init__(plan, reading, lookups, types)
        self.done: dict[str, str] = {}
        self.constants["_json"] = _json
        self.constants["_dumps"] = orjson.dumps
        self.constants["_quoted"] = TextMemo(_json, MEMO_SIZE)

    def _rest(self) -> None:
        """Leave by the other way when a key is not said whole after all."""
        for key, expr in self.plan.said:
            atom = self.value(expr)
            if self.sure(atom):
                continue
            there = f"{self._list_of(key)} is not None and " if key.endswith("*") else ""
            self.line(f"if {there}{atom} is None: return None")

    def _list_of(self, key: str) -> str:
        return next(self._list(cast) for cast in self.reading.casts if cast.key == key)

    def _document(self) -> None:
        root: Tree = {}
        for step in self.plan.emit:
            leaf = Leaf(self.value(step.expr), self._form(step.expr))
            place = root
            *parents, (name, _) = split(step.into)
            for parent in parents:
                place = place.setdefault(parent, {})
            place[(name, False)] = leaf
        self.line(f"d = ({self._whole(root)}).encode()")

    def _form(self, expr: Expr) -> str:
        type_ = kind(expr, self.types, self.lookups)
        if expr[0] == "collect":
            return "any"  # objects, whose keys are to be sorted
        if expr[0] == "fmt":
            return _FORMS.get(expr[1][1], "safe")
        return _BY_TYPE.get(type_ or "", "any")

    def _written(self, leaf: Leaf) -> str:
        """A value that is there, as an expression of its JSON text."""
        if not leaf.atom.startswith(("v", "_")):
            return repr(_json(ast.literal_eval(leaf.atom)))
        if leaf.form == "int":
            return f"str({leaf.atom})"
        if leaf.form == "bool":
            return f"('true' if {leaf.atom} else 'false')"
        if leaf.form == "list":
            return f"_dumps({leaf.atom}).decode()"
        if leaf.form == "safe":
            return f"'\"' + {leaf.atom} + '\"'"
        if leaf.atom in (self.fields.get("original"), self.fields.get("message")):
            return f"_dumps({leaf.atom}).decode()"  # never twice the same: no use to remember it
        return f"_quoted[{leaf.atom}]" if leaf.form == "text" else f"_json({leaf.atom})"

    def _certain(self, tree: Any) -> bool:
        if isinstance(tree, Leaf):
            return self.sure(tree.atom)
        return any(self._certain(each) for each in tree.values())

    def _whole(self, tree: Tree) -> str:
        """An object that is certain, as an expression of its JSON text."""
        mark = repr(sorted(tree.items(), key=lambda item: item[0]))
        if mark not in self.done:
            text = self._joined("{", tree, "}")
            atom = text if _is_literal(text) else self.assign(text, True)
            if self.depth > 1:  # inside a branch: not to be relied on elsewhere
                return atom
            self.done[mark] = atom
        return self.done[mark]

    def _joined(self, start: str, tree: Tree, end: str) -> str:
        members = sorted(tree.items(), key=lambda item: item[0][0])
        first = next(at for at, (_, child) in enumerate(members) if self._certain(child))
        pieces = [repr(start)]
        for at, (key, child) in enumerate(members):
            before, after = ("", ",") if at < first else (",", "")
            before = "" if at == first else before
            pieces += self._member(key, child, before, after)
        return _join([*pieces, repr(end)])

    def _member(self, key: tuple[str, bool], child: Any, before: str, after: str) -> list[str]:
        name, is_list = key
        head = f"{before}{_json(name)}:" + ("[" if is_list else "")
        tail = ("]" if is_list else "") + after
        if self._certain(child):
            value = self._written(child) if isinstance(child, Leaf) else self._whole(child)
            return [repr(head), value, repr(tail)]
        if isinstance(child, Leaf):
            whole = f"{head!r} + {self._written(child)}" + (f" + {tail!r}" if tail else "")
            return [f"('' if {child.atom} is None else {whole})"]
        inner = self._loose(child)
        return [f"({head + '{'!r} + {inner}[1:] + {'}' + tail!r} if {inner} else '')"]

    def _loose(self, tree: Tree) -> str:
        """The members of an object that may be empty, each after a comma."""
        mark = "loose" + repr(sorted(tree.items(), key=lambda item: item[0]))
        if mark in self.done:
            return self.done[mark]
        lasting = self.depth == 1 and self.bases and all(map(self._is_lasting, _atoms(tree)))
        atom = self._remembered(tree) if lasting else self._loosely(tree)
        if self.depth == 1:
            self.done[mark] = atom
        return atom

    def _loosely(self, tree: Tree) -> str:
        pieces: list[str] = []
        for key, child in sorted(tree.items(), key=lambda item: item[0][0]):
            pieces += self._member(key, child, ",", "")
        return self.assign(_join(pieces))

    def _is_lasting(self, atom: str) -> bool:
        return atom in self.lasting or not atom.startswith(("v", "_"))

    def _remembered(self, tree: Tree) -> str:
        """Members that sender and syslog header alone decide, put together once for each."""
        memory, whole, atom = self.constant({}), self.name(), self.name()
        self.line(f"{whole} = ({', '.join(sorted(self.bases))},)")
        self.line(f"{atom} = {memory}.get({whole})")
        self.line(f"if {atom} is None:")
        self.depth += 1
        self.line(f"{atom} = {self._loosely(tree)}")
        self.line(f"if len({memory}) > {MEMO_SIZE}: {memory}.clear()")
        self.line(f"{memory}[{whole}] = {atom}")
        self.depth -= 1
        return atom


def _atoms(tree: Any) -> list[str]:
    if isinstance(tree, Leaf):
        return [tree.atom]
    return [atom for child in tree.values() for atom in _atoms(child)]


def _join(pieces: list[str]) -> str:
    """Pieces as one expression."""
    merged = _merged(pieces)
    if len(merged) == 1:
        return merged[0]
    return f"''.join(({', '.join(merged)}))" if merged else "''"


def _merged(pieces: list[str]) -> list[str]:
    """Neighbouring literals as one."""
    merged: list[str] = []
    for piece in pieces:
        literal = piece[0] in "'\"" and _is_literal(piece)
        if literal and merged and _is_literal(merged[-1]):
            merged[-1] = repr(ast.literal_eval(merged[-1]) + ast.literal_eval(piece))
        elif piece != "''":
            merged.append(piece)
    return merged


def _is_literal(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), str)
    except (ValueError, SyntaxError):
        return False
