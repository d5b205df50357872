"""How the pairs of a plain record are spelt, as one regular expression that proves it.

A spelling is the sequence of a record's keys, their separators and the form of each value. Its
pattern matches in place, right behind the header, and only what the dialect's scanner would read
as just these pairs: no value holds an `=`, a quote, a backslash, a control character or anything
but ASCII, and where colon pairs are possible no later word of a value holds a colon. So whatever
matches needs no escape in JSON, and in a strict form the match is the cast.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters import casts
from datto_siem.converters.memo import Memo, TextMemo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from datto_siem.converters.event import Event
    from datto_siem.converters.plan.model import Cast

_WORD = r"!#-<>-\[\]-~"
_SMALL = r"!#-<>?\[\]-`{-~a-z"  # without capitals and `@`
_ALL = "++" if sys.version_info >= (3, 11) else "+"  # possessive: a word ends where its class does
FIRM = "(?>" if sys.version_info >= (3, 11) else "(?:"
"""Begins a group of which the first that fits is taken (atomic). A group made possessive does the
same, but the first releases of Python 3.11 match some wrongly (CPython issue 106052)."""
_OCTET = f"{FIRM}25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_QUAD = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_PORT = "(?:0|[1-9][0-9]{0,4})"

ANY = f"([{_WORD}]{_ALL})"
_STRICT: Mapping[str, str] = {
    "text": ANY,
    "lower": f"([{_SMALL}@]{_ALL})",
    "dns_name": rf"([{_SMALL}@]{_ALL})(?<!\.)",
    "mac": "([0-9A-F]{2}" + ":[0-9A-F][0-9A-F]" * 5 + ")",
    "ip": f"({_QUAD})",
    "int": "(0|[1-9][0-9]{0,17})",
    "port": f"({_PORT})",
    "time": "(1([5-9][0-9]{8})([0-9]{3}))",
    "hostport": f"({_QUAD}):({_PORT})",
    "uid": "([0-9A-Fa-f-]{36})",
    "email": f"(([{_SMALL}]{_ALL})@([{_SMALL}]{_ALL}))",
    "span": "(0|[1-9][0-9]{0,8})",
}
"""Cast -> the form most values have; what matches fits the cast. A time is of July 2017 or later,
so that none is before `times.FLOOR`."""
_PARTS: Mapping[str, frozenset[str]] = {
    "hostport": frozenset({"ip", "port"}),
    "uid": frozenset({"all"}),
    "email": frozenset({"all", "email", "name", "domain"}),
    "span": frozenset({"all", "length"}),
}
"""The parts that the strict form of a compound cast has, all of them always."""
_MATCH: Memo[str, Callable[[str], object]] = Memo(
    lambda kind: re.compile(_STRICT[kind]).fullmatch if kind in _STRICT else _never, 64
)
"""Cast -> whether a text has its strict form; made when first asked, for a quick start."""
_MEMO_SIZE = 8_192
READERS: Mapping[str, TextMemo] = {
    name: TextMemo(read, _MEMO_SIZE)
    for name, read in {
        "mac": casts.mac,
        "ip": casts.ip,
        "int": casts.integer,
        "port": casts.port,
        "float": casts.number,
        "hostport": casts.hostport,
        "uid": casts.uid,
        "email": casts.email,
        "dns_name": casts.dns_name,
        "lower": casts.lower,
    }.items()
}
"""Cast -> its values by text, for the wide form: users, addresses and names come again."""
_CLEAN = re.compile(r"[ !#-\[\]-~]*").fullmatch


_GROUP = re.compile(r"(?<!\\)\((?!\?)")  # in a class none stands: neither table nor form has one


def capturing(pattern: str, kept: Iterable[bool]) -> str:
    """A pattern without the groups that nobody reads: each costs a text."""
    wanted = iter(kept)
    return _GROUP.sub(lambda _: "(" if next(wanted) else "(?:", pattern)


def uncaptured(kind: str) -> str:
    """A cast's strict form without groups."""
    return _GROUP.sub("(?:", _STRICT[kind])


def is_clean(text: str) -> bool:
    """Whether a text is printable ASCII that stands in JSON as it is."""
    return _CLEAN(text) is not None


class Pair(NamedTuple):
    """One pair of a spelling.

    Attributes:
        key: The wire key.
        separator: `=` or `:`.
        form: `strict`, `wide`, `empty`, or `fixed` for a value that repeats the header.
        kind: The cast that reads it; `text` for items of a list and for keys that are not read.
        cast: The row of the source table, or None for a key that is not read.
        text: The value, where it is fixed.
    """

    key: str
    separator: str
    form: str
    kind: str
    cast: Cast | None
    text: str = ""

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The parts of the cast that the value may have."""
        if self.cast is None or self.form == "empty":
            return ()
        kept = _PARTS.get(self.kind) if self.form == "strict" else None
        return tuple(row for row in self.cast.parts if kept is None or row[0] in kept)

    def pattern(self, colon: bool) -> str:
        """Key, separator and value as a pattern, for a dialect with colon pairs or without."""
        return re.escape(self.key + self.separator) + self._value(colon)

    def _value(self, colon: bool) -> str:
        if self.form in ("fixed", "empty"):
            return re.escape(self.text)
        if self.form == "strict":
            return _STRICT[self.kind]
        if self.kind == "text":
            return r"([ !#-9;<>-\[\]-~]+)" if colon else f"([ {_WORD}]+)"
        return ANY

    @property
    def has_blanks(self) -> bool:
        """Whether the value may hold blanks."""
        return self.form == "wide" and self.kind == "text"

    @property
    def may_be_words(self) -> bool:
        """Whether the value may hold blanks, or does."""
        return self.has_blanks or " " in self.text


class Spelling(NamedTuple):
    """The pairs of a record, in its order or, for records in any order, in that of their keys."""

    pairs: tuple[Pair, ...]
    colon: bool
    ordered: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(pair.key for pair in self.pairs)

    @property
    def pattern(self) -> str:
        """What a record's extension must match, whole."""
        inner = " ".join(pair.pattern(self.colon) for pair in self.pairs)
        return inner + (r"(?<! )\Z" if self.pairs and self.pairs[-1].has_blanks else r"\Z")

    @property
    def equals(self) -> int:
        """How many equals signs such a record's extension has."""
        return sum(pair.separator == "=" for pair in self.pairs)

    def sorted(self) -> Spelling | None:
        """The same for any order of the pairs, which `in_order` sorts; None with colon pairs."""
        if self.colon or any(pair.separator != "=" for pair in self.pairs):
            return None
        return Spelling(tuple(sorted(self.pairs, key=_word)), self.colon, False)

    def widened(self, other: Spelling) -> Spelling:
        """This one, with the wide form wherever another has another form."""
        pairs = tuple(map(_widened, self.pairs, other.pairs))
        return self._replace(pairs=pairs)


def _word(pair: Pair) -> str:
    return pair.key + pair.separator


def _widened(one: Pair, other: Pair) -> Pair:
    if one.form == other.form or "empty" in (one.form, other.form):
        return one
    return one._replace(form="wide", text="")


def spelling(
    event: Event, colon: bool, lists: Mapping[str, Cast], is_open: bool = False
) -> Spelling | None:
    """The spelling of a plain record.

    Args:
        event: The record; `event.quick` is its pairs.
        colon: Whether its dialect has colon pairs.
        lists: Start of numbered keys -> their cast.
        is_open: Whether a value that repeats the header may be another in the next record.

    Returns:
        It, or None when a value is outside what patterns accept.
    """
    casts = {cast.key: cast for cast in event.reading.casts}
    quick = event.quick or {}
    pairs = []
    for (key, text), offset in zip(quick.items(), event.scanned.offsets, strict=True):
        if not is_clean(text) or "=" in text:
            return None
        cast = casts.get(key)
        numbered = next((lists[start] for start in lists if key.startswith(start)), None)
        cast = cast or numbered
        kind = "text" if cast is None or cast.kind == "list" else cast.kind
        form = "empty" if not text else "wide"
        if cast is not None and cast.agrees and kind == "text" and text:
            form = "wide" if is_open else "fixed"
        elif _MATCH[kind](text) and not (colon and kind == "text"):
            form = "strict"
        held = text if form == "fixed" else ""
        pairs.append(Pair(key, event.text[offset - 1], form, kind, cast, held))
    return Spelling(tuple(pairs), colon, True)


def in_order(body: str, equals: int) -> str:
    """The pairs of an extension without colon pairs, sorted; "" when that is not its form.

    Args:
        body: The extension.
        equals: How many equals signs it should have. Where it has others, what comes out is of no
            spelling with so many.
    """
    pairs = body.split(" ")
    if len(pairs) != equals:
        if body[-1:] == " " or "  " in body or "=" not in pairs[0]:
            return ""
        whole: list[str] = []
        for word in pairs:
            if "=" in word:
                whole.append(word)
            else:
                whole[-1] += " " + word
        pairs = whole
    pairs.sort()
    return " ".join(pairs)


def _never(text: str) -> object:
    return None
