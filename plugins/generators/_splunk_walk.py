r"""The regular expressions that take a record apart: header, pairs of one event, syslog header.

One expression a source event walks along the pairs the way `converters.dialect` scans them: a
pair begins at a key the table knows, colons count where the table says so and the value fits, and
after a value that strangers choose only documented keys begin a pair. Every step is possessive,
so a record is gone through once. A value that fits its cast is captured as `wire_KEY`, any other
as `bad_KEY`; of keys that come twice the same one counts as in the decoder.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._splunk_syslog import BARE
from datto_siem.plugins.generators._splunk_types import (
    BLANK,
    CASTS,
    INK,
    MARK,
    STRICT,
    define,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.,\-]{0,255}+(?:\[[0-9]+\])?="
_PLACEHOLDER = "[A-Z]+(?:_[A-Z]+)+"
_FIELD = r"(?:[^\\|]++|\\.)*+"
_VERSION = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_NEXT_CEF = rf"CEF:[ \t]?{_VERSION}\|"
_LIKELY = "(?=(?:1[4-9]|[23])[0-9]{8}(?:[0-9]{3}){0,3}(?![0-9])|[0-9]{4}-|[A-Z])"
"""A time that may be plausible: how a second one is told from a first."""
_NO_CAST = frozenset({"text", "lower", "list", "span"})
MOST_LISTED = 64
"""Numbered keys of a list that are read."""
LONGEST_NAME = 22
"""PCRE's limit of 32 less the longest prefix and suffix."""


class Names:
    """Short names of wire keys, as groups of an expression: `wire_KEY` and `bad_KEY`."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Name every key; two that would get one name are told apart by a number."""
        self._names: dict[str, str] = {}
        taken: set[str] = set()
        for key in sorted(set(keys)):
            name = re.sub(r"[^A-Za-z0-9_]", "_", key)[:LONGEST_NAME]
            number = 0
            while name.lower() in taken:
                number += 1
                name = f"{name[: LONGEST_NAME - 4]}_{number}"
            taken.add(name.lower())
            self._names[key] = name

    def wire(self, key: str) -> str:
        """The field of a value that fits."""
        return f"wire_{self._names[key]}"

    def part(self, key: str) -> str:
        """What the fields of a value's parts begin with."""
        return f"part_{self._names[key]}"

    def end(self, key: str) -> str:
        """The same, of a length that is read as the time it ends."""
        return f"ends_{self._names[key]}"

    def bad(self, key: str) -> str:
        """The field of a value that does not."""
        return f"bad_{self._names[key]}"


def listed(names: Names, start: str, number: int) -> str:
    """The field of one numbered key."""
    return f"{names.wire(start)}_{number}"


class Walk:
    """The expression of one event.

    Args:
        event: The row of the portable tables.
        casts: The casts that rows name by number.
        names: Names of wire keys.
    """

    def __init__(
        self, event: Mapping[str, Any], casts: Sequence[Mapping[str, Any]], names: Names
    ) -> None:
        """Sort the keys by what they may start."""
        self._names = names
        self._casts = {key: casts[number] for key, number in event["casts"].items()}
        bound = {key: casts[n] for key, n in event["boundary"].items() if not key.endswith("*")}
        self._bound = bound
        self._lists = [start for start, _ in event["lists"]]
        self._all = {**self._casts, **bound}
        self._free = [key for key, cast in bound.items() if cast["free"]]
        documented = set(event["keys"])
        self._glue = {
            key: STRICT.get(cast["kind"])
            for key, cast in bound.items()
            if key in documented and cast["kind"] not in _NO_CAST
        }

    def expression(self, header: str) -> str:
        """The whole expression, for the text from the event's class on; `header` begins it."""
        pairs = "|".join(
            [*(self._pair(key) for key in sorted(self._all, key=_order)), f"{_KEY}(?&vn)"]
        )
        body = (
            rf"(?s)^{header}{BLANK}*+(?<line_text>(?!(?&st)){INK}++(?:{BLANK}++(?!(?&st)){INK}++)*+)?"
            rf"{BLANK}*+(?:(?:{pairs}){BLANK}*+)*+"
        )
        groups = self._groups()
        return define(groups + body) + groups + body

    def _groups(self) -> str:
        """What starts a pair (st), also after a stranger's value (sf); values (vn vp vf), words."""
        numbered = [rf"{_spl.literal(start)}[0-9]+=" for start in self._lists]
        exact = _choice(_spl.literal(key) for key in self._bound)
        after_free = "|".join(
            [*([f"{exact}="] if exact else []), *numbered, *self._colons(self._bound)]
        )
        odd = [key for key in self._bound if not re.fullmatch(r"[A-Za-z0-9_][\w.,-]*", key)]
        start = "|".join(
            [_KEY, *(f"{_spl.literal(key)}=" for key in odd), *self._colons(self._all)]
        )
        word = f"{INK}*+"
        if self._glue:
            word = rf"(?:(?![^\t-\r =]*+=){INK}*+|(?:{INK}(?:(?!(?&gl)){INK})*+)?+)"
        found = (
            f"(?<st>{start})(?<sf>{after_free or '(?!)'})(?<wo>{word})"
            f"(?<vn>(?&wo)(?:{BLANK}++(?={INK})(?!(?&st))(?&wo))*+)"
            f"(?<vp>{INK}*+(?:{BLANK}++(?!(?&st)){INK}++)*+)"
            f"(?<vf>{INK}*+(?:{BLANK}++(?!(?&sf)){INK}++)*+)"
        )
        if self._glue:
            found += f"(?<gl>{self._glued()})"
        return f"(?(DEFINE){found})"

    def _colons(self, keys: Iterable[str]) -> list[str]:
        return [colon(key, (self._all[key]["kind"],)) for key in keys if self._all[key]["colon"]]

    def _glued(self) -> str:
        """A documented key inside a value, absent otherwise, whose own value fits."""
        found = []
        for key, kind in self._glue.items():
            name, mark = self._names.wire(key), _spl.literal(key)
            fits = rf"{kind}(?:{BLANK}*+\z|{BLANK}++(?&st))" if kind else INK
            found.append(
                rf"{mark}=(?={fits})(?(<{name}>)(?!))"
                rf"(?!{INK}*+(?:{BLANK}++(?!{mark}=){INK}++)*+{BLANK}++{mark}=)"
            )
        return "|".join(found)

    def _pair(self, key: str) -> str:
        """One key with its value, captured where it is the one that counts."""
        cast = self._all[key]
        free = key in self._free
        kind = CASTS.get(cast["kind"])
        value, end = ("(?&vf)", "(?&sf)") if free else ("(?&vn)", "(?&st)")
        if kind and not free:
            value = "(?&vp)"  # what does not fit is not parted either: its left part does not fit
        wire, bad = self._names.wire(key), self._names.bad(key)
        fits = f"{kind}(?={BLANK}*+\\z|{BLANK}++{end}" + (
            "|(?&gl))" if self._glue and not free else ")"
        )
        capture = f"(?:(?<{wire}>{fits})|(?<{bad}>{value}))" if kind else f"(?<{wire}>{value})"
        again = f"(?={fits})" if kind else f"(?={INK})"
        if cast["kind"] == "time":
            again = _LIKELY + again
        # +1 is the empty group below: this key came before any value a stranger chose
        first = f"(?(<{wire}>){again})"
        gate = "()"
        for other in self._free:
            gate = f"(?(<{self._names.wire(other)}>){first}|{gate})"
        separator = "[=:]" if cast["colon"] else "="
        name = _spl.literal(key)
        odd = f"(?i:{name})=(?(<{wire}>)(?!))"  # in other letters only if there is no other
        return f"(?:{name}{separator}|{odd})(?:(?(+1)(?!)|{gate}){capture}|{value})"


def colon(key: str, kinds: Iterable[str]) -> str:
    """A key before a colon, where its value's first word fits: of one of some kinds."""
    types = [CASTS.get(kind) for kind in kinds]
    if None in types:
        return f"{_spl.literal(key)}:"
    choice = "|".join([*filter(None, types), _PLACEHOLDER])
    return f"{_spl.literal(key)}:(?=(?:{choice})?(?:{BLANK}|\\z))"


def _order(key: str) -> tuple[int, str]:
    return -len(key), key


def _choice(items: Iterable[str]) -> str:
    found = list(items)
    return f"(?:{'|'.join(found)})" if found else ""


_PAIRS = rf"{_KEY}[^|]*+\z"
"""The rest of a header that lacks fields: pairs, where the next field should be."""


def named(class_id: str, names: Iterable[str], but: Iterable[str] = ()) -> str:
    """The head of a body: class, one of some names (`*`: any), severity, each to its pipe.

    Args:
        class_id: The class.
        names: The names.
        but: Names that another row has, where `*` is among the names.
    """
    wanted = list(names)
    if "*" in wanted:
        others = "|".join(_header_text(name) for name in sorted(but))
        choice = (f"(?!(?:{others})[ \\t]*\\|)" if others else "") + _FIELD
    else:
        choice = "|".join(_header_text(name) for name in sorted(wanted))
    return rf"[ \t]*{_header_text(class_id)}[ \t]*\|[ \t]*(?:{choice})[ \t]*\|{_SEVERITY}"


def _header_text(text: str) -> str:
    r"""A header field's text, its `|` and `\` escaped as a header escapes them."""
    return "".join(
        r"\x5c\x7c" if char == "|" else r"\x5c{1,2}" if char == "\\" else _spl.literal(char)
        for char in text
    )


_SEVERITY = rf"(?:(?!{_KEY}){_FIELD}(?:\||\z))?"
ANY_HEAD = rf"(?:(?!{_PAIRS}){_FIELD}(?:\||\z)(?:(?!{_PAIRS}){_FIELD}(?:\||\z){_SEVERITY})?)?"
"""The head of any body."""


# The way to a record's CEF header: past the structured data of RFC 5424, which may quote one.
_STRUCTURED = (
    rf'(?:(?:{MARK}|[\s"]){{0,8}}<[0-9]{{1,3}}> {{0,3}}[1-9][0-9]{{0,2}} {{1,3}}[^ |]+'
    r'(?: +[^ |]+){4} +\[(?:[^\\"\]]++|\\.|"(?:[^\\"]++|\\.)*+"|\](?=\[))*+\])?+'
)
_TO_CEF = (
    rf"(?s)^{_STRUCTURED}(?:(?:[^C]++|C(?!EF:[ \t]?{_VERSION}\|))*+CEF:[ \t]?|{BARE})"
    rf"(?<line_version>{_VERSION})\|"
)
HEADER = (
    rf"{_TO_CEF}[ \t]*(?<line_vendor>{_FIELD})\|[ \t]*(?<line_product>{_FIELD})"
    rf"(?:\|(?:(?!{_PAIRS}){_FIELD}(?:\||\z))?(?<line_body>.*+))?"
)
"""Version, vendor, product, and the body: what follows the device's version."""
BODY = (
    rf"(?s)^(?!{_PAIRS})[ \t]*(?<line_class>{_FIELD})(?:\|(?!{_PAIRS})[ \t]*(?<line_name>{_FIELD})"
    rf"(?:\|(?!{_KEY})[ \t]*(?<line_severity>{_FIELD})(?:\||\z))?)?"
)
"""Class, name and severity of a body."""
IS_CEF = _TO_CEF.replace("(?<line_version>", "(?:")
"""Whether a record is CEF at all."""
SHORT = rf"{_TO_CEF.replace('(?<line_version>', '(?<line_short>')}"
"""A CEF header that `HEADER` finds too few fields in."""


def cut(sizes: Iterable[int], colons: Iterable[str]) -> str:
    """The body of a record that was cut on the way, without its last pair."""
    lengths = "|".join(f".{{{size}}}\\z" for size in sorted(sizes))
    start = "|".join([r"[A-Za-z0-9_][A-Za-z0-9_.,\-]*=", *colons])
    slashes = r".*+(?<=(?<!\\)\\|(?<!\\)\\\\\\)"
    way = IS_CEF.removeprefix("(?s)^")
    found = (
        rf"(?s)^(?={lengths}|{slashes}){way}(?:{_FIELD}\|){{3}}"
        rf"(?<line_body>(?:{_FIELD}\|){{3}}(?:.*{BLANK})?)(?:{start}){INK}*"
        rf"(?:{BLANK}++(?!{start}){INK}++)*{BLANK}*\z"
    )
    return define(found) + found


def lists(names: Names, start: str) -> str:
    """The numbered keys of one list, each in a field of its own."""
    mark = _spl.literal(start)
    value = rf"{INK}*+(?:{BLANK}++(?!{_KEY}){INK}++)*+"
    first = range(MOST_LISTED)
    each = "|".join(
        f"0{{0,2}}{number}=(?(+1)(?!)|)(?<{listed(names, start, number)}>{value})"
        for number in first
    )
    return rf"(?s)^{ANY_HEAD}{BLANK}*+(?:(?:{mark}(?:{each})|{INK}++){BLANK}*+)*+"
