"""A repair relay in rsyslog's own language: Datto's lines in, canonical `CEF:0` lines out.

The frame that never changes is in the folder `rsyslog`; `_repair` says what the tables hold, which
goes into lookup files and two small rulesets.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from datto_siem.plugins.generators._rainerscript import lookup, pattern, regular, string
from datto_siem.plugins.generators._repair import (
    FORMS,
    IN_BOTH,
    Difference,
    listed,
    products,
    words,
)
from datto_siem.plugins.generators._shipped import filled, names, part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context
    from datto_siem.plugins.generators._repair import Product, Shape

USAGE = "rsyslog as a repair relay: clean CEF:0 for tools that read only that, no program needed"
TARGETS = ()
_FOLDER = "rsyslog"


KNOWN_DIFFERENCES = (
    *IN_BOTH,
    Difference(
        "marks",
        "a record that holds a control character of 1 to 6 is handed on whole, in `msg`",
        "those mark places while the record is taken apart",
    ),
    Difference(
        "nul",
        "NUL is `#000`, and behind it other control characters are gone",
        "rsyslog 8.2302 itself does so when it receives a record",
    ),
)

_ISO = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{1,2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,9})?"
    "([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_PATTERNS = {
    "LEAD": '(\ufeff|[[:space:]"]){0,8}',
    "ISO": _ISO,
    "PRI": "<([0-9]{1,2}|1[0-8][0-9]|19[01])> {0,3}",
    "STAMP_OF": (
        "([0-9]{1,10}: {1,3}([^[:space:]:|]{1,255} ?: {1,3})?)?[*.]?"
        "(([0-9]{4} {1,3})?[A-Z][a-z]{2} {1,3}[0-9]{1,2},? {1,3}([0-9]{4},? {1,3})?"
        "[0-9]{1,2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,9})?(Z| [A-Z]{3,4})?( [0-9]{4})?"
        f"|{_ISO}):?"
    ),
    "FIELDS5424": f"[1-9][0-9]{{0,2}} {{1,3}}({_ISO}|-) +([^ |]+ +){{4}}",
    "DATA": r'(\[([^]"\\]|\\.|"([^"\\]|\\.)*")*\])+',
    "TAG": r'[^][:space:]:|=<>"%[]{1,128}(\[[^]|[:space:]]{0,64}\])?:',
    "KEYED": "^[ \t\r\n\x0b\x0c]*[A-Za-z0-9_][A-Za-z0-9_.,-]{0,255}(\\[[0-9]+\\])?=",
    "HOST5424": "5",
}
"""What the frame's patterns are built of, by their marks."""


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    marks = {
        **{name: regular(each) for name, each in _PATTERNS.items()},
        "STAMP": context.stamp,
        "DIFFERENCES": listed(KNOWN_DIFFERENCES),
    }
    found = {name: part(_FOLDER, name, marks) for name in names(_FOLDER)}
    found |= {name: filled(text, marks) for name, text in _tables(context).items()}
    return {name: content.encode() for name, content in sorted(found.items())}


def _tables(context: Context) -> dict[str, str]:
    known = products(context)
    shapes = list(dict.fromkeys(shape for each in known for shape in each.events.values()))
    numbers = {shape: str(number) for number, shape in enumerate(shapes)}
    rows: dict[str, dict[str, str]] = {
        "events": _events(known, numbers),
        "early": _early(known),
        "keys": {},
        "kinds": {},
        "glue": {},
        "words": dict.fromkeys(words(context), "w"),
    }
    for shape, number in numbers.items():
        rows["keys"].update(_keys(shape, number))
        kinds = {**dict(shape.loose), **dict(shape.documented)}
        rows["kinds"].update({f"{number}\x01{key}": kind for key, kind in kinds.items() if kind})
        if shape.glue:
            glue = [f"{key}\x01{kind if kind in FORMS else ''}" for key, kind in shape.glue]
            rows["glue"][number] = json.dumps(glue)
    found = {f"datto-{name}.json": lookup(each) for name, each in rows.items()}
    found["datto-tables.conf"] = _conf(known, list(rows))
    return found


def _events(known: tuple[Product, ...], numbers: Mapping[Shape, str]) -> dict[str, str]:
    return {
        f"{each.name}\x01{name.replace('/', chr(1), 1)}": numbers[shape]
        for each in known
        for name, shape in each.events.items()
    }


def _early(known: tuple[Product, ...]) -> dict[str, str]:
    """Events by vendor, class and name -> their source and its first product."""
    found: dict[str, str] = {}
    vendors = {each.vendor for each in known if each.vendor}
    for each in known:
        for name in each.events:
            if "*" not in name and each.products:
                for vendor in vendors:
                    key = f"{vendor}\x01{name.replace('/', chr(1), 1)}"
                    found.setdefault(key, f"{each.name}\x01{each.products[0]}")
    return found


def _keys(shape: Shape, number: str) -> dict[str, str]:
    """Key -> flags: documented, free, colon, loose colon, numbered."""
    flags: dict[str, str] = {}
    for flag, keys in (
        ("d", [key for key, _ in shape.documented]),
        ("f", shape.free),
        ("c", [key for key, _ in shape.colon]),
        ("l", [key for key, _ in shape.loose]),
        ("n", [f"{start}#" for start in shape.numbered]),
    ):
        for key in keys:
            flags[key] = flags.get(key, "") + flag
    return {f"{number}\x01{key}": each for key, each in flags.items()}


def _conf(known: tuple[Product, ...], names: list[str]) -> str:
    lines = ["# @STAMP@", "# What comes from tables; datto-repair.conf uses it.", ""]
    lines += [
        f'lookup_table(name="datto_{name}" file="/etc/rsyslog.d/datto/datto-{name}.json")'
        for name in names
    ]
    lines += [
        "",
        "# The source table of $.vendor and $.product, both folded.",
        'ruleset(name="datto_product") {',
    ]
    rest = next(each for each in known if not each.vendor)
    lines.append(f"  set $.source = {string(rest.name)};")
    rows = [(name, each) for each in known if each.vendor for name in each.products]
    for name, each in sorted(rows, key=lambda row: "*" not in row[0]):
        # an exact name counts more than a pattern, so it comes last; of patterns the first counts
        test = f"$.product == {string(name)}"
        if "*" in name:
            inner = regular(".*".join(pattern(part) for part in name.split("*")))
            test = f"$.source == {string(rest.name)} and re_match($.product, '^{inner}$')"
        lines += [
            f"  if $.vendor == {string(each.vendor)} and {test} then",
            f"    set $.source = {string(each.name)};",
        ]
    lines += [
        "}",
        "",
        "# Whether $.probe is a value of $.kind.",
        'ruleset(name="datto_fits") {',
        "  set $.fits = 0;",
    ]
    for kind, form in FORMS.items():
        lines += [
            f"  if $.kind == {string(kind)} then",
            "  {",
            f"    if re_match($.probe, '^{regular(form)}$') then set $.fits = 1;",
            "  }",
        ]
    lines += [
        '  if $.fits == 0 then { if lookup("datto_words", $.probe) == "w" then set $.fits = 1; }',
        "}",
        "",
    ]
    return "\n".join(lines)
