"""Casts in KQL: the stages that read a key's text, and what its values look like in a pattern.

Each stage is one `extend`, so that no engine writes a long expression out again inside another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators import _kql as kql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HEX = "[0-9A-Fa-f]"
_MAC = (
    f"{_HEX}{{2}}(?::{_HEX}{{2}}){{5}}|{_HEX}{{2}}(?:-{_HEX}{{2}}){{5}}"
    f"|{_HEX}{{4}}(?:[.]{_HEX}{{4}}){{2}}|{_HEX}{{12}}"
)
_IP = "[0-9]{1,3}(?:[.][0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*"
_UUID = f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
FORMS = {
    "mac": _MAC,
    "ip": _IP,
    "int": "-?[0-9]{1,18}",
    "port": "[0-9]{1,5}",
    "float": "-?[0-9]+(?:[.][0-9]+)?",
    "time": "[0-9]{1,19}(?:[.][0-9]{1,18})?|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.,+Zz-]{8,32}",
    "hostport": f"(?:{_IP}|\\[(?:{_IP})\\])(?: *[:&,# ] *[0-9]{{1,5}})?",
}
"""Kind of cast -> pattern of its values, where not any text will do."""
GLUES = {**FORMS, "uid": f"{_UUID}|{_MAC}"}
"""The same for a pair inside another's value: an id must be a UUID or a MAC address."""

KIND_OF_PART = {
    ("lower", ""): "string",
    ("dns_name", ""): "string",
    ("int", ""): "long",
    ("float", ""): "real",
    ("port", ""): "long",
    ("mac", ""): "string",
    ("ip", ""): "string",
    ("time", ""): "datetime",
    ("hostport", "ip"): "string",
    ("hostport", "port"): "long",
    ("uid", "mac"): "string",
    ("email", "all"): "string",
    ("email", "email"): "string",
    ("email", "name"): "string",
    ("email", "domain"): "string",
    ("span", "length"): "long",
    ("span", "end"): "datetime",
}
"""(cast, part) -> kind of the column it is read into; a part not listed is the text itself."""

_SIMPLE = {
    "lower": {"": "tolower({})"},
    "dns_name": {"": "dns_({})"},
    "int": {"": "int_({})"},
    "float": {"": "real_({})"},
    "port": {"": "port_({})"},
    "mac": {"": "mac_({})"},
    "ip": {"": "ip_({})"},
    "uid": {"mac": "mac_({})"},
    "email": {
        "all": "tolower({})",
        "email": "email_({})",
        "name": "name_({})",
        "domain": "domain_({})",
    },
}
_NUMBER = kql.text("^([0-9]{1,19})(?:[.][0-9]{1,18})?$")
_FRACTION = kql.text("[.]([0-9]+)$")


def made(
    kind: str, wire: str, names: Mapping[str, str], own: Callable[[str], str]
) -> Iterator[tuple[int, str, str]]:
    """The assignments of one cast: (stage, column, code).

    Args:
        kind: Name of the cast.
        wire: Column of the text.
        names: Part -> column to fill.
        own: A letter -> a column of this key for what stands between.
    """
    for part, code in _SIMPLE.get(kind, {}).items():
        yield 0, names[part], code.format(wire)
    if kind == "time":
        yield from _time(wire, names[""], own)
    elif kind == "span":
        yield 0, names["length"], f"length_({wire})"
        yield from _time(wire, own("z"), own)
        yield 5, names["end"], f"ends_({wire}, {own('z')})"
    elif kind == "hostport":
        yield 0, own("b"), f"ip_(bare_({wire}))"
        yield 0, own("p"), f"parted_({wire})"
        yield 1, own("h"), f"ip_(extract('^([^|]+)[|]', 1, {own('p')}))"
        yield 1, own("q"), f"port_(extract('[|]([0-9]+)$', 1, {own('p')}))"
        alone = f"{own('b')} != ''"
        whole = f"isnotnull({own('q')}) and {own('h')} != ''"
        yield 2, names["ip"], f"case({alone}, {own('b')}, {whole}, {own('h')}, '')"
        yield 2, names["port"], f"iff({whole} and not({alone}), {own('q')}, long(null))"


def _time(wire: str, into: str, own: Callable[[str], str]) -> Iterator[tuple[int, str, str]]:
    yield 0, own("n"), f"extract({_NUMBER}, 1, {wire})"
    yield 0, own("f"), f"extract({_FRACTION}, 1, {wire})"
    yield 0, own("r"), f"rfc3339_({wire})"
    yield 1, own("e"), f"tolong({own('n')})"
    yield 2, own("m"), f"epoch_({own('n')}, {own('e')}, {own('f')})"
    yield 3, own("t"), f"coalesce(since_({own('m')}), {own('r')})"
    yield 4, into, f"plausible_({own('t')}, received_)"
