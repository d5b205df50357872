"""What a generator of native parsing rules is: tables in, files out, the same bytes each time.

A generator's module under `plugins/generators/` exports

* `USAGE`: one line, what the artefact is;
* `TARGETS`: targets it can write for, its default first; empty when the product settles it;
* `files(context) -> Mapping[str, bytes]`: relative POSIX path -> content. `README.md` is among
  them and says how to install, what is covered and what is not.

Nothing of a path comes from tables, and no clock, host name or random number reaches a file, so
generating again gives identical bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters import Converter

if TYPE_CHECKING:
    from pathlib import Path

    from datto_siem.converters.plan.model import EventPlan, Reading
    from datto_siem.converters.tables.model import Tables


class Difference(NamedTuple):
    """Where rules do not give what the converter gives: a row of a `KNOWN_DIFFERENCES`.

    The artefact's README lists it, and a test fails when no record needs it any more.

    Attributes:
        path: Names or paths of fields, parted by blanks; `*` stands for anything.
        when: Of which records it is true; the test knows the condition by these words.
        reason: Why, for the README.
        only: Targets it concerns; all when empty.
    """

    path: str
    when: str
    reason: str
    only: tuple[str, ...] = ()

    def concerns(self, target: str) -> bool:
        """Whether it is about documents of a target."""
        return not self.only or target in self.only


@dataclass(frozen=True)
class Context:
    """What a generator writes from.

    Attributes:
        version: Version of this package.
        target: One of the generator's `TARGETS`; "" when it has none.
        overlay: Directory of tables laid over the shipped ones, or None.
    """

    version: str
    target: str = ""
    overlay: Path | None = None

    @cached_property
    def tables(self) -> Tables:
        """The mapping tables."""
        return self.converter("ecs").tables

    @property
    def stamp(self) -> str:
        """What made the file, for its first comment: version, and hash of the tables."""
        return f"datto-siem {self.version}, tables {self.tables.version}"

    def converter(self, target: str, version: str | None = None) -> Converter:
        """A converter of the same tables: what the rules must be equal to."""
        return Converter(target, version, self.overlay)

    def readings(self) -> tuple[Reading, ...]:
        """How each source event is read: documented ones, `*/*`, `text` and `undecodable`."""
        from datto_siem.converters.plan.reading import reading

        return tuple(
            reading(source, event)
            for source in self.tables.sources.values()
            for event in source.events.values()
        )

    def plans(self, target: str, version: str | None = None) -> tuple[EventPlan, ...]:
        """What is written for each of `readings`, in the same order."""
        converter = self.converter(target, version)
        return tuple(converter.plan(row) for row in self.readings())
