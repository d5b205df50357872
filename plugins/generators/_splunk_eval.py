"""Expressions of the plan in Splunk's eval language.

Absent is null, which spreads through `.` and functions by itself. Fields come from whoever made
the scope (`_splunk_fields`); what eval cannot say is null too, and listed in the differences.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from datto_siem.converters.operators import PRIVATE_4
from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._splunk_types import IP4, MAC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Expr = list[Any]
NULL = _spl.NULL
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?"
_IS_LABEL = rf"^{_LABEL}\z"
_IS_NAME = rf"^(?!{IP4}\z)(?=.{{1,253}}\z){_LABEL}(?:[.]{_LABEL})+\z"
_IS_MAC = rf"^{MAC}\z"
ADDRESS = rf"^(?:{IP4}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)\z"
"""An address: IPv6 only by its characters, which is enough where Splunk or a cast read it."""
_MOST_INLINE = 20


def when(condition: str, then: str, other: str = NULL) -> str:
    """A choice."""
    return f"if({condition},{then},{other})"


def present(value: str) -> str:
    """Whether a value is there."""
    return f"isnotnull({_origin(value)})"


def absent(value: str) -> str:
    """Whether it is not."""
    return f"isnull({_origin(value)})"


_WRAPPED = re.compile(r"(?:lower|upper|rtrim|replace)\(")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _origin(value: str) -> str:
    """What a value is made of by functions that give null for null alone."""
    match = _WRAPPED.match(value)
    while match is not None:
        bare = _STRING.sub(lambda text: "_" * len(text[0]), value)
        depth, end = 0, -1
        for at in range(match.end() - 1, len(bare)):
            depth += {"(": 1, ")": -1}.get(bare[at], 0)
            if end < 0 and (depth == 0 or (depth == 1 and bare[at] == ",")):
                end = at
            if depth == 0:
                break
        if at != len(bare) - 1:  # the function is a part of the value only
            return value
        value = value[match.end() : end]
        match = _WRAPPED.match(value)
    return value


def either(conditions: Sequence[str]) -> str:
    """Whether any condition holds."""
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"


def among(value: str, texts: Sequence[str]) -> str:
    """Whether a value is one of some texts; a pattern, so that no digits are taken for numbers."""
    choice = "|".join(_spl.literal(text) for text in texts)
    whole = rf"^{choice}\z" if len(texts) == 1 else rf"^(?:{choice})\z"
    return _matches(value, whole)


def mac(wire: str) -> str:
    """A MAC address with colons, in the letters it was written in."""
    bare = f'replace({wire},"[^0-9A-Fa-f]","")'
    return f'replace({bare},"(..)(?=.)","\\1:")'


class Eval:
    """Writes expressions of one event.

    Args:
        field: Gives a field's value; `null()` where the event never has it.
        lookups: The named tables.
    """

    def __init__(
        self, field: Callable[[str], str], lookups: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """See the class."""
        self._field = field
        self._lookups = lookups
        self._ops: Mapping[str, Callable[[Expr], str]] = {
            "const": lambda expr: constant(expr[1]),
            "ref": lambda expr: self._field(expr[1]),
            "first": self._first,
            "if": self._if,
            "lookup": self._lookup,
            "table": self._table,
            "template": self._template,
            "list": self._list,
            "join": self._join,
            "minus": self._minus,
            "fmt": self._fmt,
            "community_id": lambda _: NULL,
        }

    def write(self, expr: Expr) -> str:
        """One expression.

        Raises:
            ValueError: An operator that eval has nothing for.
        """
        op = expr[0]
        if op in self._ops:
            return self._ops[op](expr)
        if op in _SINGLE:
            value = self.write(expr[1])
            return NULL if value == NULL else _SINGLE[op](value)
        raise ValueError(f"the add-on cannot write the operator {op!r}")

    def _first(self, expr: Expr) -> str:
        found = [value for value in dict.fromkeys(map(self.write, expr[1])) if value != NULL]
        return (
            NULL if not found else found[0] if len(found) == 1 else f"coalesce({','.join(found)})"
        )

    def _if(self, expr: Expr) -> str:
        condition, then, other = map(self.write, expr[1:4])
        if condition == NULL or then == other:
            return other
        if expr[1][0] == "const":
            return then
        return when(present(condition), then, other)

    def _cases(self, subject: str, rows: Mapping[str, str], other: str) -> str:
        """Rows of one result as one condition, results in order of the table."""
        groups: dict[str, list[str]] = {}
        folded = f"lower({subject})"
        for key, value in rows.items():  # a key that stands for itself needs no branch of its own
            groups.setdefault(folded if value == _spl.text(key) else value, []).append(key)
        if subject == NULL or not groups:
            return other
        if len(groups) == 1:
            value, keys = next(iter(groups.items()))
            return when(among(folded, keys), value, other)
        cases = ",".join(f"{among(folded, keys)},{value}" for value, keys in groups.items())
        return f"case({cases})" if other == NULL else f"case({cases},true(),{other})"

    def _lookup(self, expr: Expr) -> str:
        other = self.write(expr[3])
        if expr[1][0] == "const":
            key = str(expr[1][1]).lower()
            return next((self.write(row) for name, row in expr[2] if name == key), other)
        rows = {key: self.write(row) for key, row in expr[2]}
        return self._cases(self.write(expr[1]), rows, other)

    def _table(self, expr: Expr) -> str:
        _, subject_expr, name, column, other_expr = expr
        subject, table = self.write(subject_expr), self._lookups[name]
        other = self.write(other_expr)
        default = table["default"].get(column)
        unlisted = other if default is None else constant(default)
        rows = {
            key: constant(row[column])
            for key, row in table["rows"].items()
            if row.get(column) is not None
        }
        rows = {key: value for key, value in rows.items() if value != unlisted}
        found = self._cases(subject, rows, unlisted)
        return found if default is None else when(present(subject), found, other)

    def _template(self, expr: Expr) -> str:
        value, sure = self._fill(expr[1])
        return value if sure or value == NULL else when(f'{value}!=""', value)

    def _fill(self, parts: Sequence[Any]) -> tuple[str, bool]:
        """A text, and whether it is never empty."""
        found, sure = [], False
        for part in parts:
            if isinstance(part, str):
                found.append(_spl.text(part))
                sure = True
            elif part[0] == "ref":
                value = self._field(part[1])
                if value == NULL:
                    return NULL, False
                found.append(value)
                sure = True
            else:
                inner, _ = self._fill(part[1])
                if inner != NULL:
                    found.append(f'coalesce({inner},"")')
        return f"({' . '.join(found)})" if found else NULL, sure

    def _list(self, expr: Expr) -> str:
        found = [value for value in map(self.write, expr[1]) if value != NULL]
        return f"mvdedup(mvappend({','.join(found)}))" if found else NULL

    def _join(self, expr: Expr) -> str:
        value = self.write(expr[1])
        return NULL if value == NULL else f"mvjoin({value},{_spl.text(expr[2])})"

    def _minus(self, expr: Expr) -> str:
        left, right = self.write(expr[1]), self.write(expr[2])
        if NULL in (left, right):
            return NULL
        return when(f"{left}>={right}", f"{left}-{right}")

    def _fmt(self, expr: Expr) -> str:
        type_, style = expr[1]
        value = self.write(expr[2])
        if value == NULL:
            return NULL
        if type_ == "mac" and style == "lower-colon":
            start = "upper("
            return f"lower({value[len(start) :]}" if value.startswith(start) else f"lower({value})"
        if style in ("upper-colon", "milliseconds"):
            return value
        if type_ == "mac" and style == "upper-hyphen":
            return f'replace({value},":","-")'
        if style == "seconds":
            return f"({value})/1000"
        raise ValueError(f"the add-on cannot write the format {type_} {style}")


def constant(value: Any) -> str:
    """A value of a table."""
    if value is None:
        return NULL
    if isinstance(value, list):
        return f"mvappend({','.join(map(constant, value))})"
    if isinstance(value, bool):
        return _spl.text("true" if value else "false")
    return _spl.text(value) if isinstance(value, str) else _spl.text(json.dumps(value))


def _scope(value: str) -> str:
    four = either([f'cidrmatch("{block}",{value})' for block in PRIVATE_4])
    six = f'match({value},"^(?i:(?:0*:)+0*1$|fe[89ab][0-9a-f]:|f[cd][0-9a-f]{{2}}:)")'
    return when(either([six, four]), '"private"', '"public"')


def _matches(value: str, expression: str) -> str:
    return f"match({value},{_spl.pattern(expression)})"


def _kept(expression: str) -> Callable[[str], str]:
    return lambda value: when(_matches(value, expression), value)


_SINGLE: Mapping[str, Callable[[str], str]] = {
    "lower": lambda value: f"lower({value})",
    "upper": lambda value: f"upper({value})",
    "slug": lambda value: f'replace(replace(lower({value}),"[^a-z0-9]+","-"),"^-|-$","")',
    "ip": _kept(ADDRESS),
    "mac": lambda value: when(_matches(value, _IS_MAC), f"upper({mac(value)})"),
    "label": _kept(_IS_LABEL),
    "fqdn": _kept(_IS_NAME),
    "ipver": lambda value: when(present(value), when(f'match({value},":")', '"ipv6"', '"ipv4"')),
    "scope": lambda value: when(present(value), _scope(value)),
    "seconds": lambda value: f"floor(({value})/1000)",
    "head": lambda value: f"mvindex({value},0)",
    "other": lambda value: value,
    "local_mac": lambda value: when(
        present(value), when(f'match({value},"^.[2367ABEF]")', '"true"', '"false"')
    ),
    "text": lambda value: value,
}
