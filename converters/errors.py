"""The whole error tree. Imports nothing, so every module may import it.

```
DattoSiemError
  TableError      .where = "file:line"     one fault of a mapping table
  TableErrors     (ExceptionGroup)         all faults of the tables, together
  SchemaMissing                            no pinned extract for a schema or version
```
A log line never raises: what is wrong with it is a `Note` on the event.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


class DattoSiemError(Exception):
    """Anything this package raises on purpose."""


class TableError(DattoSiemError):
    """One fault of a mapping table.

    Attributes:
        where: `file:line` of the row at fault.
        problem: What is wrong, and what would be right.
    """

    def __init__(self, where: str, problem: str) -> None:
        """Keep the place apart from the text, so that callers can sort by it."""
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class TableErrors(ExceptionGroup[TableError], DattoSiemError):
    """Every fault found in the tables, raised once at load."""

    def __str__(self) -> str:
        """One fault a line, in file order."""
        return "\n".join(str(fault) for fault in self.exceptions)


class SchemaMissing(DattoSiemError):
    """A schema version was asked for that no pinned extract covers."""
