"""The type of an expression, and how typed leaves are written in a target.

`write` puts `fmt` on MAC, time and duration leaves, and `text` on integer leaves that go into a
text column. A leaf is where a value comes from: both branches of a choice, every row of a lookup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.tables.expression import Expr, rebuild

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datto_siem.converters.evaluate import Lookups

OPERATOR_TYPES: Mapping[str, str] = {
    "template": "text",
    "slug": "text",
    "join": "text",
    "text": "text",
    "lower": "text",
    "upper": "text",
    "label": "text",
    "fqdn": "text",
    "ipver": "text",
    "scope": "text",
    "ip": "ip",
    "mac": "mac",
    "seconds": "int",
    "local_mac": "bool",
    "list": "list",
    "collect": "list",
    "community_id": "text",
    "head": "text",
}


def kind(expr: Expr, types: Mapping[str, str], lookups: Lookups) -> str | None:
    """The type of an expression, `any` when its branches differ, None when it is absent."""
    if expr[0] in ("ref", "const"):
        return _leaf(expr, types, lookups)
    found = kinds(expr, types, lookups)
    if len(found) > 1:
        return "any"
    return next(iter(found), None)


def kinds(expr: Expr, types: Mapping[str, str], lookups: Lookups) -> frozenset[str]:
    """The types of an expression's branches; none when it is absent."""
    op = expr[0]
    if op == "first":
        return _all(expr[1], types, lookups)
    if op == "if":
        return _all(expr[2:4], types, lookups)
    if op == "lookup":
        return _all([*(row for _, row in expr[2]), expr[3]], types, lookups)
    if op == "table":
        column = lookups[expr[2]].columns.get(expr[3], "text") if expr[2] in lookups else "text"
        return kinds(expr[4], types, lookups) | {column}
    if op == "other":
        return kinds(expr[1], types, lookups)
    leaf = _leaf(expr, types, lookups)
    return frozenset() if leaf is None else frozenset({leaf})


def _all(exprs: Iterable[Expr], types: Mapping[str, str], lookups: Lookups) -> frozenset[str]:
    return frozenset().union(*(kinds(each, types, lookups) for each in exprs))


def _leaf(expr: Expr, types: Mapping[str, str], lookups: Lookups) -> str | None:
    op = expr[0]
    if op == "const":
        return _constant(expr[1])
    if op == "ref":
        return types.get(expr[1], "text")
    if op == "minus":
        right = kind(expr[2], types, lookups)
        return "time" if right == "duration" else "duration"
    if op == "fmt":
        return "int" if expr[1][1] in ("milliseconds", "nanoseconds", "seconds") else "text"
    return OPERATOR_TYPES[op]


def _constant(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "list" if isinstance(value, (tuple, list)) else "text"


class Writer:
    """Writes typed leaves in one target's style."""

    def __init__(
        self, formats: Mapping[str, str], types: Mapping[str, str], lookups: Lookups
    ) -> None:
        """`formats` is the target's: type -> style."""
        self._formats = formats
        self._types = types
        self._lookups = lookups

    def write(self, expr: Expr, into_text: bool) -> Expr:
        """The expression with its leaves in written form."""
        op = expr[0]
        if op in ("first", "list"):
            return rebuild(expr, lambda item: self.write(item, into_text))
        if op == "if":
            return (op, expr[1], self.write(expr[2], into_text), self.write(expr[3], into_text))
        if op == "lookup":
            rows = tuple((key, self.write(row, into_text)) for key, row in expr[2])
            return (op, expr[1], rows, self.write(expr[3], into_text))
        if op == "collect":
            return rebuild(expr, lambda item: self.write(item, True))
        type_ = kind(expr, self._types, self._lookups)
        style = self._formats.get(type_ or "")
        if style is not None:
            return ("fmt", (type_, style), expr)
        if into_text and type_ == "int":
            return ("const", str(expr[1])) if op == "const" else ("text", expr)
        return expr
