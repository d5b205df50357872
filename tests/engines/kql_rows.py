"""Rows of CommonSecurityLog for the corpus: as datto-siem posts them, and as an agent makes them.

The agent here is a strict reader of CEF, written from the standard and from what is published of
Microsoft's: pairs are parted at ` key=` only, so Datto's colon pairs stay inside the value before
them; a key's last value stands; what has no column, or does not fit it, goes to
AdditionalExtensions as `key=value;key=value` with nothing escaped; TimeGenerated is the arrival.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cases import PEER, RECEIVED
from rule_corpus import document

from datto_siem.converters.schemas.sentinel_columns import columns
from datto_siem.converters.times import iso

if TYPE_CHECKING:
    from rule_corpus import Case

    from datto_siem.converters import Converter, Event
    from datto_siem.plugins.generator import Context

POSTED, AGENT = "posted", "agent"
_KEY = re.compile(r"(?:^|\s)([A-Za-z0-9_][A-Za-z0-9_.,\-]*(?:\[[0-9]+\])?)=")
_ESCAPE = re.compile(r"\\([\\=|nr])")
_PIPE = re.compile(r"(?<!\\)\|")
_TEXT = {"\\": "\\", "=": "=", "|": "|", "n": "\n", "r": "\r"}


def shape() -> dict[str, str]:
    """Column -> type, with the columns the service adds to every table."""
    table = {name: column.type for name, column in columns().table("CommonSecurityLog").items()}
    return {**table, "_ItemId": "string", "_TimeReceived": "datetime", "Type": "string"}


def posted(converter: Converter, case: Case) -> dict[str, Any]:
    """The row of our own output, as the generated DCR stores it."""
    return {**document(converter, case), "CollectorHostName": "datto-siem", **_service(case)}


def wire_columns(context: Context) -> dict[str, str]:
    """Wire key -> column."""
    return {
        key: column for plan in context.plans("csl") for key, (column, _) in plan.columns.items()
    }


def collected(case: Case, event: Event, wire: dict[str, str]) -> dict[str, Any] | None:
    """The row an agent makes; None for a record that it takes for no CEF.

    Args:
        case: The record.
        event: The record decoded: the syslog daemon before the agent knows header and host.
        wire: Wire key -> column.
    """
    text = case.line.decode("utf-8", "replace").rstrip("\r\n\0 ")
    at = text.find("CEF:", len(event.prefix))
    header = _PIPE.split(text[at:], 7) if at >= 0 else []
    if len(header) < 8:
        return None
    fields = [_unescaped(field).strip() for field in header[1:7]]
    names = (
        "DeviceVendor",
        "DeviceProduct",
        "DeviceVersion",
        "DeviceEventClassID",
        "Activity",
        "LogSeverity",
    )
    row: dict[str, Any] = {
        **dict(zip(names, fields, strict=True)),
        "Computer": event.envelope.host or PEER,
        "CollectorHostName": "collector-1",
        "TimeGenerated": iso(RECEIVED),
    }
    types, rest = shape(), []
    for key, value in _pairs(header[7]):
        column = wire.get(key)
        typed = None if column is None else _typed(value, types[column])
        if column is None or typed is None:
            rest.append(f"{key}={value}")
        else:
            row[column] = typed
    return {**row, "AdditionalExtensions": ";".join(rest), **_service(case)}


def _service(case: Case) -> dict[str, Any]:
    return {
        "_ItemId": str(case.ordinal),
        "_TimeReceived": iso(RECEIVED),
        "Type": "CommonSecurityLog",
    }


def _pairs(extension: str) -> list[tuple[str, str]]:
    found = list(_KEY.finditer(extension))
    ends = [*(match.start() for match in found[1:]), len(extension)][: len(found)]
    return [
        (match[1], _unescaped(extension[match.end() : end]).strip())
        for match, end in zip(found, ends, strict=True)
    ]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _TEXT[match[1]], text)


def _typed(value: str, kind: str) -> Any:
    if kind == "string":
        return value
    if kind in ("int", "long") and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    return None
