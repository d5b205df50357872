"""The lanes of one output: the batches of each, and how far each was read, settled and committed.

A log with one lane makes this one `Batches`; Kafka's partitions are a lane each, so that an offset
says something, order holds within a lane, and a lane can leave for another forwarder without the
others. Knows no thread and no sink; the pump's thread uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.batches import Batches
from datto_siem.plugins.forwarder.log import lane_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.forwarder.batches import Batch
    from datto_siem.plugins.sink import Batching


class Lane:
    """One lane.

    Attributes:
        batches: Its batches.
        reached: Everything below was read and batched; None before anything was.
        committed: Everything below was committed.
    """

    __slots__ = ("batches", "committed", "reached")

    def __init__(self, batching: Batching) -> None:
        """Begin with nothing read."""
        self.batches = Batches(batching)
        self.reached: int | None = None
        self.committed = 0

    @property
    def mark(self) -> int | None:
        """The offset below which everything is settled, where that is news; else None."""
        if self.reached is None:
            return None
        mark = self.batches.watermark(self.reached)
        return mark if mark > self.committed else None


class Lanes:
    """All lanes of an output that this process reads."""

    def __init__(self, batching: Batching) -> None:
        """Begin with none."""
        self._batching = batching
        self._lanes: dict[int, Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        """All of them."""
        return iter(self._lanes.values())

    def at(self, offset: int) -> Lane:
        """The lane of an offset."""
        number = lane_of(offset)
        found = self._lanes.get(number)
        if found is None:
            found = self._lanes[number] = Lane(self._batching)
        return found

    @property
    def held(self) -> int:
        """Bytes of memory that batches being filled take."""
        return sum([lane.batches.held for lane in self])

    def aged(self, now: float, wall: float) -> list[Batch]:
        """Close what has waited long enough; see `Batches.aged`."""
        return [batch for lane in self for batch in lane.batches.aged(now, wall)]

    def due(self, now: float, wall: float) -> float | None:
        """Seconds until `aged` may close something; None when nothing is open."""
        dues = [due for lane in self if (due := lane.batches.due(now, wall)) is not None]
        return min(dues, default=None)

    def close_oldest(self) -> list[Batch]:
        """Close the oldest batch of the lane that holds most, to free memory."""
        for lane in sorted(self, key=lambda lane: lane.batches.held, reverse=True):
            closed = lane.batches.close_oldest()
            if closed:
                return closed
        return []

    def close_rest(self) -> list[Batch]:
        """Close everything at the end; see `Batches.close_rest`."""
        return [batch for lane in self for batch in lane.batches.close_rest()]

    def leave(self, offset: int) -> list[Batch]:
        """Close what is open in a lane that leaves soon; nothing more comes of it."""
        return self.at(offset).batches.close_rest()

    def settled(self, batch: Batch) -> None:
        """Nothing of a batch is left to do."""
        lane = self._lanes.get(lane_of(batch.first))
        if lane is not None:  # else it has left meanwhile
            lane.batches.settled(batch)

    def forget(self, offset: int | None = None) -> None:
        """Nothing read so far counts, in the lane of an offset or in all."""
        numbers = list(self._lanes) if offset is None else [lane_of(offset)]
        for number in numbers:
            lane = self._lanes.pop(number, None)
            if lane is not None:
                lane.batches.forget()
