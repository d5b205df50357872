"""Values of generated source as pieces of JSON text.

For records whose text stands in JSON as it is (`spelling.is_clean`), so that a value is written
between quotes and no more. A constant of a table that needs escapes spoils that for its plan, and
texts are then quoted one by one.
"""

from __future__ import annotations

import ast
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from datto_siem.converters.codegen import Expressions
from datto_siem.converters.memo import TextMemo
from datto_siem.converters.pieces import Leaf, Piece, json, literal, source, variable
from datto_siem.converters.plan.kinds import kind
from datto_siem.converters.spelling import is_clean
from datto_siem.converters.tables.expression import children

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.tables.expression import Expr

_VARIABLE = re.compile(r"[vg][0-9]+|[a-z]").fullmatch
_TEXTUAL = frozenset({"text", "mac", "ip"})
_MEMO_SIZE = 8192


class Leaves(Expressions):
    """Writes leaves of a document.

    Attributes:
        texts: Variable of a number -> the one that holds it as it stands in the record.
        inlines: Variable of a text -> the pieces it is made of.
        alone: Variable of a list -> its only item, a text.
        unlike: Pairs of variables whose texts always differ.
        clean: Whether no constant needs an escape.
    """

    def __init__(self, lookups: Lookups, types: Mapping[str, str]) -> None:
        """`types` are the vocabulary's: field -> type."""
        super().__init__(lookups, types)
        self.texts: dict[str, str] = {}
        self.inlines: dict[str, tuple[Piece, ...]] = {}
        self.alone: dict[str, str] = {}
        self.unlike: set[tuple[str, str]] = set()
        self.clean = True
        self.constants["_json"] = json
        self.constants["_quoted"] = TextMemo(json, _MEMO_SIZE)

    def written(self, atom: str) -> tuple[Piece, ...]:
        """A text, or a number, as it is written."""
        if not _VARIABLE(atom):
            value = self.constant_of(atom)
            return (literal(value if isinstance(value, str) else json(value)),)
        return self.inlines.get(atom) or (variable(self.texts.get(atom, atom)),)

    def constant_of(self, atom: str) -> Any:
        """The value of a literal."""
        return self.literals[atom] if atom in self.literals else ast.literal_eval(atom)

    def leaf(self, expr: Expr) -> Leaf | None:
        """A value of the document; None when it never has one."""
        if expr[0] == "list" and all(self._is_text(item) for item in expr[1]):
            return self._list_leaf(expr)
        if expr[0] == "collect":
            return self._collection(expr)
        atom = self.value(expr)
        if atom == "None":
            return None
        if not _VARIABLE(atom):
            return Leaf(atom, True, (literal(json(self.constant_of(atom))),))
        return Leaf(atom, self.sure(atom), self._json(atom, expr))

    def text_leaf(self, pieces: Iterable[Piece]) -> Leaf:
        """A text of the record that is always there."""
        return Leaf("''", True, (literal('"'), *pieces, literal('"')))

    def _is_text(self, expr: Expr) -> bool:
        return self.clean and kind(expr, self.types, self.lookups) in (*_TEXTUAL, None)

    def _guarded(self, atom: str, text: str) -> tuple[Piece, ...]:
        """A variable with a text that is worked out only where there is a value."""
        return (variable(self.assign(text if self.sure(atom) else _unless_none(atom, text))),)

    def _json(self, atom: str, expr: Expr) -> tuple[Piece, ...]:
        type_ = kind(expr, self.types, self.lookups)
        if type_ in _TEXTUAL:
            if self.clean or atom.startswith("g"):
                return (literal('"'), *self.written(atom), literal('"'))
            return self._guarded(atom, f"_quoted[{atom}]")
        if type_ == "int":
            return self.written(atom)
        if type_ == "bool":
            return self._guarded(atom, f"'true' if {atom} else 'false'")
        if atom in self.alone and self.clean:
            return (literal('["'), variable(self.alone[atom]), literal('"]'))
        if type_ == "list" and expr[0] == "ref" and self.clean:
            return self._guarded(atom, _joined(atom))
        return self._guarded(atom, f"_json({atom})")

    def _list_leaf(self, expr: Expr) -> Leaf | None:
        """Distinct texts."""
        found = dict.fromkeys(self.value(item) for item in expr[1])
        atoms = [atom for atom in found if atom != "None"]
        if not atoms:
            return None
        first, *others = atoms
        if self.sure(first) and len(others) < 3:
            start = (literal('["'), *self.written(first), literal('"'))
            more = [self._one_more(atoms[: at + 1], each) for at, each in enumerate(others)]
            return Leaf("''", True, (*start, *chain.from_iterable(more), literal("]")))
        whole = self.assign(f"[{', '.join(atoms)}]")
        if not all(map(self.sure, atoms)):
            whole = self.assign(f"[_i for _i in {whole} if _i is not None]")
        text = _joined(f"dict.fromkeys({whole})")
        if any(map(self.sure, atoms)):
            return Leaf("''", True, (variable(self.assign(text)),))
        atom = self.assign(f"{text} if {whole} else None")
        return Leaf(atom, False, (variable(atom),))

    def _one_more(self, before: list[str], atom: str) -> tuple[Piece, ...]:
        """One more text of a list, unless it is there already."""
        tests = [] if self.sure(atom) else [f"{atom} is None"]
        different = self.unlike
        tests += [
            f"{atom} == {each}"
            for each in before
            if (atom, each) not in different and (each, atom) not in different
        ]
        pieces = (literal(',"'), *self.written(atom), literal('"'))
        if not tests:
            return pieces
        return (variable(self.assign(f"'' if {' or '.join(tests)} else {source(pieces)}")),)

    def _collection(self, expr: Expr) -> Leaf | None:
        """Objects with a name, a type and a text each."""
        rows = []
        for path, id_, caption, item in expr[1]:
            atom = self.value(item)
            if atom == "None":
                continue
            start = json({"name": path, "type": caption, "type_id": id_, "value": ""})[:-2]
            type_ = kind(item, self.types, self.lookups)
            if type_ in (*_TEXTUAL, "int", None) and (self.clean or type_ == "int"):
                value = self.written(atom)
            else:
                value = (variable(f"{self._guarded(atom, f'_json(_text({atom}))')[0][1]}[1:-1]"),)
            rows.append((atom, (literal(start), *value, literal('"}'))))
        first = next((at for at, (atom, _) in enumerate(rows) if self.sure(atom)), len(rows))
        pieces = [literal("[")]
        for at, (atom, row) in enumerate(rows):
            before, after = ("", ",") if at < first else ("," if at > first else "", "")
            whole = (literal(before), *row, literal(after))
            sure = self.sure(atom)
            pieces += whole if sure else self._guarded_row(atom, whole)
        if first < len(rows):
            return Leaf("''", True, (*pieces, literal("]")))
        return self._loose(pieces[1:]) if rows else None

    def _guarded_row(self, atom: str, whole: Iterable[Piece]) -> list[Piece]:
        return [variable(self.assign(f"'' if {atom} is None else {source(whole)}"))]

    def _loose(self, pieces: list[Piece]) -> Leaf:
        """Rows each with a comma after it, of which there may be none."""
        inner = self.assign(source(pieces))
        atom = self.assign(f"'[' f'{{{inner}[:-1]}}' ']' if {inner} else None")
        return Leaf(atom, False, (variable(atom),))


def _unless_none(atom: str, text: str) -> str:
    return f"None if {atom} is None else {text}"


def _joined(texts: str) -> str:
    return f"""'["' + '","'.join({texts}) + '"]'"""


def is_spotless(exprs: Iterable[Expr], lookups: Lookups) -> bool:
    """Whether no constant of expressions, nor of the tables they look up, needs an escape."""
    return all(_is_spotless(expr, lookups) for expr in exprs)


def _is_spotless(expr: Expr, lookups: Lookups) -> bool:
    if expr[0] == "ref":
        return True
    if expr[0] == "const" and not isinstance(expr[1], tuple):
        return not isinstance(expr[1], str) or is_clean(expr[1])
    held: list[Any] = [expr[1]] if expr[0] == "const" else []
    if expr[0] == "template":
        held = [part for part in _flat(expr[1]) if isinstance(part, str)]
    if expr[0] == "join":
        held = [expr[2]]
    if expr[0] == "table" and expr[2] in lookups:
        table = lookups[expr[2]]
        held = [row.get(expr[3]) for row in (*table.rows.values(), table.default)]
    texts = [each for each in _flat(held) if isinstance(each, str)]
    return all(map(is_clean, texts)) and all(_is_spotless(each, lookups) for each in children(expr))


def _flat(held: Iterable[Any]) -> Iterable[Any]:
    for each in held:
        if isinstance(each, (list, tuple)):
            yield from _flat(each)
        else:
            yield each
