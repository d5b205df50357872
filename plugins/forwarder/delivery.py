"""One batch until it is settled: sent, sent again, halved, or written to the dead letters.

Owns what becomes of each item by what `send` replies. Pauses are the `gate`'s, files are
`dead_letters`', and which batch comes next is the pump's.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.letters import Letter
from datto_siem.plugins.sink import Next, Reply, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datto_siem.plugins.forwarder.batches import Batch
    from datto_siem.plugins.forwarder.gate import Gate
    from datto_siem.plugins.forwarder.letters import Letters
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.sink import Item, Sink

_LOG = logging.getLogger(__name__)
_TOO_LARGE = "too large for the destination"


class Delivery:
    """Settles batches of one output; used by all its sender threads.

    Args:
        output: The output's name.
        sink: The destination.
        gate: Where senders wait.
        dead_letters: Where refused records go.
        meter: Counts.
        wall: Epoch seconds.
    """

    def __init__(
        self,
        output: str,
        sink: Sink,
        gate: Gate,
        dead_letters: Letters,
        meter: Meter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Bundle what settling needs."""
        self._output, self._sink, self._gate = output, sink, gate
        self._dead_letters, self._meter, self._wall = dead_letters, meter, wall

    def settle(self, batch: Batch) -> bool:
        """Bring every item of a batch to its end, however long that takes.

        Returns:
            False when the forwarder stops or was rewound first: what is left was not settled.
        """
        waiting: deque[Sequence[int]] = deque([range(len(batch.items))])
        hurried = False
        while waiting:
            if not self._gate.enter():
                return False
            if batch.forgotten:
                self._gate.leave()
                return False
            part = waiting.popleft()
            reply = self._sent([batch.items[at] for at in part])
            refused, left = _sorted_out(reply, part)
            self._count(batch, part, refused, left, reply)
            moved = len(left) < len(part)
            then = reply.next
            if then is Next.AGAIN and left:  # a second time in vain is no progress: pause
                then = Next.RETRY if hurried and not moved else then
                hurried = not moved
            if refused and not self.bury(_letters(batch, refused)):
                return False
            if left:
                self._put_back(waiting, left, then)
            self._tell_gate(reply, then, bool(left), moved)
        return True

    def bury(self, letters: Sequence[Letter]) -> bool:
        """Write dead letters; while that fails the output is halted, for they must not be lost.

        Returns:
            False when the forwarder stops before they are written.
        """
        held = False
        while True:
            try:
                self._dead_letters.write(letters)
            except OSError as error:
                held = True
                self._gate.failed(Next.HALT, f"cannot write dead letters: {error}")
                if not self._gate.enter():
                    return False
            else:
                self._meter.add("dead_letters", len(letters), output=self._output)
                if held:
                    self._gate.succeeded()
                return True

    def _sent(self, items: list[Item]) -> Reply:
        try:
            return self._sink.send(items)
        except Exception as error:  # the contract forbids it: a fault of ours costs no records
            _LOG.exception("output %s: fault while sending", self._output)
            return whole(len(items), Next.RETRY, f"fault while sending: {type(error).__name__}")

    def _put_back(self, waiting: deque[Sequence[int]], left: list[int], then: Next) -> None:
        """What comes next, ahead of the rest, so that order is kept."""
        if then is Next.SPLIT:
            half = len(left) // 2
            waiting.extendleft((left[half:], left[:half]))
        else:
            waiting.appendleft(left)

    def _tell_gate(self, reply: Reply, then: Next, left: bool, moved: bool) -> None:
        if left and then in (Next.RETRY, Next.HALT):
            self._gate.failed(then, reply.reason, reply.after, moved=moved)
        else:
            self._gate.succeeded()  # it answers
            if reply.slow:
                self._gate.slow(reply.after)

    def _count(
        self,
        batch: Batch,
        part: Sequence[int],
        refused: dict[int, str],
        left: list[int],
        reply: Reply,
    ) -> None:
        """What a reply means for the metrics."""
        add, output = self._meter.add, self._output
        result = reply.next.value if left else "rejected" if refused else "taken"
        add("requests", 1, output=output, result=result)
        if left:
            add("retried_records", len(left), output=output)
        if reply.diverted:
            add("diverted_records", reply.diverted, output=output)
        taken = len(part) - len(refused) - len(left)
        if not taken:
            return
        if taken == len(batch.items):
            nbytes = sum([len(item.body) for item in batch.items])
        else:
            other = {*refused, *left}
            nbytes = sum([len(batch.items[at].body) for at in part if at not in other])
        add("delivered_records", taken, output=output)
        add("delivered_bytes", nbytes, output=output)
        self._meter.set("last_delivery", self._wall(), output=output)


def _sorted_out(reply: Reply, part: Sequence[int]) -> tuple[dict[int, str], list[int]]:
    """Refused and left items by their place in the batch."""
    if not reply.left and not reply.rejected:
        return {}, []
    refused = {part[at]: why for at, why in reply.rejected.items()}
    left = sorted({part[at] for at in reply.left} - refused.keys())
    if reply.next is Next.SPLIT and len(left) == 1:
        refused[left.pop()] = reply.reason or _TOO_LARGE
    return refused, left


def _letters(batch: Batch, refused: dict[int, str]) -> list[Letter]:
    return [
        Letter(batch.records[at], refused[at], batch.items[at].body, batch.items[at].key)
        for at in sorted(refused)
    ]
