"""Expressions of the plans as KQL: every operator of the tables, typed as its fields are.

A text, MAC or address is a string, '' when absent; a whole number or duration a long; a time a
datetime; a truth the text `true` or `false`; a list the text `;a;b` that `kql/casts.kql` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.operators import fold
from datto_siem.plugins.generators import _kql as kql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Expr = list[Any]

KINDS = {
    "text": "string",
    "mac": "string",
    "ip": "string",
    "int": "long",
    "duration": "long",
    "time": "datetime",
    "bool": "bool",
    "list": "list",
    "dict": "pairs",
    "float": "real",
}
NULLS = {
    "string": "''",
    "long": "long(null)",
    "datetime": "datetime(null)",
    "bool": "''",
    "list": "''",
    "pairs": "''",
    "real": "real(null)",
    "any": "''",
}
MOST_ARGUMENTS = 60
"""A function of many arguments, such as strcat, takes 64."""


class Code(NamedTuple):
    """A piece of a query and what it gives; `any` is the kind of what is always absent."""

    text: str
    kind: str


ABSENT = Code("''", "any")


def present(code: Code) -> str:
    """A condition: whether there is a value."""
    if code.kind == "any":
        return "false"
    if code.text.startswith("'"):
        return "false" if code.text == "''" else "true"
    if code.kind in ("long", "datetime", "real"):
        return "true" if code.text.isdigit() else f"isnotnull({code.text})"
    return f"{code.text} != ''"


def absent(code: Code) -> str:
    """A condition: whether there is none."""
    found = present(code)
    return {"true": "false", "false": "true"}.get(found) or f"not({found})"


def as_text(code: Code) -> str:
    """The value as text."""
    if code.kind == "any":
        return "''"
    return f"tostring({code.text})" if code.kind in ("long", "datetime", "real") else code.text


def typed(code: Code, kind: str) -> str:
    """The value as one of a kind that it may be."""
    if code.kind == "any" or code == ABSENT:
        return NULLS[kind]
    if code.kind != kind and kind == "string":
        return as_text(code)
    return code.text


def strcat(parts: list[str]) -> str:
    """Texts one after the other, however many."""
    while len(parts) > MOST_ARGUMENTS:
        parts = [
            f"strcat({', '.join(parts[at : at + MOST_ARGUMENTS])})"
            for at in range(0, len(parts), MOST_ARGUMENTS)
        ]
    return f"strcat({', '.join(parts)})" if len(parts) > 1 else (parts or ["''"])[0]


class Compiler:
    """Writes expressions of one event.

    Args:
        refs: Field -> the code that holds it; a field without one is always absent.
        lookups: The named tables, as `portable` gives them.
    """

    def __init__(self, refs: Mapping[str, Code], lookups: Mapping[str, Any]) -> None:
        """Keep what names mean."""
        self.refs = refs
        self.lookups = lookups

    def code(self, expr: Expr) -> Code:
        """One expression."""
        single = _SINGLE.get(expr[0])
        if single is None:
            return _OPERATORS[expr[0]](self, expr)
        inner = self.code(expr[1])
        return inner if inner.kind == "any" else single(inner)

    def unified(self, exprs: list[Expr]) -> tuple[list[Code], str]:
        """Alternatives, and the one kind they all are."""
        codes = [self.code(expr) for expr in exprs]
        kinds = {code.kind for code in codes} - {"any"}
        kind = "any" if not kinds else kinds.pop() if len(kinds) == 1 else "string"
        return [Code(typed(code, kind), code.kind) for code in codes], kind


def _const(compiler: Compiler, expr: Expr) -> Code:
    value = expr[1]
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return Code("'true'" if value else "'false'", "bool")
    if isinstance(value, int):
        return Code(kql.number(value), "long")
    if isinstance(value, float):
        return Code(f"real({value!r})", "real")
    if isinstance(value, list):
        items = "".join(";" + str(item).replace(";", "%3B") for item in value)
        return Code(kql.text(items), "list")
    return Code(kql.text(value), "string")


def _ref(compiler: Compiler, expr: Expr) -> Code:
    return compiler.refs.get(expr[1], ABSENT)


def _first(compiler: Compiler, expr: Expr) -> Code:
    codes, kind = compiler.unified(expr[1])
    kept: list[Code] = []
    for code in codes:
        if present(code) != "false":
            kept.append(code)
        if present(code) == "true":
            break
    if not kept:
        return ABSENT
    if len(kept) == 1:
        return Code(kept[0].text, kind)
    return Code(f"coalesce({', '.join(code.text for code in kept)})", kind)


def _if(compiler: Compiler, expr: Expr) -> Code:
    condition = present(compiler.code(expr[1]))
    (then, other), kind = compiler.unified([expr[2], expr[3]])
    if condition in ("true", "false"):
        return compiler.code(expr[2] if condition == "true" else expr[3])
    return Code(f"iff({condition}, {then.text}, {other.text})", kind)


def _lookup(compiler: Compiler, expr: Expr) -> Code:
    rows = [(name, row) for name, row in expr[2]]
    return _chosen(compiler, expr[1], rows, expr[3], expr[3])


def _table(compiler: Compiler, expr: Expr) -> Code:
    _, subject, name, column, other = expr
    table = compiler.lookups[name]
    rows = [
        (key, ["const", row[column]])
        for key, row in table["rows"].items()
        if row.get(column) is not None
    ]
    default = table["default"].get(column)
    unlisted = other if default is None else ["const", default]
    return _chosen(compiler, subject, rows, unlisted, other)


def _chosen(
    compiler: Compiler, subject: Expr, rows: list[tuple[str, Expr]], unlisted: Expr, other: Expr
) -> Code:
    """A value by key: `unlisted` for a key without one, `other` where there is no key."""
    key = compiler.code(subject)
    if key.kind == "any":
        return compiler.code(other)
    codes, kind = compiler.unified([*(row for _, row in rows), unlisted, other])
    by_value: dict[str, list[str]] = {}
    for (name, _), code in zip(rows, codes, strict=False):
        by_value.setdefault(code.text, []).append(fold(name))
    branches = [
        f"{test}, {value}"
        for value, names in by_value.items()
        if value != codes[-2].text and (test := _among(key, names))
    ]
    if codes[-1].text != codes[-2].text:
        branches.insert(0, f"{absent(key)}, {codes[-1].text}")
    if not branches:
        return Code(codes[-2].text, kind)
    return Code(f"case({', '.join(branches)}, {codes[-2].text})", kind)


def _among(key: Code, names: list[str]) -> str:
    """A condition: a key is one of these, whatever its case; '' when it cannot be."""
    if key.kind == "long":
        numbers = [name for name in names if name.removeprefix("-").isdigit()]
        listed = ", ".join(kql.number(int(name)) for name in numbers)
        return "" if not numbers else f"{key.text} in ({listed})"
    if len(names) == 1:
        return f"{as_text(key)} =~ {kql.text(names[0])}"
    return f"{as_text(key)} in~ {kql.texts(names)}"


def _template(compiler: Compiler, expr: Expr) -> Code:
    return Code(_filled(compiler, expr[1]), "string")


def _filled(compiler: Compiler, parts: list[Any]) -> str:
    conditions, texts = [], []
    for part in parts:
        if isinstance(part, str):
            texts.append(kql.text(part))
        elif part[0] == "ref":
            code = compiler.code(part)
            conditions.append(present(code))
            texts.append(as_text(code))
        else:
            texts.append(_filled(compiler, part[1]))
    whole = strcat(texts)
    return f"iff({' and '.join(conditions)}, {whole}, '')" if conditions else whole


def _list(compiler: Compiler, expr: Expr) -> Code:
    made = "''"
    for item in expr[1]:
        code = compiler.code(item)
        if code.kind == "list":
            made = code.text if made == "''" else f"strcat({made}, {code.text})"
        elif code.kind != "any":
            made = f"add_({made}, {as_text(code)})"
    return Code(made, "list")


def _join(compiler: Compiler, expr: Expr) -> Code:
    code = compiler.code(expr[1])
    if code.kind != "list":
        return Code(as_text(code), "string") if code.kind != "any" else code
    return Code(f"join_({code.text}, {kql.text(expr[2])})", "string")


def _minus(compiler: Compiler, expr: Expr) -> Code:
    left, right = compiler.code(expr[1]), compiler.code(expr[2])
    if "any" in (left.kind, right.kind):
        return ABSENT
    if left.kind == "datetime" and right.kind == "datetime":
        return Code(
            f"iff({left.text} >= {right.text},"
            f" datetime_diff('millisecond', {left.text}, {right.text}), long(null))",
            "long",
        )
    if left.kind == "datetime":
        days = f"toint(0 - ({right.text} - {right.text} % 86400000) / 86400000)"
        rest = f"toint(0 - {right.text} % 86400000)"
        return Code(
            f"datetime_add('day', {days}, datetime_add('millisecond', {rest}, {left.text}))",
            "datetime",
        )
    return Code(f"iff({left.text} >= {right.text}, {left.text} - {right.text}, long(null))", "long")


def _fmt(compiler: Compiler, expr: Expr) -> Code:
    return compiler.code(expr[2])  # the target writes them as KQL keeps them


def _unsupported(compiler: Compiler, expr: Expr) -> Code:
    return ABSENT


_OPERATORS: Mapping[str, Callable[[Compiler, Any], Code]] = {
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
    "community_id": _unsupported,  # SHA-1 of packed bytes: KQL has no bytes
    "collect": _unsupported,  # OCSF only
}


def _call(function: str, kind: str = "string") -> Callable[[Code], Code]:
    return lambda code: Code(f"{function}({as_text(code)})", kind)


def _same(code: Code) -> Code:
    return code


def _head(code: Code) -> Code:
    return Code(f"head_({code.text})", "string") if code.kind == "list" else code


_SINGLE: Mapping[str, Callable[[Code], Code]] = {
    "lower": _call("tolower"),
    "upper": _call("toupper"),
    "slug": _call("slug_"),
    "ip": _call("ip_"),
    "mac": _call("mac_"),
    "label": _call("label_"),
    "fqdn": _call("fqdn_"),
    "scope": _call("scope_"),
    "local_mac": _call("local_", "bool"),
    "ipver": lambda code: Code(
        f"case({code.text} == '', '', {code.text} matches regex ':', 'ipv6', 'ipv4')", "string"
    ),
    "seconds": lambda code: Code(f"({code.text} - {code.text} % 1000) / 1000", "long"),
    "head": _head,
    "other": _same,
    "text": lambda code: Code(as_text(code), "string"),
}
