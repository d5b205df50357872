"""What a sink is: turns records into items, sends items, says what became of each.

A sink knows one destination's protocol and nothing else. It keeps no queue and retries nothing: the
forwarder batches, waits, splits, dead-letters and moves the offset, by what `send` replies. A
sink's module under `plugins/sinks/` exports

* `USAGE`: what it is for and what the destination must have ready, for `--help` and the README,
* `Config`: a frozen dataclass of its options (`datto_siem.plugins.options`),
* `EXAMPLE`: a TOML fragment that is a valid `[[output]]` of this type,
* `connect(config, context) -> Sink`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from datto_siem.plugins.record import Record


class Item(NamedTuple):
    """What a request holds for one record.

    Attributes:
        body: Finished bytes; the request joins them without looking inside.
        key: Items of one request share it (an index, a stream); "" when it does not matter.
    """

    body: bytes
    key: str = ""


class Next(Enum):
    """What to do with items that were not taken."""

    RETRY = "retry"
    """Send again after a pause that grows; the destination is busy, away or unsure."""
    AGAIN = "again"
    """Send again at once; the destination took some and stopped (HEC after a bad event)."""
    SPLIT = "split"
    """Send in halves; a single item that still does not fit is a dead letter."""
    HALT = "halt"
    """Keep everything, alarm, and try seldom: somebody has to mend a credential or a name."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the destination did with the items of one `send`.

    Items neither in `left` nor in `rejected` were taken.

    Attributes:
        left: Positions of items that were not taken and can be sent again.
        next: What to do with those.
        rejected: Position -> why the destination will never take it: a dead letter.
        after: Seconds the destination asked to wait (Retry-After), or None.
        reason: What the destination said, for logs and status: short, no secret, may hold text
            from the wire (whoever shows it escapes it).
        slow: It took all and asks to slow down.
        diverted: Items it took but put aside (Elasticsearch's failure store).
    """

    left: Sequence[int] = ()
    next: Next = Next.RETRY
    rejected: Mapping[int, str] = field(default_factory=dict)
    after: float | None = None
    reason: str = ""
    slow: bool = False
    diverted: int = 0


TAKEN = Reply()


def whole(count: int, then: Next, reason: str, after: float | None = None) -> Reply:
    """None of `count` items was taken."""
    return Reply(range(count), then, reason=reason, after=after)


@dataclass(frozen=True, slots=True)
class Batching:
    """How much one `send` takes; what a sink proposes and its destination cannot exceed.

    The forwarder closes a batch before an item that would break `count` or `nbytes`, so a request
    of a batch of items with bodies b is at most `fixed + sum(len(b) + each)` bytes. A single item
    may exceed `nbytes`: `send` decides what becomes of it.

    Attributes:
        count: Most items.
        nbytes: Most bytes.
        age: Seconds after which a batch is sent though it is not full.
        each: Bytes the framing adds an item.
        fixed: Bytes the framing adds a request.
        window: When set, batches also end where the receive time crosses a multiple of so many
            seconds, and `count` and `nbytes` count over all keys: the same log always gives the
            same batches, so that an object made of a batch overwrites itself when sent twice.
    """

    count: int
    nbytes: int
    age: float
    each: int = 0
    fixed: int = 0
    window: float | None = None


class Level(Enum):
    """How a finding of `doctor` is meant."""

    GOOD = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """One thing `doctor` looked at.

    Attributes:
        level: Good, warning or fault.
        what: What was looked at: "reach https://splunk.example:8088", "token", "index main".
        said: What was found.
        remedy: What to do next; "" when nothing.
    """

    level: Level
    what: str
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a sink needs to know beside its own options.

    Attributes:
        name: The output's name in the configuration.
        state: A directory of the sink's own for what it must remember; made when used.
        overlay: The user's mapping tables, or None.
        switches: Senders known to be Datto switches.
    """

    name: str
    state: Path
    overlay: Path | None = None
    switches: tuple[str, ...] = ()


class Sink(Protocol):
    """A destination, ready to take items. `send` is called from several threads at once."""

    batching: Batching

    def item(self, record: Record) -> Item | None:
        """A record as this destination takes it; None when it has no place for it.

        Called from one thread. Never raises on input: an undecodable record gives the target's
        fallback document. None means "not for this destination" (counted as skipped).
        """

    def send(self, items: Sequence[Item]) -> Reply:
        """Send items of one key; blocks until the destination answered or a time-out.

        Never raises for what a destination or network does: that is a `Reply`. Whether an
        unanswered request was taken is unknown, so it is `RETRY`.
        """

    def check(self, test: Record | None) -> Iterable[Finding]:
        """Look at everything the destination must have ready.

        Args:
            test: A record to deliver on request, marked as a test; None: change nothing there.
        """

    def close(self) -> None:
        """Let go of connections and threads."""
