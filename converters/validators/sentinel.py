"""Checks rows against Microsoft Sentinel's columns: ASIM tables, Datto_CL and CommonSecurityLog.

The service stores what fits and drops unknown columns and wrong types without a word, so they are
found here. Formats are those of Microsoft's ASIM data tester.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datto_siem.converters.schemas import columns
from datto_siem.converters.validators.finding import Finding, shown
from datto_siem.converters.validators.formats import fits, is_colon_mac, is_ip, is_number, is_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datto_siem.converters.schemas import Column

CSL = "CommonSecurityLog"
DENYING = ("Deny", "Drop", "Drop ICMP", "Reset", "Reset Source", "Reset Destination")
_HOSTNAME = re.compile(r"[A-Za-z0-9-]{1,61}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")

_TYPES: dict[str, tuple[Callable[[object], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "text"),
    "int": (lambda value: fits(value, 32), "a 32-bit whole number"),
    "long": (lambda value: fits(value, 64), "a 64-bit whole number"),
    "real": (is_number, "a number"),
    "datetime": (is_time, "an RFC 3339 time with a zone"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "dynamic": (lambda value: isinstance(value, (dict, list)), "an object or a list"),
}


def _label(value: str) -> bool:
    return is_ip(value) or _HOSTNAME.fullmatch(value) is not None


def _dotted(value: str) -> bool:
    return len(value) <= 253 and _NAME.fullmatch(value) is not None


_FORMATS: dict[str, Callable[[str], bool]] = {
    "IP address": is_ip,
    "MAC address": is_colon_mac,
    "Hostname": _label,
    "Domain": _dotted,
    "FQDN": lambda value: "." in value and _dotted(value),
    "NetworkProtocol": str.isupper,
}


def check_asim(row: Mapping[str, object]) -> list[Finding]:
    """All that is wrong with a row for the table its `Type` names."""
    name = row.get("Type")
    pinned = columns()
    if not isinstance(name, str) or name not in pinned.tables or name == CSL:
        listed = ", ".join(sorted(set(pinned.tables) - {CSL}))
        return [Finding("Type", f"{shown(name)} is not one of {listed}")]
    table = pinned.table(name)
    found = list(_row(row, table, name))
    found += [
        Finding(column.name, "is mandatory")
        for column in table.values()
        if column.physical and column.klass == "Mandatory" and column.name not in row
    ]
    if row.get("DvcAction") in DENYING and row.get("EventResult") != "Failure":
        found.append(Finding("EventResult", f"must be Failure when {row['DvcAction']} was done"))
    wanted, told = pinned.schemas.get(name), row.get("EventSchemaVersion")
    if wanted is not None and isinstance(told, str) and told != wanted[1]:
        found.append(Finding("EventSchemaVersion", f"{shown(told)} is not {wanted[1]}"))
    return found


def check_csl(row: Mapping[str, object]) -> list[Finding]:
    """All that is wrong with a CommonSecurityLog row; `Type` may be absent."""
    found = list(_row(row, columns().table(CSL), CSL))
    if row.get("Type", CSL) != CSL:
        found.append(Finding("Type", f"{shown(row['Type'])} is not {CSL}"))
    if "TimeGenerated" not in row:
        found.append(Finding("TimeGenerated", "is required"))
    return found


def _row(row: Mapping[str, object], table: Mapping[str, Column], name: str) -> Iterator[Finding]:
    for key, value in row.items():
        column = table.get(key)
        if column is None or not column.physical:
            yield Finding(key, f"is not a column of {name}")
        elif column.klass == "Service":
            yield Finding(key, "is written by the service, never by a sender")
        elif value is None:
            yield Finding(key, "is null; leave an absent column out")
        else:
            yield from _value(value, column)


def _value(value: object, column: Column) -> Iterator[Finding]:
    fit, wanted = _TYPES[column.type]
    if not fit(value):
        yield Finding(column.name, f"must be {wanted}, not {shown(value)}")
    elif isinstance(value, str) and value:  # "" stands for a mandatory value nobody knows
        form = _FORMATS.get(column.logical_type)
        if column.allowed and value not in column.allowed:
            yield Finding(column.name, f"{shown(value)} is not one of {', '.join(column.allowed)}")
        elif form is not None and not form(value):
            yield Finding(column.name, f"{shown(value)} is not a valid {column.logical_type}")
