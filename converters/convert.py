"""`Converter`: one target, ready to turn events into documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import cef
from datto_siem.converters.decoder import Decoder, decoder
from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.fast import Convert, compile_plan
from datto_siem.converters.given import ATTRIBUTES
from datto_siem.converters.interpret import Run
from datto_siem.converters.lean import compile_complete, compile_lean
from datto_siem.converters.output import dump
from datto_siem.converters.plan.compile import compile_event
from datto_siem.converters.plan.reading import always, documented, having
from datto_siem.converters.schemas import ecs_versions, ocsf_versions
from datto_siem.converters.tables.target import target as target_table
from datto_siem.converters.written import compile_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from datto_siem.converters.event import Event, Header
    from datto_siem.converters.plan.model import EventPlan, Reading
    from datto_siem.converters.tables.model import Tables

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
        self.lean: dict[str, Convert] = {}
        self.special: dict[Header, Convert] = {}
        self.written: dict[Header, Callable[[Event], bytes | None]] = {}
        self.heads: dict[Header, int] = {}


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
        self._types = {
            **{name: field.type for name, field in self.tables.vocabulary.fields.items()},
            "message": "text",
        }
        made: _Compiled = self.decoder.compiled.setdefault((target, version), _Compiled())
        self._plans, self._fast, self._lean = made.plans, made.fast, made.lean
        self._special, self._written, self._heads = made.special, made.written, made.heads
        if target == CEF:
            return
        self.target = target_table(self.tables, target, version)
        known = _VERSIONS.get(target)
        if version is not None and (known is None or version not in known()):
            listed = ", ".join(known()) if known is not None else self.target.version
            raise SchemaMissing(f"{target} has no version {version!r} here; there is {listed}")

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
        if event.quick is None:
            ready = self._fast
        else:
            special = self._special.get(event.head)
            if special is not None:
                return special(event)
            ready = self._lean
            self._met(event)
        convert = ready.get(event.reading.id)
        if convert is None:
            convert = self._compile(event.reading, event.quick is not None)
        return convert(event)

    def has_own(self, head: Header) -> bool:
        """Whether a header was met often enough to have a function of its own."""
        return head in self._special

    def _met(self, event: Event) -> None:
        """Count a header; one met often gets a function of its own."""
        head, reading = event.head, event.reading
        count = self._heads.get(head, 0) + 1
        if count < _OFTEN:
            if len(self._heads) < _MOST_HEADS or head in self._heads:
                self._heads[head] = count
            return
        quick = event.quick or {}
        narrow = having(reading, quick.keys())
        if narrow is None or len(self._special) >= _MOST_SPECIAL:
            return
        known = {
            name: value
            for name, path in ATTRIBUTES.items()
            if path.startswith("head.")
            if (value := getattr(head, path.removeprefix("head.")))
        }
        plan = compile_event(self.tables, self.target, narrow, known, always(narrow))
        lean = self._lean.get(reading.id) or self._compile(reading, True)
        self._special[head] = compile_complete(plan, narrow, self.tables.lookups, self._types, lean)
        write = compile_written(plan, narrow, self.tables.lookups, self._types)
        if write is not None:
            self._written[head] = write

    def _compile(self, reading: Reading, plain: bool) -> Convert:
        """The function for one table row, for plain records or for all."""
        fast = self._fast.get(reading.id)
        if fast is None:
            fast = compile_plan(self.plan(reading), self.tables.lookups, self._types)
            self._fast[reading.id] = fast
        if not plain:
            return fast
        narrow = documented(reading)
        plan = compile_event(self.tables, self.target, narrow)
        lean = compile_lean(plan, narrow, self.tables.lookups, self._types, fast)
        self._lean[reading.id] = lean
        return lean

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
        event = self.decoder.decode(line, received, peer, uid, ordinal)
        return self.dump(event)

    def dump(self, event: Event) -> bytes:
        """One event as one line of output, without its line feed."""
        if self.name == CEF:
            return self.line(event).encode()
        if event.quick is not None:
            write = self._written.get(event.head)
            if write is not None:
                line = write(event)
                if line is not None:
                    return line
        return dump(self(event))


_OFTEN = 32
"""A header met this often is worth a function of its own (some milliseconds to make)."""
_MOST_SPECIAL = 128
_MOST_HEADS = 4096
