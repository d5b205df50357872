"""Batches: which items go out together, and how far an output is settled.

Owns the rules of `Batching`: when a batch closes, and the low watermark below which everything is
settled. Knows no thread, no sink and no log; one thread (the pump's) uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Batching, Item

_ABOUT_EACH = 400
"""Bytes of memory the objects of a record and its item take beside their contents."""


class Batch:
    """Items of one key that one `send` gets, and the records they came from.

    Attributes:
        records: The records, in order of the log.
        items: Their items.
        nbytes: Bytes of a request of them, by `Batching`.
        held: Bytes of memory they take.
        first: No record of it, nor of its window, has a lower offset.
        opened: When it was begun, in seconds of the pump's clock.
        forgotten: The output was rewound: do not send it any more.
    """

    __slots__ = ("first", "forgotten", "held", "items", "nbytes", "opened", "records")

    def __init__(self, first: int, opened: float, fixed: int) -> None:
        """Begin empty."""
        self.records: list[Record] = []
        self.items: list[Item] = []
        self.nbytes = fixed
        self.held = 0
        self.first = first
        self.opened = opened
        self.forgotten = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration says of batches; None leaves what the sink proposes."""

    count: int | None = None
    nbytes: int | None = None
    age: float | None = None


def capped(proposed: Batching, limits: Limits) -> Batching:
    """A sink's proposal with the configuration's wishes; the sink's sizes stay the upper bound."""
    return replace(
        proposed,
        count=min(proposed.count, limits.count or proposed.count),
        nbytes=min(proposed.nbytes, limits.nbytes or proposed.nbytes),
        age=proposed.age if limits.age is None else limits.age,
    )


class Batches:
    """The batches that are being filled, and those under way.

    `add` is called for each record and says which batches it closed; the caller hands those over
    before it adds more.
    """

    def __init__(self, batching: Batching) -> None:
        """Begin with none."""
        self._batching = batching
        self._window = None if batching.window is None else max(1, int(batching.window * 1000))
        self._open: dict[str, Batch] = {}
        self._unsettled: set[Batch] = set()
        self._at: int | None = None
        self._count = 0
        self._nbytes = batching.fixed

    @property
    def held(self) -> int:
        """Bytes of memory that batches being filled take."""
        return sum(batch.held for batch in self._open.values())

    def add(self, record: Record, item: Item, now: float) -> list[Batch]:
        """Put an item into its batch; returns batches that closed before it."""
        body, key = item
        batching = self._batching
        size = len(body) + batching.each
        batch = self._open.get(key)
        closed: list[Batch] = []
        if self._window is not None:
            at = record.received // self._window
            full = self._count >= batching.count or self._nbytes + size > batching.nbytes
            if self._open and (at != self._at or full):
                closed, batch = self.close_all(), None
            self._at = at
            self._count += 1
            self._nbytes += size
        elif batch is not None and (
            len(batch.items) >= batching.count or batch.nbytes + size > batching.nbytes
        ):
            closed, batch = [self._close(key)], None
        if batch is None:
            batch = self._begin(key, record.offset, now)
        batch.records.append(record)
        batch.items.append(item)
        batch.nbytes += size
        batch.held += len(body) + len(record.raw) + _ABOUT_EACH
        return closed

    def aged(self, now: float, wall: float) -> list[Batch]:
        """Close what has waited long enough.

        A window closes by the wall clock, `age` after its end: not by when it was begun, or two
        runs over the same log would give different batches.

        Args:
            now: Seconds of the pump's clock.
            wall: Epoch seconds.
        """
        age = self._batching.age
        if self._window is not None:
            over = self._at is not None and wall >= (self._at + 1) * self._window / 1000 + age
            return self.close_all() if over and self._open else []
        old = [key for key, batch in self._open.items() if now - batch.opened >= age]
        return [self._close(key) for key in old]

    def due(self, now: float, wall: float) -> float | None:
        """Seconds until `aged` may close something; None when nothing is open."""
        if not self._open:
            return None
        if self._window is not None and self._at is not None:
            return (self._at + 1) * self._window / 1000 + self._batching.age - wall
        return min(batch.opened for batch in self._open.values()) + self._batching.age - now

    def close_oldest(self) -> list[Batch]:
        """Close the oldest batch to free memory; windows stay whole, their size is their bound."""
        if self._window is not None or not self._open:
            return []
        return [self._close(min(self._open, key=lambda key: self._open[key].first))]

    def close_rest(self) -> list[Batch]:
        """Close everything at the end, but a window that is not over: it will be read again."""
        return [] if self._window is not None else self.close_all()

    def close_all(self) -> list[Batch]:
        """Close everything."""
        closed = list(self._open.values())
        self._open.clear()
        self._count, self._nbytes = 0, self._batching.fixed
        return closed

    def settled(self, batch: Batch) -> None:
        """Nothing of a batch is left to do."""
        self._unsettled.discard(batch)

    def forget(self) -> None:
        """The output was rewound: nothing read so far counts."""
        for batch in self._unsettled:
            batch.forgotten = True
        self._unsettled.clear()
        self.close_all()

    def watermark(self, reached: int) -> int:
        """The offset below which everything is settled, when everything below `reached` was added.

        A window's batches share their first offset, so it moves only from window to window.
        """
        return min([reached, *[batch.first for batch in self._unsettled]])

    def _begin(self, key: str, offset: int, now: float) -> Batch:
        first = offset
        if self._window is not None and self._open:
            first = next(iter(self._open.values())).first
        batch = self._open[key] = Batch(first, now, self._batching.fixed)
        self._unsettled.add(batch)
        return batch

    def _close(self, key: str) -> Batch:
        return self._open.pop(key)
