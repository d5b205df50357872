"""The pinned columns of Microsoft Sentinel's tables, and of Datto_CL, which is ours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.schemas.extract import load

if TYPE_CHECKING:
    from collections.abc import Mapping


class Column(NamedTuple):
    """One column of a table, or one ASIM field that is not a column.

    Attributes:
        name: Column name.
        type: Kusto type: string, int, long, real, datetime, dynamic or boolean.
        klass: ASIM class: Mandatory, Recommended, Conditional, Optional, Alias; `Service` for a
            column only the service writes; empty where there is none (CommonSecurityLog).
        allowed: Enumeration, empty where there is none.
        logical_type: Format of the value as ASIM names it (`IP address`, `MAC address`,
            `Hostname`, `FQDN`, `Domain` ...), or empty.
        physical: False for a field of the schema that the table has no column for: a row must not
            carry it, the built-in parser may add it.
    """

    name: str
    type: str
    klass: str
    allowed: tuple[str, ...]
    logical_type: str
    physical: bool


class Sentinel(NamedTuple):
    """All pinned tables.

    Attributes:
        version: Month the facts were taken.
        tables: Table name to columns.
        schemas: Table name to ASIM schema and schema version, native tables only.
    """

    version: str
    tables: Mapping[str, Mapping[str, Column]]
    schemas: Mapping[str, tuple[str, str]]

    def table(self, name: str) -> Mapping[str, Column]:
        """The columns of a table.

        Raises:
            SchemaMissing: The table is not pinned.
        """
        if name not in self.tables:
            listed = ", ".join(sorted(self.tables))
            raise SchemaMissing(f"Sentinel table {name} is not pinned; pinned are {listed}")
        return self.tables[name]


@cache
def columns() -> Sentinel:
    """The pinned tables: five native ASIM tables, CommonSecurityLog and Datto_CL."""
    entries: dict[str, Mapping[str, Any]] = {**load("asim")["tables"], **load("csl")["tables"]}
    tables = {
        table: {name: _column(name, shape) for name, shape in entry["columns"].items()}
        for table, entry in entries.items()
    }
    schemas = {
        table: (entry["schema"], entry["version"])
        for table, entry in entries.items()
        if "schema" in entry
    }
    return Sentinel(load("asim")["version"], tables, schemas)


def _column(name: str, shape: Mapping[str, Any]) -> Column:
    return Column(
        name=name,
        type=shape["type"],
        klass=shape.get("class", ""),
        allowed=tuple(shape.get("allowed", ())),
        logical_type=shape.get("logical", ""),
        physical=not shape.get("virtual", False),
    )
