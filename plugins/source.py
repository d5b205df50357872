"""What a listener is: takes records from the outside and puts them into the intake.

A listener's module under `plugins/sources/` exports `USAGE`, `Config`, `EXAMPLE` (a TOML fragment
that is a valid `[[listen]]` of this type) and
`open_listener(config, intake, meter, name) -> Listener`; the name is its label in counts.
It takes framing off, keeps the sender's address, counts what it refuses, and decodes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Arrival(NamedTuple):
    """One record just received."""

    raw: bytes
    received: int
    """Epoch milliseconds."""
    peer: str
    """Address of the sender without port; a file's name; "" for standard input."""


class Mark(NamedTuple):
    """How far a source was read; stored in the same transaction as the records before it."""

    source: str
    """What was read: a name that is stable across restarts (device, inode of a file)."""
    position: str


class Intake(Protocol):
    """Where listeners put records; makes them durable in groups. Safe to call from threads."""

    def put(self, arrivals: Sequence[Arrival], mark: Mark | None = None) -> None:
        """Hand over records; returns at once unless memory for records in flight is used up.

        Under the policy `block` it then waits; under `refuse-newest` and `drop-oldest` the records
        are counted as lost and it returns. With a mark it always waits.
        """

    def pressed(self) -> bool:
        """Whether the log is full or far behind: a listener with back-pressure stops reading."""

    def relieved(self, timeout: float) -> bool:
        """Wait until `pressed` is over, at most `timeout` seconds; whether it is."""

    def flush(self, timeout: float) -> bool:
        """Wait until everything put is durable, at most `timeout` seconds; whether it is."""

    def mark(self, source: str) -> str | None:
        """The last durable position of a source."""


class Listener(Protocol):
    """An open listener: bound, not yet reading."""

    address: str
    """Where it listens, as bound: `udp://127.0.0.1:5514`, `file:///var/log/datto.log`."""

    def run(self) -> None:
        """Receive until `stop` is called or the source ends; then return with everything put."""

    def stop(self) -> None:
        """Stop receiving, from another thread or a signal handler; what was read is put."""

    def reload(self) -> None:
        """Read certificates and lists again; a bad new one leaves the old one and logs why."""
