"""Fold an expression for one event: constants, fields it can never have, dead branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import operators
from datto_siem.converters.evaluate import Lookups, evaluate
from datto_siem.converters.tables.expression import ABSENT, Expr, rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping


class Simplifier:
    """Simplifies expressions for one event.

    Args:
        constants: Fields with one value for every record of the event.
        present: Fields the event may have, beside the constants.
        sure: Those of them that it always has.
        lookups: The named tables.
    """

    def __init__(
        self,
        constants: Mapping[str, Any],
        present: frozenset[str],
        sure: frozenset[str],
        lookups: Lookups,
    ) -> None:
        """Keep the facts; `define` adds derived fields as they are simplified."""
        self.constants = dict(constants)
        self.present = set(present)
        self.certain = set(sure)
        self.lookups = lookups

    def define(self, name: str, expr: Expr) -> None:
        """Record what a derived field is, so that later rows can be folded by it."""
        if expr[0] == "const":
            if expr[1] is not None:
                self.constants[name] = expr[1]
            return
        self.present.add(name)
        if self.sure(expr):
            self.certain.add(name)

    def sure(self, expr: Expr) -> bool:
        """Whether an expression always has a value."""
        op = expr[0]
        if op == "const":
            return expr[1] is not None
        if op == "ref":
            return expr[1] in self.certain
        if op == "first":
            return any(self.sure(item) for item in expr[1])
        if op == "list":
            return any(self.sure(item) for item in expr[1])
        if op == "if":
            return self.sure(expr[2]) and self.sure(expr[3])
        if op == "lookup":
            return self.sure(expr[3]) and all(self.sure(row) for _, row in expr[2])
        if op == "table":
            return self.sure(expr[4])
        if op == "template":
            return self._filled(expr[1])
        if op in ("lower", "upper", "other", "text", "local_mac", "ipver", "seconds"):
            return self.sure(expr[1])
        return op == "fmt" and self.sure(expr[2])

    def _filled(self, parts: tuple[Any, ...]) -> bool:
        has_text = any(isinstance(part, str) for part in parts)
        refs = [part for part in parts if isinstance(part, tuple) and part[0] == "ref"]
        return all(ref[1] in self.certain for ref in refs) and bool(has_text or refs)

    def __call__(self, expr: Expr) -> Expr:
        """The folded expression."""
        op = expr[0]
        if op == "const":
            return expr
        if op == "ref":
            return self._ref(expr)
        if op == "template":
            return self._template(expr)
        expr = rebuild(expr, self)
        if op == "first":
            return self._first(expr)
        if op == "if":
            return self._if(expr)
        if op in ("lookup", "table"):
            return self._lookup(expr)
        if op == "list":
            return self._list(expr)
        if op == "collect":
            kept = tuple(row for row in expr[1] if row[-1] != ABSENT)
            return (op, kept) if kept else ABSENT
        if op == "community_id":
            return ABSENT if ABSENT in expr[1] else expr
        if op == "minus":
            return ABSENT if ABSENT in expr[1:3] else expr
        if op == "fmt":
            return self._operand(expr, expr[2])
        return self._operand(expr, expr[1])

    def _operand(self, expr: Expr, inner: Expr) -> Expr:
        """An operator of one value: absent of absent, a constant of a constant."""
        if inner == ABSENT:
            return ABSENT
        if inner[0] != "const" or expr[0] == "other":
            return expr
        return _constant(evaluate(expr, {}, self.lookups))

    def _ref(self, expr: Expr) -> Expr:
        name = expr[1]
        if name in self.constants:
            return ("const", self.constants[name])
        return expr if name in self.present else ABSENT

    def _template(self, expr: Expr) -> Expr:
        parts = self._parts(expr[1])
        if parts is None:
            return ABSENT
        if all(isinstance(part, str) for part in parts):
            return ("const", "".join(parts) or None)
        return ("template", parts)

    def _parts(self, parts: tuple[Any, ...]) -> tuple[Any, ...] | None:
        kept: list[Any] = []
        for part in parts:
            if isinstance(part, str):
                new: Any = part
            elif part[0] == "opt":
                inner = self._parts(part[1])
                if inner is None:
                    continue
                whole = all(isinstance(each, str) for each in inner)
                new = "".join(inner) if whole else ("opt", inner)
            else:
                ref = self._ref(part)
                if ref == ABSENT:
                    return None
                new = operators.text(ref[1]) if ref[0] == "const" else ref
            if isinstance(new, str) and kept and isinstance(kept[-1], str):
                kept[-1] += new
            else:
                kept.append(new)
        return tuple(kept)

    def _first(self, expr: Expr) -> Expr:
        kept: list[Expr] = []
        for item in expr[1]:
            if item == ABSENT:
                continue
            kept.append(item)
            if self.sure(item):
                break
        if not kept:
            return ABSENT
        return kept[0] if len(kept) == 1 else ("first", tuple(kept))

    def _if(self, expr: Expr) -> Expr:
        subject: Expr = expr[1]
        then: Expr = expr[2]
        other: Expr = expr[3]
        if then == other:
            return then
        if subject == ABSENT:
            return other
        return then if self.sure(subject) else expr

    def _lookup(self, expr: Expr) -> Expr:
        subject: Expr = expr[1]
        other: Expr = expr[-1]
        if subject == ABSENT:
            return other
        if subject[0] != "const":
            return expr
        if expr[0] == "table":
            value = evaluate((*expr[:4], ABSENT), {}, self.lookups)
            return other if value is None else _constant(value)
        key = operators.fold(subject[1])
        return next((row for name, row in expr[2] if name == key), other)

    def _list(self, expr: Expr) -> Expr:
        kept = tuple(item for item in expr[1] if item != ABSENT)
        if not kept:
            return ABSENT
        if all(item[0] == "const" for item in kept):
            return _constant(operators.distinct(item[1] for item in kept))
        return ("list", kept)


def _constant(value: Any) -> Expr:
    return ("const", tuple(value) if isinstance(value, list) else value)
