"""`Converter`: one target, ready to turn events into documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import cef
from datto_siem.converters.decoder import Decoder, decoder, now
from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.fast import Convert, compile_plan
from datto_siem.converters.interpret import Run
from datto_siem.converters.output import dump
from datto_siem.converters.plan.compile import compile_event
from datto_siem.converters.schemas import ecs_versions, ocsf_versions
from datto_siem.converters.shapes import Shapes
from datto_siem.converters.tables.target import target as target_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from datto_siem.converters.event import Event
    from datto_siem.converters.plan.model import EventPlan, Reading
    from datto_siem.converters.tables.model import Tables, Target

CEF = "cef"
_VERSIONS = {"ocsf": ocsf_versions, "ecs": ecs_versions}


def targets(tables: Tables) -> tuple[str, ...]:
    """Every target's name: those with a table, and `cef`."""
    return (*sorted(tables.targets), CEF)


class _Compiled:
    """What was compiled for one target and version; shared by all its converters."""

    def __init__(self) -> None:
        self.plans: dict[str, EventPlan] = {}
        self.fast: dict[str, Convert] = {}
        self.met: dict[str, int] = {}
        self._shapes: dict[int, Shapes] = {}

    def shapes(
        self, decoder: Decoder, target: Target | None, types: Mapping[str, str], cef_version: int
    ) -> Shapes:
        """The shapes that lines of output are written by."""
        if cef_version not in self._shapes:
            self._shapes[cef_version] = Shapes(decoder, target, types, cef_version)
        return self._shapes[cef_version]


class Converter:
    """Turns events into documents of one target.

    Compile once, call often, share between threads: plans are made when their event first comes.

    Args:
        target: `ecs`, `cim`, `ocsf`, `asim`, `csl`, or a target an overlay adds; `cef` has
            `encode` and `line` only.
        version: Schema version (OCSF 1.1.0 to 1.8.0); the table's own when None.
        overlay: A directory of tables laid over the shipped ones.
        switches: Names and addresses of senders known to be Datto switches.
        cef_version: 0 or 1, what `cef` writes.

    Raises:
        ValueError: No such target; the message lists them.
        SchemaMissing: No pinned schema of that version.
        TableErrors: Faults in the overlay.
    """

    def __init__(
        self,
        target: str,
        version: str | None = None,
        overlay: Path | None = None,
        switches: Iterable[str] = (),
        cef_version: int = 0,
    ) -> None:
        """Load tables; see the class for the arguments."""
        self.decoder: Decoder = decoder(overlay, tuple(sorted(switches)))
        self.tables = self.decoder.tables
        self.name = target
        self.cef_version = cef_version
        if target not in targets(self.tables):
            raise ValueError(f"no target {target!r}; there are {', '.join(targets(self.tables))}")
        self.types = {
            **{name: field.type for name, field in self.tables.vocabulary.fields.items()},
            "message": "text",
        }
        made: _Compiled = self.decoder.compiled.setdefault((target, version), _Compiled())
        self._plans, self._fast, self._met = made.plans, made.fast, made.met
        if target == CEF:
            self.shapes = made.shapes(self.decoder, None, self.types, cef_version)
            return
        self.target = target_table(self.tables, target, version)
        known = _VERSIONS.get(target)
        if version is not None and (known is None or version not in known()):
            listed = ", ".join(known()) if known is not None else self.target.version
            raise SchemaMissing(f"{target} has no version {version!r} here; there is {listed}")
        self.shapes = made.shapes(self.decoder, self.target, self.types, 0)

    def plan(self, reading: Reading) -> EventPlan:
        """The plan for events of one table row."""
        plan = self._plans.get(reading.id)
        if plan is None:
            plan = compile_event(self.tables, self.target, reading)
            self._plans[reading.id] = plan
        return plan

    def __call__(self, event: Event) -> dict[str, Any]:
        """The document of one event.

        For `cef` it is `{"cef": LINE}`.
        """
        if self.name == CEF:
            return {CEF: self.line(event)}
        convert = self._fast.get(event.reading.id)
        if convert is None:
            convert = self._compile(event)
            if convert is None:
                return self.run(event).document
        return convert(event)

    def _compile(self, event: Event) -> Convert | None:
        """The function for the event's table row, once the row was met a few times."""
        row = event.reading.id
        met = self._met[row] = self._met.get(row, 0) + 1
        if met <= _SELDOM:
            return None
        self._fast[row] = compile_plan(self.plan(event.reading), self.tables.lookups, self.types)
        return self._fast[row]

    def run(self, event: Event) -> Run:
        """The same, step by step: what `explain` shows, and the reference of the fast path."""
        return Run(self.plan(event.reading), event, self.tables.lookups)

    def line(self, event: Event) -> str:
        """One canonical CEF line; a record that is not CEF becomes one with its text as `msg`."""
        return cef.encode(event, self.cef_version)

    def encode(
        self,
        line: bytes,
        received: int | None = None,
        peer: str | None = None,
        uid: str | None = None,
        ordinal: int = 0,
    ) -> bytes:
        """One record's bytes to one finished line of output, without its line feed.

        Args:
            line: The record.
            received: Receive time in epoch milliseconds; now when None.
            peer: Address of the sender.
            uid: Id assigned at receipt.
            ordinal: Number of the record in its input.
        """
        if received is None:
            received = now()
        found = self.shapes.write(line, received, peer, uid, ordinal)
        if found is not None:
            return found
        return self.dump(self.decoder.decode(line, received, peer, uid, ordinal))

    def dump(self, event: Event, eager: bool = False) -> bytes:
        """One event as one line of output, without its line feed.

        Args:
            event: It.
            eager: Whether to make a function of bytes to bytes at once for records like it, which
                takes some milliseconds: many follow.
        """
        if self.shapes.learn(event, eager):
            found = self.shapes.write(
                event.raw, event.received, event.peer, event.uid_given, event.ordinal
            )
            if found is not None:
                return found
        return self.line(event).encode() if self.name == CEF else dump(self(event))


_SELDOM = 8
"""Records of a row that the interpreter converts: a function takes some milliseconds to make."""
