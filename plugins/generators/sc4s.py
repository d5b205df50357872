"""Splunk Connect for Syslog: parsers for its two ways in, metadata rows, and a page for its manual.

Records go to Splunk as they came; SC4S only says what they are (sourcetype, index), when and by
whom. Reading them there is the add-on's work (`splunk-ta`), whose sourcetypes these are.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters.tables.expression import names
from datto_siem.plugins.generators._repair import SECONDS, Difference, listed
from datto_siem.plugins.generators._shipped import part
from datto_siem.plugins.generators._syslog_ng import either, folded
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.tables.expression import Expr
    from datto_siem.converters.tables.model import Source
    from datto_siem.plugins.generator import Context

USAGE = "Splunk Connect for Syslog: parsers, metadata rows and a page for its manual"
TARGETS = ()
KNOWN_DIFFERENCES = (
    Difference(
        "time_text",
        "a time written as text keeps the time of the syslog header",
        "SC4S reads one form at a time; Datto sends numbers",
    ),
    Difference(
        "time_twice",
        "of a time key that stands twice the first counts, also where a stranger wrote it",
        "what a stranger chose cannot be told before fields are read",
    ),
    Difference(
        "time_cut",
        "a time that a relay cut in its middle is taken as it is",
        "the parsers do not see at which sizes relays cut",
    ),
    Difference(
        "time_far",
        "a time more than a day ahead of the clock is taken as it is",
        "the parsers cannot compare with the clock",
    ),
)

_FIELD = r"(?:[^|\\]|\\.)*+"
_CEF = r"(?:CEF:[ \t]?)?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SHIPPED = {
    "README.md": "README.md",
    "docs/sources/vendor/Datto/index.md": "manual.md",
    "config/app_parsers/app-datto_networking.conf": "app-datto_networking.conf",
}
"""Path in the artefact -> the file here."""
_CSV = "context/splunk_metadata.csv"
_INDEX = "netops"
_BEGIN, _END = r"[| \t]", r"(?=[ \t\r]|\z)"
# syslog-ng may have taken `CEF:` for the program, or the whole header for the host
_WHOLE = "template('${HOST} ${LEGACY_MSGHDR}${MESSAGE}')"
_TEXT = "template('${.datto.line}')"
_PARSER = f"parser {{ regexp-parser(prefix('.datto.') {_TEXT} patterns("


class _Product(NamedTuple):
    """What a product's records are in Splunk.

    Attributes:
        key: Its name in the metadata, behind `datto_`.
        sourcetype: Its sourcetype.
        pattern: Its names in a CEF header.
        wire: A header's product as Datto writes it, or "".
        title: For the manual.
        times: Keys that may give the time, best first.
        device: Keys that name the device.
    """

    key: str
    sourcetype: str
    pattern: str
    wire: str
    title: str
    times: tuple[str, ...]
    device: tuple[str, ...]


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    device = _device(context)
    rows = [_product(each, device) for each in context.tables.sources.values() if not each.any]
    rows.sort(key=lambda row: "*" in row.pattern)  # an exact name counts more than a pattern
    rest = next(_product(each, device) for each in context.tables.sources.values() if each.any)
    vendors = sorted({each.vendor for each in context.tables.sources.values() if not each.any})
    marks = {
        "STAMP": context.stamp,
        "DIFFERENCES": listed(KNOWN_DIFFERENCES),
        "SOURCETYPES": "\n".join(f"| {row.sourcetype} | {row.title} |" for row in rows),
        "KEYS": "\n".join(f"| datto_{row.key} | {row.sourcetype} | {_INDEX} | |" for row in rows),
        "PARSERS": _parsers(rows, rest, vendors),
    }
    found = {place: part("sc4s", name, marks) for place, name in _SHIPPED.items()}
    found[_CSV] = _metadata(rows)
    return {path: content.encode() for path, content in sorted(found.items())}


def _device(context: Context) -> tuple[str, ...]:
    """Fields that may name the reporting device, best first: those of the CIM table's `dvc`."""
    found: dict[str, None] = {}

    def follow(expr: Expr, derived: Mapping[str, Expr]) -> None:
        for name in names(expr):
            if name in derived:
                follow(derived[name], derived)
            else:
                found[name] = None

    for plan in context.plans("cim"):
        derived = {step.into: step.expr for step in plan.derive}
        for step in plan.emit:
            if step.into == "dvc":
                follow(step.expr, derived)
    return tuple(found)


def _product(source: Source, fields: tuple[str, ...]) -> _Product:
    names = "|".join(folded(name) for name in source.products)
    wire = next((line.split("|")[2] for line in source.samples.values() if "|" in line), "")
    device = tuple(
        key
        for field in fields
        for key, rule in source.keys.items()
        if field in dict(rule.parts).values()
    )
    sourcetypes = SOURCETYPES["raw"]
    return _Product(
        source.name.replace("_", ""),
        sourcetypes.get(source.name, sourcetypes[""]),
        f"(?:{names})",
        wire,
        source.name.replace("_", " ").capitalize() + "s",
        tuple(source.time),
        device,
    )


def _metadata(rows: list[_Product]) -> str:
    """Rows by the name our parsers set, and by the one SC4S itself makes of a CEF header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([f"datto_{row.key}", "index", _INDEX])
        if row.wire:
            writer.writerow([f"Datto_{row.wire}", "index", _INDEX])
            writer.writerow([f"Datto_{row.wire}", "sourcetype", row.sourcetype])
    writer.writerow(["datto_networking", "index", _INDEX])
    return text.getvalue()


def _parsers(rows: list[_Product], rest: _Product, vendors: list[str]) -> str:
    vendor = f"(?:{'|'.join(map(folded, vendors))})"
    return "\n".join(
        [
            "block parser app-datto_networking-product() {",
            "  channel {",
            *_products(rows, rest, vendor),
            "  };",
            "};",
            "",
            "application app-cef-datto_networking[cef] {",
            f"  filter {{ match('^{vendor}\\z' value('.metadata.cef.device_vendor')); }};",
            "  parser { app-cef-datto_networking(); };",
            "};",
            "",
            "application app-syslog-datto_networking[sc4s-syslog] {",
            f"  filter {{ match('(?:^|[ :\\xbf]){_CEF}\\|{vendor}\\|' {_WHOLE}); }};",
            "  parser { app-syslog-datto_networking(); };",
            "};",
        ]
    )


def _products(rows: list[_Product], rest: _Product, vendor: str) -> list[str]:
    """What a record is by its header; the whole line, since SC4S may have taken `CEF:` off."""
    lines: list[str] = []
    for row in rows:
        word = "} elif" if lines else "if"
        head = rf"(?:^|[ :\xbf]){_CEF}\|{vendor}\|{row.pattern}(?:\||\z)"
        lines += [
            f"    {word} (match('{head}' {_TEXT})) {{",
            f"      rewrite {{ r_set_splunk_dest_update_v2(sourcetype('{row.sourcetype}')); }};",
            f"      rewrite {{ set('{row.key}' value('fields.sc4s_product')); }};",
            *_time(row),
            *_host(row),
        ]
    return [*lines, "    } else {", *_time(rest), "    };"]


def _host(row: _Product) -> list[str]:
    if not row.device:
        return []
    keys = either(row.device)
    return [
        "      if {",
        f"        {_PARSER}",
        rf"          '{_BEGIN}{keys}=(?<device>[A-Za-z0-9][A-Za-z0-9:._-]{{0,63}}){_END}')); }};",
        "        rewrite { set('${.datto.device}' value('HOST')); };",
        "      } else { };",
    ]


def _time(row: _Product) -> list[str]:
    """The first of the product's time keys that holds a number of this century."""
    if not row.times:
        return []
    number = SECONDS.replace("(", "(?:")
    forms = (
        rf"(?<s>{number})(?:\.(?<f>[0-9]{{1,6}})[0-9]{{0,12}})?{_END}",
        rf"(?<s>{number})(?<f>[0-9]{{3}}(?:[0-9]{{3}})?)(?:[0-9]{{3}})?(?:\.[0-9]{{1,18}})?{_END}",
    )
    lines: list[str] = []
    for key in row.times:
        word = "      } elif {" if lines else "      if {"
        lines += [
            word,
            f"        {_PARSER}",
            *(f"          '{_BEGIN}{either([key])}={form}'" for form in forms),
            "        )); };",
            "        parser { date-parser(format('%s.%f')"
            " template('${.datto.s}.${.datto.f:-0}')); };",
        ]
    return [*lines, "      } else { };"]
