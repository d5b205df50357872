"""Pin Microsoft Sentinel's columns: `pin_sentinel.py OUT_ASIM OUT_CSL FACTS_DIR`.

FACTS_DIR holds `asim_fields.csv`, `asim_logical_types.csv` and `sentinel_table_columns.csv`, cut
from oshezaf/sentinelninja, "Tools/Solutions Analyzer" (`la_table_schemas.csv` gives the columns).
Only facts are taken: name, type, class, enumeration, and whether the column really exists.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

from datto_cl import DATTO_CL
from pinned import write

SCHEMAS = {  # table -> schema and the version its documentation had in August 2026
    "ASimAuditEventLogs": ("AuditEvent", "0.1.2"),
    "ASimAuthenticationEventLogs": ("Authentication", "0.1.4"),
    "ASimDhcpEventLogs": ("DhcpEvent", "0.1.1"),
    "ASimDnsActivityLogs": ("Dns", "0.1.7"),
    "ASimNetworkSessionLogs": ("NetworkSession", "0.2.7"),
}
ORIGIN = (
    "oshezaf/sentinelninja, Apache-2.0, August 2026, after Microsoft's documentation and testers"
)
SERVICE = {"TenantId", "SourceSystem"}  # with every _column: written by the service, never by us
NOT_WORDS = {"", "-", "Placeholder", "contoso", "MDEidIf", "Windows (contoso\\mypc)"}
MISREAD = {  # the documentation's list is prose about another field, or one example
    ("NetworkSession", "EventResult"),
    ("NetworkSession", "EventSeverity"),
    ("Dns", "DnsQueryTypeName"),
}
SPELT = {"IP Address": "IP address", "MAC": "MAC address", "MAC Address": "MAC address"}
SPELT |= {"Mac Address": "MAC address"}
ADVICE = "RecommendedDnsDomain"  # the tester only advises: any bytes may stand in a DNS query
ENUMERATED = {"Enumerated", "AppType", "DeviceType", "DomainType", "DvcIdType", "UserIdType"}
ENUMERATED |= {"UserType", "UsernameType", "DnsQueryClassName"}

Row = dict[str, str]


def rows(folder: str, name: str) -> list[Row]:
    """The rows of one of the three files."""
    with (Path(folder) / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def words(text: str) -> list[str]:
    """The words of an enumeration."""
    return [word for word in text.split("|") if word not in NOT_WORDS]


def enumeration(row: Row, logical: dict[str, list[str]]) -> list[str]:
    """What documentation and tester allow; the logical type's list where both are silent."""
    if not {row["logical_type"], row["tester_logical_type"]} & ENUMERATED:
        return []
    documented = "" if (row["schema"], row["field_name"]) in MISREAD else row["allowed_values"]
    listed = words(row["tester_allowed_values"]) + words(documented)
    return list(dict.fromkeys(listed or logical.get(row["logical_type"], [])))


def field_class(row: Row, common: Row | None) -> str:
    """The documented class, or Mandatory where the tester demands the field of every schema."""
    demanded = common is not None and common["tester_class"] == "Mandatory"
    return "Mandatory" if demanded else row["field_class"]


def logical_type(row: Row) -> str:
    """The format of the value, one spelling each; Enumerated is told by the enumeration."""
    name = row["logical_type"] or row["tester_logical_type"]
    if name == "Enumerated":
        name = row["tester_logical_type"]
    if name in ENUMERATED or row["tester_logical_type"] == ADVICE:
        return ""
    return SPELT.get(name, name)


def kusto(type_name: str) -> str:
    """Kusto writes boolean as bool too."""
    return "boolean" if type_name == "bool" else type_name


def column(type_name: str, klass: str, **more: Any) -> dict[str, Any]:
    """One line of the extract; what is empty is left out."""
    told = {"type": kusto(type_name), "class": klass} | more
    return {key: value for key, value in told.items() if value not in ("", [], None)}


def table(name: str, folder: str) -> dict[str, Any]:
    """All columns of a native table, and the fields of its schema that are not columns."""
    schema, version = SCHEMAS[name]
    physical = {
        row["column_name"]: row["column_type"]
        for row in rows(folder, "sentinel_table_columns.csv")
        if row["table_name"] == name
    }
    logical = {
        row["name"]: words(row["allowed_values"]) for row in rows(folder, "asim_logical_types.csv")
    }
    facts = rows(folder, "asim_fields.csv")
    common = {row["field_name"]: row for row in facts if row["schema"] == "Common"}
    found = {key: column(kind, service_class(key)) for key, kind in physical.items()}
    for row in facts:
        key = row["field_name"]
        if row["schema"] != schema or not (key in physical or row["in_tester"]):
            continue
        found[key] = column(
            physical.get(key) or row["physical_type"] or row["tester_type"] or "string",
            field_class(row, common.get(key)),
            allowed=enumeration(row, logical),
            logical=logical_type(row),
            virtual=None if key in physical else True,
        )
    return {"schema": schema, "version": version, "columns": found}


def service_class(name: str) -> str:
    """`Service` for the columns the service fills by itself."""
    return "Service" if name.startswith("_") or name in SERVICE else ""


def main(out_asim: str, out_csl: str, folder: str) -> None:
    """Write both extracts."""
    tables = {name: table(name, folder) for name in SCHEMAS}
    ours = {name: column(kind, klass) for name, (kind, klass) in DATTO_CL.items()}
    tables["Datto_CL"] = {"columns": ours}
    write(Path(out_asim), {"origin": ORIGIN, "version": "2026-08", "tables": tables}, depth=4)
    listed = rows(folder, "sentinel_table_columns.csv")
    csl = {
        row["column_name"]: column(row["column_type"], service_class(row["column_name"]))
        for row in listed
        if row["table_name"] == "CommonSecurityLog"
    }
    content = {"CommonSecurityLog": {"columns": csl}}
    write(Path(out_csl), {"origin": ORIGIN, "version": "2026-08", "tables": content}, depth=4)


if __name__ == "__main__":
    main(*sys.argv[1:])
