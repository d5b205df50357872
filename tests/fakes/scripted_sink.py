"""A destination that does what a test says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from datto_siem.plugins.sink import TAKEN, Batching, Item, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Finding

    Script = Callable[[Sequence[Item]], Reply]


def take_all(items: Sequence[Item]) -> Reply:
    return TAKEN


class ScriptedSink:
    """Items are the records as they are; replies come from a list, then from a function.

    Attributes:
        taken: Bodies the destination took, in order.
        sent: Bodies of each request, in order.
        replies: The next replies; an exception is raised.
        then: What answers when the list is used up.
        key: A record's key.
        made: What `item` gives; may raise.
    """

    def __init__(
        self,
        replies: Iterable[Reply | Exception] = (),
        then: Script = take_all,
        batching: Batching | None = None,
        key: Callable[[Record], str] = lambda record: "",
    ) -> None:
        self.batching = batching or Batching(count=10, nbytes=10_000, age=0.01)
        self.replies = list(replies)
        self.then = then
        self.key = key
        self.taken: list[bytes] = []
        self.sent: list[list[bytes]] = []
        self.lock = threading.Lock()
        self.made: Callable[[Record], Item | None] = lambda record: Item(
            record.raw, self.key(record)
        )

    def item(self, record: Record) -> Item | None:
        return self.made(record)

    def send(self, items: Sequence[Item]) -> Reply:
        assert items
        assert len({item.key for item in items}) == 1
        with self.lock:
            self.sent.append([item.body for item in items])
            reply = self.replies.pop(0) if self.replies else None
        if isinstance(reply, Exception):
            raise reply
        if reply is None:
            reply = self.then(items)
        others = {*reply.left, *reply.rejected}
        with self.lock:
            self.taken += [item.body for at, item in enumerate(items) if at not in others]
        return reply

    def check(self, test: Record | None) -> Iterable[Finding]:
        return ()

    def close(self) -> None:
        """Nothing to let go of."""
