"""The type of an expression, and how typed leaves are written in a target.

`write` puts `fmt` on MAC, time and duration leaves, and `text` on integer leaves that go into a
text column. A leaf is where a value comes from: both branches of a choice, every row of a lookup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.tables.expression import Expr, rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    op = expr[0]
    if op == "const":
        return _constant(expr[1])
    if op == "ref":
        return types.get(expr[1], "text")
    if op == "first":
        return _common(kind(item, types, lookups) for item in expr[1])
    if op == "if":
        return _common(kind(item, types, lookups) for item in expr[2:4])
    if op == "lookup":
        rows = [kind(row, types, lookups) for _, row in expr[2]]
        return _common([*rows, kind(expr[3], types, lookups)])
    if op == "table":
        column = lookups[expr[2]].columns.get(expr[3], "text") if expr[2] in lookups else "text"
        return _common([column, kind(expr[4], types, lookups)])
    if op == "minus":
        right = kind(expr[2], types, lookups)
        return "time" if right == "duration" else "duration"
    if op == "other":
        return kind(expr[1], types, lookups)
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


def _common(found: object) -> str | None:
    kinds = {each for each in found if each is not None}  # type: ignore[attr-defined]
    if not kinds:
        return None
    return kinds.pop() if len(kinds) == 1 else "any"


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
