"""The VRL that finds a record's row in the tables, and what each row knows of its pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators._vrl import (
    Pattern,
    among,
    indented,
    literal,
    quoted,
    starting,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NO_CAST = frozenset({"text", "lower", "list", "span"})
_FOLDED = 'downcase(replace(string!(head.{0}), " ", ""))'


def catalogue(tables: Mapping[str, Any]) -> str:
    """Which event a header names; sets `event` and adds notes."""
    events, sources = tables["events"], tables["sources"]
    other = next(source for source in sources if source["any"])
    switch = next((source for source in sources if source["takes_text"]), other)
    lines = [
        f"event = {text(events[other['names']['undecodable']]['id'])}",
        "if head == null {",
        "  if body != null {",
        f"    event = {text(events[other['names']['text']]['id'])}",
        f"    if switch {{ event = {text(events[switch['names']['text']]['id'])} }}",
        "  }",
        "} else {",
        f"  source = {text(other['name'])}",
        "  for_each([true, false]) -> |_index, first| {",
        "    # a header that lacks a field is put in place when a known event shows how",
        '    if !first || note == "header_short" {',
        *indented(_source(sources, other["name"]), 3),
        "      if first {",
        *indented(_realigned(tables), 4),
        "      }",
        "    }",
        "  }",
        '  name = string!(head.class_id) + "/" + string!(head.name)',
        '  broad = string!(head.class_id) + "/*"',
        "  names = nil",
        *indented(_names(tables), 1),
        '  event = string!(get!(names, [name]) || get!(names, [broad]) || get!(names, ["*/*"]))',
        *indented(_older(sources), 1),
        "}",
    ]
    inferred = among(row["id"] for row in events if row["inferred"])
    lines.append(f"if match(event, {literal(inferred)}) {{ notes.inferred = true }}")
    return "\n".join(lines)


def _source(sources: list[Mapping[str, Any]], other: str) -> list[str]:
    """The most exact match wins, among equals the first."""
    lines = [
        f"vendor = {_FOLDED.format('vendor')}",
        f"product = {_FOLDED.format('product')}",
        f"source = {text(other)}",
        "rank = 0",
    ]
    for source in sources:
        if source["any"]:
            continue
        test = f"vendor == {text(source['vendor'])}"
        found = f"{{ source = {text(source['name'])}; rank ="
        for product in source["products"]:
            like = literal(Pattern(f"(?s)^{_glob(product)}$"))
            lines += [
                f"if rank < 2 && {test} && product == {text(product)} {found} 2 }}",
                f"if rank < 1 && {test} && match(product, {like}) {found} 1 }}",
            ]
    return lines


def _glob(product: str) -> str:
    """A product pattern: `*` and `?` as in file names, and nothing else special."""
    shown = {"*": ".*", "?": "."}
    return "".join(shown.get(char) or quoted(char) for char in product)


def _realigned(tables: Mapping[str, Any]) -> list[str]:
    sources = tables["sources"]
    known = among({source["vendor"] for source in sources})
    lines = [
        f"if match(vendor, {literal(known)}) {{",
        '  shown = string!(head.version) + "/" + string!(head.class_id)',
        "  moved = false",
    ]
    for source in sources:
        products = source["products"] or [""]
        lines += [
            f"  if !moved && match(shown, {literal(among(source['names']))}) {{",
            "    moved = true",
            f"    fits_product = source == {text(source['name'])}",
            f"    product = if fits_product {{ head.product }} else {{ {text(products[0])} }}",
            '    version = if fits_product { "" } else { head.product }',
            "    head = {",
            '      "cef_version": head.cef_version, "vendor": head.vendor,',
            '      "product": product, "version": version,',
            '      "class_id": head.version, "name": head.class_id, "severity": head.name,',
            "    }",
            "  }",
        ]
    return [*lines, "}"]


def _names(tables: Mapping[str, Any]) -> list[str]:
    lines = []
    for at, source in enumerate(tables["sources"]):
        ids = {name: tables["events"][row]["id"] for name, row in source["names"].items()}
        lines += [
            f"{'} else ' if at else ''}if source == {text(source['name'])} {{",
            f"  names = {literal(ids)}",
        ]
    return [*lines, "}"]


def _older(sources: list[Mapping[str, Any]]) -> list[str]:
    lines = []
    for source in sources:
        if source["oldest"]:
            oldest = ".".join(f"{int(part):06d}" for part in source["oldest"].split("."))
            lines += [
                f"if source == {text(source['name'])} && match(string!(head.version), "
                "r'^[0-9]{1,6}(?:\\.[0-9]{1,6}){1,5}$') {",
                '  padded = map_values(split(string!(head.version), ".")) -> |part| {',
                '    slice!("000000" + part, length(part))',
                "  }",
                f'  if join(padded, ".") < {text(oldest)} {{ notes.old_firmware = true }}',
                "}",
            ]
    return lines


def dialects(tables: Mapping[str, Any]) -> str:
    """What parts the pairs of each event; sets `dialect`."""
    return _by_event(tables, _dialect)


def readings(tables: Mapping[str, Any]) -> str:
    """What the values of each event's pairs are; sets `dialect`."""
    return _by_event(tables, _reading)


def _by_event(
    tables: Mapping[str, Any],
    known: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]],
) -> str:
    lines = ["dialect = get!([{}], [0])"]
    for event in tables["events"]:
        lines += [f"if .event == {text(event['id'])} {{", "  dialect = get!([{"]
        lines += [
            f"    {text(name)}: {literal(value)}," for name, value in known(event, tables).items()
        ]
        lines += ["  }], [0])", "}"]
    placeholders = among(tables["placeholders"])
    return "\n".join([*lines, f"dialect.placeholders = {literal(placeholders)}"])


def _dialect(event: Mapping[str, Any], tables: Mapping[str, Any]) -> Mapping[str, Any]:
    casts = tables["casts"]
    boundary = {key: casts[number] for key, number in event["boundary"].items()}
    read = [casts[number] for number in event["casts"].values()]
    lists = [casts[number] for _, number in event["lists"]]
    colon = {
        cast["key"]: _test(cast) for cast in (*read, *lists, *boundary.values()) if cast["colon"]
    }
    return {
        "known": among(boundary),
        "free": _free(boundary),
        "numbered": starting(start for start, _ in event["lists"]),
        "colon_keys": among(colon),
        "colon": colon,
        "fits": {key: _test(cast) for key, cast in boundary.items()},
        "glue": [
            [key, "is_uid" if cast["kind"] == "uid" else cast["kind"]]
            for key, cast in boundary.items()
            if key in event["keys"] and cast["kind"] not in _NO_CAST
        ],
    }


def _reading(event: Mapping[str, Any], tables: Mapping[str, Any]) -> Mapping[str, Any]:
    casts = tables["casts"]
    read = {key: casts[number] for key, number in event["casts"].items()}
    return {
        "free": _free({key: casts[number] for key, number in event["boundary"].items()}),
        "numbered": starting(start for start, _ in event["lists"]),
        "documented": bool(event["keys"]),
        "rows": {key: _row(cast, tables["lookups"]) for key, cast in read.items()},
        "folded": {key.lower(): key for key in read if key != key.lower()},
        "lists": [[start, casts[number]["parts"][0][1]] for start, number in event["lists"]],
        "time": event["time"],
        "constants": event["constants"],
    }


def _free(boundary: Mapping[str, Mapping[str, Any]]) -> Pattern:
    return among(key for key, cast in boundary.items() if cast["free"])


def _test(cast: Mapping[str, Any]) -> str:
    """The kind that a value's form is tried against; empty where any text will do."""
    return "" if cast["kind"] in _NO_CAST else str(cast["kind"])


def _row(cast: Mapping[str, Any], lookups: Mapping[str, Any]) -> dict[str, Any]:
    row = {"kind": cast["kind"], "parts": {name: part for part, name in cast["parts"]}}
    if cast["wins"]:
        row["wins"] = True
    if cast["agrees"]:
        row["agrees"] = cast["agrees"].removeprefix("header.")
    if cast["among"]:
        table, _, column = cast["among"][0].partition(".")
        if column and table in lookups:
            rows = lookups[table]["rows"]
            row["among"] = {word: "" if column in rows[word] else "swapped" for word in rows}
        else:
            row["among"] = dict.fromkeys(cast["among"], "")
    return row
