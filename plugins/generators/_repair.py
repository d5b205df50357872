"""What a repair relay must know of the tables: how each event's pairs are told apart.

A relay changes spelling only (`cs2:Guest` to `cs2=Guest`, glued pairs parted, escapes put right),
so of all tables it needs keys and the forms of their values. Forms are patterns of POSIX extended
regular expressions, which PCRE reads too. The truth is `converters.dialect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters.catalogue import boundary, placeholders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datto_siem.converters.plan.model import Cast, Reading
    from datto_siem.plugins.generator import Context

_TEXT = frozenset({"text", "lower", "list", "span", "email", "uid"})
"""Casts that any text fits; `uid` only where no glued pair is parted."""
_UNGLUED = frozenset({"text", "lower", "list", "span"})

_X = "[0-9A-Fa-f]"
_QUAD = r"((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}" + (
    "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
)
_G = f"{_X}{{1,4}}"
_HEADS = "|".join(
    [
        f"({_G}:){{6}}",
        f"::({_G}:){{0,5}}",
        *(f"({_G}:){{{n}}}:({_G}:){{0,{5 - n}}}" for n in range(1, 6)),
    ]
)
_V6 = "|".join(
    [
        f"({_G}:){{7}}{_G}",
        f"({_G}:){{1,7}}:",
        *(f"({_G}:){{1,{7 - n}}}(:{_G}){{1,{n}}}" for n in range(1, 7)),
        f":((:{_G}){{1,7}}|:)",
        f"({_HEADS}){_QUAD}",
    ]
)
_IP = f"({_QUAD}|{_V6})"
_PORT = "([0-9]{1,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_BETWEEN = "( *[&,#] *| +)"
_MAC = (
    f"({_X}{{2}}(:{_X}{{2}}){{5}}|{_X}{{2}}(-{_X}{{2}}){{5}}"
    f"|{_X}{{4}}\\.{_X}{{4}}\\.{_X}{{4}}|{_X}{{12}})"
)
_UUID = f"({_X}{{8}}(-{_X}{{4}}){{3}}-{_X}{{12}})"
SECONDS = (
    "(14[2-9][0-9]{7}|1[5-9][0-9]{8}|[23][0-9]{9}|40[0-9]{8}|410[01][0-9]{6}|4102[0-4][0-9]{5})"
)
_DAY = "(20(1[5-9]|[2-9][0-9])|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01]?[0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.,][0-9]{1,9})?"
_MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"

FORMS = {
    "mac": _MAC,
    "ip": _IP,
    "int": "(-?[0-9]{1,18})",
    "float": r"(-?[0-9]{1,64}(\.[0-9]{1,64})?([Ee][+-]?[0-9]{1,2})?)",
    "port": _PORT,
    "dns_name": r"(.{2,}|[^.])",
    "hostport": (
        f"(\\[{_IP}\\](:{_PORT}|{_BETWEEN}{_PORT})?|{_QUAD}:{_PORT}|{_IP}({_BETWEEN}{_PORT})?)"
    ),
    "time": (
        f"({SECONDS}([0-9]{{3}}){{0,3}}(\\.[0-9]{{1,18}})?"
        f"|{_DAY}[Tt ]{_CLOCK}([Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?"
        f"|{_MONTH} +[0-9]{{1,2}},? +20[0-9]{{2}},? +{_CLOCK}( ?(Z|UTC|GMT))?)"
    ),
    "glued_uid": f"({_UUID}|{_MAC})",
}
"""Kind of value -> its form. A kind that is not here is any text."""


class Difference(NamedTuple):
    """Where a relay does not do what the converter does.

    Attributes:
        name: Which records those are; the tests know how to tell them.
        what: What happens to them.
        why: The reason.
    """

    name: str
    what: str
    why: str


IN_BOTH = (
    Difference(
        "bad_utf8",
        "bytes that are no UTF-8 are handed on as they came, not as `\\\\xHH`",
        "neither language can tell them from others, nor write a byte's number",
    ),
    Difference(
        "odd_header",
        "a text (no CEF) keeps more or less of its header in `msg` when that is no usual one: two "
        "headers, RFC 5424 with fields left out, a word with a colon behind a date with a year",
        "one pattern reads one header; where the sender's own words begin is then a guess",
    ),
    Difference(
        "odd_date_glued",
        "a glued pair is not parted where its value is a date text with a zone name but UTC",
        "the list of zones is not in the pattern; Datto sends numbers",
    ),
    Difference(
        "words_before",
        "a record without `CEF:` is read as CEF also when words stand between header and version",
        "what is a host and what a word cannot be told in one pattern",
    ),
)
"""Differences of both relays."""


@dataclass(frozen=True)
class Shape:
    """How the pairs of an event are told apart; several events share one.

    Attributes:
        documented: Keys that start a pair wherever they stand, and the kind of their value.
        free: Those of them whose value a stranger chooses.
        numbered: Starts of numbered keys, with the point.
        colon: Documented keys that may have a colon, and the kind their value must be of.
        loose: The same for keys that count only outside what a stranger chose.
        glue: Keys that may be glued to the value before them, and the kind they must be of.
    """

    documented: tuple[tuple[str, str], ...]
    free: tuple[str, ...]
    numbered: tuple[str, ...]
    colon: tuple[tuple[str, str], ...]
    loose: tuple[tuple[str, str], ...]
    glue: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Product:
    """A source table.

    Attributes:
        name: Its name.
        vendor: Folded.
        products: Folded patterns with `*`; none for the table that takes the rest.
        events: `class/name`, `class/*` or `*/*` -> shape.
    """

    name: str
    vendor: str
    products: tuple[str, ...]
    events: dict[str, Shape]


def products(context: Context) -> tuple[Product, ...]:
    """Every source table, the one that takes whatever no other takes last."""
    rows = {reading.id: reading for reading in context.readings()}
    found = []
    for source in sorted(context.tables.sources.values(), key=lambda each: each.any):
        events = {}
        for event in source.events.values():
            row = rows[f"{source.name}/{event.id}"]
            shape = _shape(row, boundary(source, row))
            named = (name for name in event.names if "/" in name)  # texts have no pairs
            events.update(dict.fromkeys(named, shape))
        found.append(Product(source.name, source.vendor, tuple(source.products), events))
    return tuple(found)


def listed(differences: tuple[Difference, ...]) -> str:
    """Differences as a list for README.md."""
    return "\n".join(
        f"* {each.what[0].upper()}{each.what[1:]}: {each.why}." for each in differences
    )


def words(context: Context) -> tuple[str, ...]:
    """The manual's placeholders, which fit every kind."""
    return tuple(sorted(placeholders(context.tables)))


def _shape(row: Reading, known: dict[str, Cast]) -> Shape:
    colon = {cast.key: cast for cast in (*row.casts, *known.values()) if cast.colon}
    return Shape(
        documented=_typed(known.values()),
        free=tuple(key for key, cast in known.items() if cast.free),
        numbered=tuple(cast.key[:-1] for cast in row.casts if cast.key.endswith("*")),
        colon=_typed(cast for key, cast in colon.items() if key in known),
        loose=_typed(cast for key, cast in colon.items() if key not in known),
        glue=tuple(
            (key, "glued_uid" if cast.kind == "uid" else cast.kind)
            for key, cast in known.items()
            if key in row.keys and cast.kind not in _UNGLUED
        ),
    )


def _typed(casts: Iterable[Cast]) -> tuple[tuple[str, str], ...]:
    return tuple((cast.key, "" if cast.kind in _TEXT else cast.kind) for cast in casts)
