"""The closed expression language of the tables, as tuples.

A string is itself, except: `$name` (the whole string) is the field; `${name}` inside makes a
template; `[..]` in a template is left out when a field in it is absent; `$$` is a dollar. A
mapping is one operator of the list below; a list is the distinct present values in order. Absent
(None) is the only failure: no operator raises. There is no code, no regular expression and no
evaluation of text, so every expression can be written out in any language.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from datto_siem.converters.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datto_siem.converters.tables.nodes import Node

Expr: TypeAlias = tuple[Any, ...]

_FIELD = re.compile(r"\$([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)")
_HOLE = re.compile(r"\$\$|\$\{([^}]*)\}|\[|\]")
ABSENT: Expr = ("const", None)

# operator -> the settings it takes beside its own name
SINGLE = frozenset(
    [
        "lower",
        "upper",
        "slug",
        "ip",
        "mac",
        "label",
        "fqdn",
        "ipver",
        "scope",
        "seconds",
        "head",
        "other",
        "local_mac",
    ]
)
SETTINGS: Mapping[str, frozenset[str]] = {
    **{name: frozenset() for name in SINGLE},
    "first": frozenset(),
    "minus": frozenset(),
    "lookup": frozenset({"in", "get", "else"}),
    "if": frozenset({"then", "else"}),
    "unless": frozenset({"then", "else"}),
    "join": frozenset({"with"}),
    "community_id": frozenset(),
}
COMMUNITY = ("source", "source_port", "destination", "destination_port", "protocol")


def parse(node: Node, faults: list[TableError]) -> Expr:
    """One expression from its node.

    Args:
        node: A scalar, a list, or a mapping that is one operator.
        faults: Receives unknown operators and settings.

    Returns:
        A tuple whose first item names the operator; faulty parts become the absent constant.
    """
    if node.parsed is None:
        before = len(faults)
        expr = _parse(node, faults)
        if len(faults) > before:
            return expr
        node.parsed = expr
    return node.parsed


def _parse(node: Node, faults: list[TableError]) -> Expr:
    if isinstance(node.value, str):
        return _text(node.value, node.where, faults)
    if isinstance(node.value, list):
        items = tuple(parse(item, faults) for item in node.value)
        if all(item[0] == "const" and item[1] is not None for item in items):
            return ("const", tuple(dict.fromkeys(item[1] for item in items)))
        return ("list", items)
    if isinstance(node.value, dict):
        return _operator(node, faults)
    return ("const", node.value)


def _text(text: str, where: str, faults: list[TableError]) -> Expr:
    whole = _FIELD.fullmatch(text)
    if whole is not None:
        return ("ref", whole[1])
    if "${" not in text:
        return ("const", text.replace("$$", "$"))
    parts: list[Any] = []
    stack = [parts]
    last = 0
    for match in _HOLE.finditer(text):
        _literal(stack[-1], text[last : match.start()])
        last = match.end()
        if match[0] == "$$":
            _literal(stack[-1], "$")
        elif match[0] == "[":
            stack.append([])
        elif match[0] == "]":
            if len(stack) == 1:
                faults.append(TableError(where, "']' without '[' in a template"))
                continue
            inner = stack.pop()
            stack[-1].append(("opt", tuple(inner)))
        else:
            stack[-1].append(("ref", match[1]))
    if len(stack) > 1:
        faults.append(TableError(where, "'[' without ']' in a template"))
    _literal(parts, text[last:])
    return ("template", tuple(parts))


def _literal(parts: list[Any], text: str) -> None:
    if not text:
        return
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _operator(node: Node, faults: list[TableError]) -> Expr:
    rows = node.map()
    named = [name for name in rows if name in SETTINGS]
    if len(named) != 1:
        problem = f"expected one operator, found {', '.join(rows) or 'nothing'}"
        faults.append(
            TableError(node.where, f"{problem}; operators: {', '.join(sorted(SETTINGS))}")
        )
        return ABSENT
    name = named[0]
    faults.extend(
        TableError(row.where, f"{name!r} takes no {extra!r}")
        for extra, row in rows.items()
        if extra != name and extra not in SETTINGS[name]
    )
    return _BUILD.get(name, _single)(name, rows, faults)


def _single(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    return (name, parse(rows[name], faults))


def _first(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    return (name, tuple(parse(item, faults) for item in rows[name].list()))


def _minus(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    items = [parse(item, faults) for item in rows[name].list()]
    if len(items) != 2:
        faults.append(TableError(rows[name].where, "'minus' takes two values"))
        return ABSENT
    return (name, items[0], items[1])


def _choice(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    then = parse(rows["then"], faults) if "then" in rows else ABSENT
    other = parse(rows["else"], faults) if "else" in rows else ABSENT
    subject = parse(rows[name], faults)
    return ("if", subject, then, other) if name == "if" else ("if", subject, other, then)


def _lookup(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    other = parse(rows["else"], faults) if "else" in rows else ABSENT
    subject = parse(rows[name], faults)
    where = rows[name].where
    if "in" not in rows:
        faults.append(TableError(where, "'lookup' needs 'in'"))
        return ABSENT
    table = rows["in"]
    if table.is_map:
        if "get" in rows:
            faults.append(TableError(where, "'get' is for a named table"))
        inline = tuple((key.lower(), parse(row, faults)) for key, row in table.map().items())
        return ("lookup", subject, inline, other)
    if "get" not in rows:
        faults.append(TableError(where, "a lookup in a named table needs 'get'"))
    return ("table", subject, table.text(), rows["get"].text() if "get" in rows else "", other)


def _join(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    return (name, parse(rows[name], faults), rows["with"].text() if "with" in rows else ", ")


def _community(name: str, rows: Mapping[str, Node], faults: list[TableError]) -> Expr:
    given = rows[name].map()
    if set(given) != set(COMMUNITY):
        faults.append(TableError(rows[name].where, f"'community_id' takes {', '.join(COMMUNITY)}"))
        return ABSENT
    return (name, tuple(parse(given[part], faults) for part in COMMUNITY))


_BUILD: Mapping[str, Callable[[str, Mapping[str, Node], list[TableError]], Expr]] = {
    "first": _first,
    "minus": _minus,
    "if": _choice,
    "unless": _choice,
    "lookup": _lookup,
    "join": _join,
    "community_id": _community,
}


def children(expr: Expr) -> Iterator[Expr]:
    """The expressions directly inside one, in reading order."""
    op = expr[0]
    if op in ("first", "list", "community_id"):
        yield from expr[1]
    elif op == "if":
        yield from expr[1:4]
    elif op == "lookup":
        yield expr[1]
        yield from (value for _, value in expr[2])
        yield expr[3]
    elif op == "table":
        yield expr[1]
        yield expr[4]
    elif op == "minus":
        yield from expr[1:3]
    elif op == "fmt":
        yield expr[2]
    elif op == "template":
        yield from _holes(expr[1])
    elif op == "collect":
        yield from (value for *_, value in expr[1])
    elif op not in ("const", "ref"):
        yield expr[1]


def _holes(parts: tuple[Any, ...]) -> Iterator[Expr]:
    for part in parts:
        if isinstance(part, tuple) and part[0] == "ref":
            yield part
        elif isinstance(part, tuple):
            yield from _holes(part[1])


def names(expr: Expr) -> Iterator[str]:
    """Every field an expression reads."""
    if expr[0] == "ref":
        yield expr[1]
    for child in children(expr):
        yield from names(child)


def rebuild(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The same expression with every direct child replaced by `change(child)`."""
    op = expr[0]
    if op in ("first", "list", "community_id"):
        return (op, tuple(change(item) for item in expr[1]))
    if op == "if":
        return (op, *(change(item) for item in expr[1:4]))
    if op == "lookup":
        rows = tuple((key, change(value)) for key, value in expr[2])
        return (op, change(expr[1]), rows, change(expr[3]))
    if op == "table":
        return (op, change(expr[1]), expr[2], expr[3], change(expr[4]))
    if op == "minus":
        return (op, change(expr[1]), change(expr[2]))
    if op == "fmt":
        return (op, expr[1], change(expr[2]))
    if op == "join":
        return (op, change(expr[1]), expr[2])
    if op == "collect":
        return (op, tuple((*head, change(value)) for *head, value in expr[1]))
    if op in ("const", "ref", "template"):
        return expr
    return (op, change(expr[1]))
