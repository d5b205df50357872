"""The durable log as the rest of the forwarder sees it: append, read, commit.

Small on purpose: the embedded log (SQLite) and a Kafka log implement it. A log holds raw records
once; each output has its own offset in it.

Offsets are numbers of 63 bits. A log may have several lanes (Kafka's partitions), each in order by
itself: the lane's number stands above bit `LANE` of an offset. The embedded log has lane 0 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.source import Arrival, Mark


Policy = Literal["block", "refuse-newest", "drop-oldest"]
"""What happens when the log is full."""


LANE = 48
"""Bits of an offset below the number of its lane."""


def lane_of(offset: int) -> int:
    """The lane an offset is in."""
    return offset >> LANE


class LogFull(Exception):
    """The log is at its cap and its policy refuses new records; nothing was appended."""


class LogAway(OSError):
    """The service that keeps the log does not answer or refuses; says why and what to do.

    What was being appended is not lost: appending the same records again goes on where it was.
    """


class LogRefused(Exception):
    """The log must not be opened (network file system, in use, newer layout); says what to do."""


class Rewound(Exception):
    """The output's offset was set from outside (`forward replay`): read again from there."""


class Writer(Protocol):
    """Appends. One for each receiving process; several may be open."""

    def append(self, arrivals: Sequence[Arrival], marks: Sequence[Mark] = ()) -> int:
        """Make records durable, with the marks, in one transaction.

        Returns:
            How many old undelivered records were dropped to make room (policy `drop-oldest`).

        Raises:
            LogFull: No room under the policies `block` and `refuse-newest`.
            OSError: The disk refuses; nothing was appended.
            LogAway: Not all of them are durable yet; append the same ones again.
        """

    def mark(self, source: str) -> str | None:
        """The last durable position of a source."""

    def close(self) -> None:
        """Close; what was appended stays."""


class Chunk(NamedTuple):
    """Records of one lane read together, in order."""

    records: list[Record]
    end: int
    """The offset to commit when all of them are settled: one behind the last."""
    lost: int = 0
    """Records before or among them that could not be read."""
    why: str = "damaged"
    """Why they were lost: a reason of the metric `lost_records`."""
    leaving: Literal["", "soon", "now"] = ""
    """Another forwarder takes the lane over: "soon" what was read should be settled quickly,
    "now" it is gone; forget what is under way, it will be delivered from there."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an output is."""

    committed: int | None
    """None when there are several lanes: no one number says it."""
    end: int
    """One behind the last record; 0 where there is no one such number."""
    waiting: int
    """Records between."""
    oldest: int | None
    """Receive time in milliseconds of the first record that waits."""


class Reader(Protocol):
    """Reads for one output, from its committed offset on."""

    def read(self, nbytes: int) -> Chunk | None:
        """The next records after those read before, about so many bytes; None when there are none.

        Raises:
            Rewound: The offset was moved from outside.
        """

    def commit(self, end: int) -> None:
        """Everything below this offset, in its lane, is settled.

        Durable on return, or soon: what is not yet is delivered again after a crash.

        Raises:
            Rewound: The offset was moved from outside; nothing was committed.
        """

    def standing(self) -> Standing:
        """How far the output is."""

    def close(self) -> None:
        """Close."""


class Log(Protocol):
    """Opens writers and readers, keeps the log within its limits, moves offsets."""

    def writer(self, policy: Policy | None = None) -> Writer:
        """A writer for this process, with the log's policy or another."""

    def reader(self, output: str, *, at_end: bool = False) -> Reader:
        """A reader for an output; a new output starts at the oldest record kept, or at the end."""

    def sweep(self, outputs: Sequence[str]) -> Mapping[str, int]:
        """Drop what all outputs have settled and retention does not keep; give space back.

        Returns:
            Undelivered records dropped by reason ("age", "full", "damaged").
        """

    def rewind(self, output: str, received: int) -> int:
        """Set an output back to the first record received at or after a time (milliseconds).

        Never forward: what was not delivered is not skipped.

        Returns:
            How many records will be sent again.
        """

    def size(self) -> tuple[int, int] | None:
        """Bytes on disk and records kept; None when they are not on this machine."""

    def claim(self) -> None:
        """Keep any other forwarder off what this one keeps on this machine, until `close`.

        Raises:
            LogRefused: Another one runs.
        """

    def close(self) -> None:
        """Close what writers and readers share."""
