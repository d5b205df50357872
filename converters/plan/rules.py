"""What each pinned schema adds to a target's rows while a plan is made.

A `Rules` expands rows (OCSF's ids and siblings), says which paths hold text, and lists what an
event must have to be valid. A target without a pinned schema (a user's own) has none of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from datto_siem.converters.plan.model import Step
from datto_siem.converters.plan.ocsf import OcsfRules
from datto_siem.converters.schemas import cim, columns, ecs_type, ocsf
from datto_siem.converters.tables.expression import ABSENT, Expr

if TYPE_CHECKING:
    from datto_siem.converters.tables.model import Target

Rows = dict[str, Step]
Sure = Callable[[Expr], bool]


class Rules(Protocol):
    """The questions the compiler asks of a schema."""

    def expand(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        """Rows with everything the schema derives from them."""

    def holds_text(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Whether a path takes text only, so that numbers are written as text."""

    def finish(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        """Rows with guards, once their values are in written form."""

    def needs(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> list[Expr]:
        """What must have a value at run time for the event to be valid."""


class NoSchema:
    """Rules of a target that no pinned schema describes."""

    def expand(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        """Nothing to add."""
        return rows

    def holds_text(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Values keep their types."""
        return False

    def finish(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        """Nothing to guard."""
        return rows

    def needs(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> list[Expr]:
        """Nothing is required."""
        return []


class EcsRules(NoSchema):
    """ECS: numbers that go into keyword fields become text."""

    def __init__(self, version: str) -> None:
        """Pick the schema version."""
        self.version = version

    def holds_text(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Keyword fields and their relatives."""
        return ecs_type(self.version, path) in ("keyword", "wildcard", "match_only_text")


_EITHER = re.compile(r"\w+=\w+(?: OR \w+=\w+)*")


class CimRules(NoSchema):
    """Splunk CIM: an event of a data set needs its required fields, unless they are waived."""

    def needs(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> list[Expr]:
        """Required, unwaived fields that a record may lack; conditional ones on their condition."""
        dataset = facts.get("dataset")
        if dataset is None:
            return []
        waived = {name.removeprefix("waive.") for name in facts if name.startswith("waive.")}
        wanted = []
        for field in cim().dataset(dataset).fields.values():
            # a row may be folded away for records that lack its key: the need is never met then
            expr = rows[field.name].expr if field.name in rows else ABSENT
            if field.name in waived or sure(expr):
                continue
            if field.type == "required":
                wanted.append(expr)
            elif field.type == "conditional" and field.condition:
                wanted += _under(field.condition, expr, rows, facts)
        return wanted


def _under(condition: str, expr: Expr, rows: Rows, facts: Mapping[str, Any]) -> list[Expr]:
    """The need for a field under `tag=vpn`, or `transport=tcp OR transport=udp`.

    Other conditions are SPL that nothing here can meet or break.
    """
    if not _EITHER.fullmatch(condition):
        return []
    pairs = [part.split("=") for part in condition.split(" OR ")]
    if any(name == "tag" and value in facts.get("tags", ()) for name, value in pairs):
        return [expr]
    names = {name for name, _ in pairs}
    if len(names) != 1 or not names <= rows.keys():
        return []
    table = tuple((value.lower(), expr) for _, value in pairs)
    return [("lookup", rows[names.pop()].expr, table, ("const", True))]


class SentinelRules(NoSchema):
    """ASIM and CommonSecurityLog: string columns, and each table's mandatory columns."""

    def __init__(self, table: str | None) -> None:
        """`table` for a target of one table; otherwise the rows' `Type` names it."""
        self._table = table

    def _columns(self, name: str | None) -> Mapping[str, Any]:
        tables = columns().tables
        return tables.get(name or "", {})

    def holds_text(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Columns of type string."""
        column = self._columns(self._table or facts.get("Type")).get(path)
        return column is not None and column.type == "string"

    def needs(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> list[Expr]:
        """Mandatory physical columns that a record may lack."""
        wanted = [
            rows[name].expr if name in rows else ABSENT
            for name, column in self._columns(self._table or facts.get("Type")).items()
            if column.klass == "Mandatory" and column.physical
        ]
        return [expr for expr in wanted if not sure(expr)]


def rules(target: Target) -> Rules:
    """The rules of a target, by its name."""
    if target.name == "ecs":
        return EcsRules(target.version)
    if target.name == "cim":
        return CimRules()
    if target.name == "ocsf":
        return OcsfRules(ocsf(target.version), target.observables)
    if target.name in ("asim", "csl"):
        return SentinelRules("CommonSecurityLog" if target.name == "csl" else None)
    return NoSchema()
