"""The interpreter of expressions: one value from an expression and the fields it reads.

This is the reference. The compiled fast path and every generated rule are held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from datto_siem.converters import operators
from datto_siem.converters.tables.model import Lookup

if TYPE_CHECKING:
    from datto_siem.converters.tables.expression import Expr

Lookups = Mapping[str, Lookup]


def evaluate(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    """Work out one expression.

    Args:
        expr: An expression of `tables.expression`, or one the plan compiler made.
        values: Field name -> value in memory form; absent fields are missing or None.
        lookups: The named tables.

    Returns:
        The value, or None when it is absent. Lists are fresh on every call.
    """
    op = expr[0]
    single = operators.SINGLE.get(op)
    if single is not None:
        value = evaluate(expr[1], values, lookups)
        return None if value is None else single(value)
    return _OPS[op](expr, values, lookups)


def _const(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    return list(expr[1]) if isinstance(expr[1], tuple) else expr[1]


def _ref(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    return values.get(expr[1])


def _first(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    for item in expr[1]:
        value = evaluate(item, values, lookups)
        if value is not None:
            return value
    return None


def _if(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    present = evaluate(expr[1], values, lookups) is not None
    return evaluate(expr[2] if present else expr[3], values, lookups)


def _lookup(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    subject = evaluate(expr[1], values, lookups)
    if subject is not None:
        key = operators.fold(subject)
        for name, row in expr[2]:
            if name == key:
                return evaluate(row, values, lookups)
    return evaluate(expr[3], values, lookups)


def _table(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    _, subject_expr, name, column, other = expr
    subject = evaluate(subject_expr, values, lookups)
    if subject is not None:
        table = lookups[name]
        value = table.rows.get(operators.fold(subject), {}).get(column)
        if value is None:
            value = table.default.get(column)
        if value is not None:
            return list(value) if isinstance(value, list) else value
    return evaluate(other, values, lookups)


def _template(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    return _fill(expr[1], values) or None


def _fill(parts: tuple[Any, ...], values: Mapping[str, Any]) -> str | None:
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif part[0] == "ref":
            value = values.get(part[1])
            if value is None:
                return None
            text += operators.text(value)
        else:
            text += _fill(part[1], values) or ""
    return text


def _list(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    return operators.distinct(evaluate(item, values, lookups) for item in expr[1])


def _join(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    return operators.join(evaluate(expr[1], values, lookups), expr[2])


def _minus(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    left = evaluate(expr[1], values, lookups)
    return operators.minus(left, evaluate(expr[2], values, lookups))


def _fmt(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    value = evaluate(expr[2], values, lookups)
    return None if value is None else operators.FORMATS[expr[1]](value)


def _community_id(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    return operators.community_id(*(evaluate(item, values, lookups) for item in expr[1]))


def _collect(expr: Expr, values: Mapping[str, Any], lookups: Lookups) -> Any:
    found = []
    for name, type_id, caption, item in expr[1]:
        value = evaluate(item, values, lookups)
        if value is not None:
            text = operators.text(value)
            found.append({"name": name, "type_id": type_id, "type": caption, "value": text})
    return found or None


_OPS: Mapping[str, Callable[[Expr, Mapping[str, Any], Lookups], Any]] = {
    "const": _const,
    "ref": _ref,
    "first": _first,
    "if": _if,
    "lookup": _lookup,
    "table": _table,
    "template": _template,
    "list": _list,
    "join": _join,
    "minus": _minus,
    "fmt": _fmt,
    "community_id": _community_id,
    "collect": _collect,
}
