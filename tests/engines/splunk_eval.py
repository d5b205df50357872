"""Splunk's eval language, as far as the add-on uses it. What is not modelled raises."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pcre2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKENS = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|'(?P<quoted>[^']+)'|(?P<number>[0-9]+(?:\.[0-9]+)?)"""
    r"""|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>==|!=|<=|>=|[<>().,+*/%-]))"""
)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_LEVELS = (("OR",), ("AND",), ("==", "!=", "<", ">", "<=", ">="), ("+", "-", "."), ("*", "/", "%"))
_MOST_KNOWN = 512
Value = Any


def text(value: Value) -> str:
    """A value as Splunk shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else format(value, ".15g")
    return str(value)


def _regex(pattern: str) -> Any:
    if pattern not in _compiled:
        _compiled[pattern] = pcre2.compile("(*NO_JIT)" + pattern, jit=False)
    return _compiled[pattern]


_compiled: dict[str, Any] = {}


def _number(value: Value) -> float | int | None:
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value or len(value) > 15 else int(value)
    return None


def _compare(sign: str, left: Value, right: Value) -> bool | None:
    if left is None or right is None:
        return None
    assert not isinstance(left, list), "comparing several values is not modelled"
    assert not isinstance(right, list), "comparing several values is not modelled"
    if isinstance(left, str) and isinstance(right, str):
        if left != right and None not in (_number(left), _number(right)):
            assert _number(left) != _number(right), f"a number or a text? {left} {sign} {right}"
        assert sign in ("==", "!="), "texts are only compared for equality"
        return (left == right) == (sign == "==")
    one, two = _number(left), _number(right)
    assert None not in (one, two), f"not numbers: {left} {sign} {right}"
    return {
        "==": one == two,
        "!=": one != two,
        "<": one < two,
        ">": one > two,
        "<=": one <= two,
        ">=": one >= two,
    }[sign]


def _calculate(sign: str, left: Value, right: Value) -> Value:
    if left is None or right is None:
        return None
    if sign == ".":
        assert not isinstance(left, list)
        assert not isinstance(right, list)
        return text(left) + text(right)
    assert isinstance(left, (int, float)), f"{left!r} {sign}: make it a number first"
    assert isinstance(right, (int, float)), f"{sign} {right!r}: make it a number first"
    if sign == "/":
        return left / right
    if sign == "%":
        return math.fmod(left, right)
    return float({"+": left + right, "-": left - right, "*": left * right}[sign])


def _one(value: Value) -> str | None:
    assert not isinstance(value, list), "a text function on several values is not modelled"
    return None if value is None else text(value)


def _replace(value: Value, pattern: Value, new: Value) -> str | None:
    subject = _one(value)
    if subject is None or new is None:
        return None

    def expand(match: Any) -> str:
        return re.sub(r"\\([0-9])", lambda group: match.group(int(group[1])) or "", new)

    return str(_regex(pattern).sub(expand, subject))


def _match(value: Value, pattern: Value) -> bool | None:
    subject = _one(value)
    return None if subject is None else _regex(pattern).search(subject) is not None


def _several(value: Value) -> list[Value]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _plain(values: list[Value]) -> Value:
    return None if not values else values[0] if len(values) == 1 else values


def _cidr(block: Value, value: Value) -> bool | None:
    if value is None:
        return None
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(block)
    except ValueError:
        return False


def _index(value: Value, start: int) -> Value:
    found = _several(value)
    return found[int(start)] if int(start) < len(found) else None


def _strptime(value: Value, form: str) -> float | None:
    """A time with its zone; one without is taken in the searcher's, so there must be one."""
    assert form.endswith(" %z"), "a time without a zone depends on who searches"
    try:
        return datetime.strptime(value, form).timestamp()  # noqa: DTZ007  the form has a zone
    except ValueError:
        return None


def _nullable(function: Callable[..., Value]) -> Callable[..., Value]:
    return lambda *values: None if values[0] is None else function(*values)


_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "true": lambda: True,
    "null": lambda: None,
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
    "lower": _nullable(lambda value: (_one(value) or "").lower()),
    "upper": _nullable(lambda value: (_one(value) or "").upper()),
    "rtrim": _nullable(lambda value: (_one(value) or "").rstrip(" \t")),
    "len": _nullable(lambda value: len(_one(value) or "")),
    "substr": _nullable(
        lambda value, start, count: (_one(value) or "")[
            int(start) - 1 : int(start) - 1 + int(count)
        ]
    ),
    "replace": _replace,
    "match": _match,
    "tonumber": _number,
    "floor": _nullable(lambda value: float(math.floor(value))),
    "round": _nullable(lambda value, digits: round(value, int(digits))),
    "mvappend": lambda *values: _plain([item for value in values for item in _several(value)]),
    "mvdedup": lambda value: _plain(list(dict.fromkeys(_several(value)))),
    "mvindex": _index,
    "mvjoin": lambda value, between: (
        between.join(map(text, _several(value))) if value is not None else None
    ),
    "split": _nullable(lambda value, between: value.split(between)),
    "urldecode": _nullable(unquote),
    "cidrmatch": _cidr,
    "strptime": _nullable(_strptime),
}


class Program:
    """One expression, parsed once."""

    def __init__(self, source: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while source[at:].strip():
            match = _TOKENS.match(source, at)
            assert match is not None, f"not modelled: {source[at : at + 60]}"
            at = match.end()
            kind = str(match.lastgroup)
            self._tokens.append((kind, match[kind]))
        self._at = 0
        self.names: set[str] = set()
        self._known: dict[tuple[Value, ...], Value] = {}
        self._evaluate = self._level(0)
        self._order = tuple(sorted(self.names))
        assert self._at == len(self._tokens), f"more than an expression: {source}"

    def run(self, fields: Mapping[str, Value]) -> Value:
        """The value for an event; remembered by the fields it reads, which mostly are absent."""
        values = (fields.get(name) for name in self._order)
        key = tuple(tuple(each) if isinstance(each, list) else each for each in values)
        if key not in self._known:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._evaluate(fields)
        return self._known[key]

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, wanted: str = "") -> tuple[str, str]:
        token = self._peek()
        assert not wanted or token[1] == wanted, f"{wanted} expected, not {token}"
        self._at += 1
        return token

    def _level(self, level: int) -> Callable[[Mapping[str, Value]], Value]:
        if level == len(_LEVELS):
            return self._unit()
        left = self._level(level + 1)
        while self._peek()[0] != "text" and self._peek()[1] in _LEVELS[level]:
            sign = self._take()[1]
            left = _binary(sign, left, self._level(level + 1))
        return left

    def _unit(self) -> Callable[[Mapping[str, Value]], Value]:
        kind, word = self._take()
        if word == "(" and kind == "sign":
            inner = self._level(0)
            self._take(")")
            return inner
        if kind == "text":
            clear = re.sub(r'\\(["\\])', r"\1", word[1:-1])
            return lambda _: clear
        if kind == "number":
            value = float(word) if "." in word else int(word)
            return lambda _: value
        if kind == "word" and word == "NOT":
            inner = self._level(2)
            return lambda fields: not inner(fields)
        assert kind in ("word", "quoted"), f"not modelled: {word}"
        if kind == "word" and self._peek()[1] == "(" and self._peek()[0] == "sign":
            return self._call(word)
        self.names.add(word)
        return lambda fields: fields.get(word)

    def _call(self, name: str) -> Callable[[Mapping[str, Value]], Value]:
        self._take("(")
        given = []
        while self._peek() != ("sign", ")"):
            given.append(self._level(0))
            if self._peek() != ("sign", ")"):
                self._take(",")
        self._take(")")
        if name == "if":
            condition, then, other = given
            return lambda fields: then(fields) if condition(fields) else other(fields)
        if name == "case":
            pairs = list(zip(given[::2], given[1::2], strict=True))
            return lambda fields: next((then(fields) for c, then in pairs if c(fields)), None)
        if name == "coalesce":
            return lambda fields: next(
                (v for v in (each(fields) for each in given) if v is not None), None
            )
        function = _FUNCTIONS[name]
        return lambda fields: function(*[each(fields) for each in given])


def _binary(
    sign: str,
    left: Callable[[Mapping[str, Value]], Value],
    right: Callable[[Mapping[str, Value]], Value],
) -> Callable[[Mapping[str, Value]], Value]:
    if sign == "OR":
        return lambda fields: bool(left(fields)) or bool(right(fields))
    if sign == "AND":
        return lambda fields: bool(left(fields)) and bool(right(fields))
    if sign in _LEVELS[2]:
        return lambda fields: _compare(sign, left(fields), right(fields))
    return lambda fields: _calculate(sign, left(fields), right(fields))
