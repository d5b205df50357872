"""The two Painless scripts of a pipeline and the tables they read, as processors.

The runtime under `painless/` holds no mapping fact: everything a table says reaches a script as its
`params`. It is two scripts because a cluster takes none above 65,535 characters.
"""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters import times
from datto_siem.converters.cef import SEVERITIES
from datto_siem.converters.given import ATTRIBUTES
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._shipped import part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datto_siem.plugins.generator import Context

MOST_CHARACTERS = 65_535
"""`script.max_size_in_bytes` as every cluster has it unless told otherwise."""
_SHARED = ("text", "times", "casts")
_DECODE = (*_SHARED, "syslog", "pairs", "decode")
_CONVERT = (*_SHARED, "fields", "plan", "convert")
_ANY = ("text", "lower", "list", "span")  # casts every text fits, where pairs are parted
_HEAD = ("version", "vendor", "product", "device_version", "class_id", "name", "severity")


class Script(NamedTuple):
    """One script processor's code and data."""

    source: str
    params: dict[str, Any]


def scripts(context: Context, longest: int) -> tuple[Script, Script]:
    """What decodes a record, and what makes the document of it.

    Args:
        context: Whose tables.
        longest: Characters of a leftover value that are kept; 0 keeps all.
    """
    data = portable(context, "ecs")
    casts = data["casts"]
    events = data["events"]
    numbers = {row["id"]: number for number, row in enumerate(events)}
    anything = next(source["name"] for source in data["sources"] if source["any"])
    shared = {
        "casts": [_cast(row) for row in casts],
        "placeholders": _marks(data["placeholders"]),
        "zones": dict(times.ZONES),
        "months": {calendar.month_abbr[at].lower(): at for at in range(1, 13)},
    }
    undecodable = numbers[f"{anything}/undecodable"]
    decode = {
        **shared,
        "zone_names": _marks([*times.ZONES, *times.AMBIGUOUS_ZONES]),
        "sources": data["sources"],
        "events": [_parted(row, casts) for row in events],
        "severities": sorted(SEVERITIES),
        "switches": [],
        "undecodable": undecodable,
        "text": numbers[f"{anything}/text"],
        "text_of_switch": next(
            (numbers[f"{row['name']}/text"] for row in data["sources"] if row["takes_text"]),
            numbers[f"{anything}/text"],
        ),
    }
    decode["events"][undecodable]["inferred"] = False  # nothing of it is read
    convert = {
        **shared,
        "lookups": data["lookups"],
        "events": [_read(row, casts) for row in events],
        "plans": [_plan(row) for row in data["plans"]],
        "steps": data["steps"],
        "header_fields": [
            next(name for name, path in ATTRIBUTES.items() if path == f"head.{part}")
            for part in _HEAD
        ],
        "longest": longest,
        "leftovers": context.converter("ecs").target.leftovers_into,
    }
    return Script(_source(_DECODE), decode), Script(_source(_CONVERT), convert)


def _source(names: Iterable[str]) -> str:
    """The parts as one script, without remarks and indentation: a cluster counts its characters."""
    lines = [
        line.strip() for name in names for line in part("painless", f"{name}.painless").splitlines()
    ]
    source = "\n".join(line for line in lines if line and not line.startswith("//"))
    if len(source.encode()) > MOST_CHARACTERS:
        raise AssertionError(f"a script of {len(source.encode())} bytes: no cluster takes it")
    return source


def _marks(names: Iterable[str]) -> dict[str, bool]:
    """A set, as JSON has it."""
    return dict.fromkeys(sorted(names), True)


def _cast(row: Mapping[str, Any]) -> dict[str, Any]:
    among = row["among"]
    table, _, column = (among[0] if among else "").partition(".")
    agrees = row["agrees"].removeprefix("header.")
    return {
        "kind": row["kind"],
        "parts": row["parts"],
        "wins": row["wins"],
        "fits_any": row["kind"] in _ANY,
        "agrees": _HEAD.index(agrees) if agrees else -1,
        "among": among,
        "table": table if column else "",
        "column": column,
    }


def _parted(row: Mapping[str, Any], casts: list[dict[str, Any]]) -> dict[str, Any]:
    """What parting a record into pairs asks of an event."""
    boundary = row["boundary"]
    starts = [(f"{start}*", number) for start, number in row["lists"]]
    read = [*row["casts"].items(), *starts, *boundary.items()]
    return {
        "boundary": boundary,
        "free": _free(row, casts),
        "colon": {key: number for key, number in read if casts[number]["colon"]},
        "lists": row["lists"],
        "glue": [
            [key, number, casts[number]["kind"] == "uid"]
            for key, number in boundary.items()
            if key in row["keys"] and casts[number]["kind"] not in _ANY
        ],
        "inferred": row["inferred"],
    }


def _free(row: Mapping[str, Any], casts: list[dict[str, Any]]) -> dict[str, bool]:
    return _marks(key for key, number in row["boundary"].items() if casts[number]["free"])


def _read(row: Mapping[str, Any], casts: list[dict[str, Any]]) -> dict[str, Any]:
    """What reading fields from pairs asks of an event."""
    return {
        "casts": row["casts"],
        "folded": {key.lower(): key for key in row["casts"] if key != key.lower()},
        "documented": _marks(row["keys"]),
        "lists": row["lists"],
        "free": _free(row, casts),
        "time": row["time"],
        "constants": row["constants"],
        "plan": row["plan"],
    }


def _plan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "derive": row["derive"],
        "emit": row["emit"],
        "needs": row["needs"],
        "instead": row["instead"],
        "note": row["note"],
        "used": _marks(row["used"]),
        "said": row["said"],
        "leftovers": row["leftovers"],
    }
