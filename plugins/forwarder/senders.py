"""The sender threads of one output, and the short queue of batches before them.

Owns how much waits and flies at once: the queue is as long as there are threads, and what all
batches hold in memory is capped, so a slow destination slows the pump down and nothing else grows.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datto_siem.plugins.forwarder.batches import Batch


class Senders:
    """Threads that settle batches.

    Args:
        settle: Settles one batch; False when it could not.
        name: For the threads' names.
        count: How many threads; 1 keeps the order of batches.
        held: Most bytes of memory for batches here; one batch always fits.
    """

    def __init__(self, settle: Callable[[Batch], bool], name: str, count: int, held: int) -> None:
        """Prepare the threads; they are daemons, as a request under way cannot be cut off."""
        self._settle, self._count, self._held = settle, count, held
        self._changed = threading.Condition()
        self._queue: deque[Batch] = deque()
        self._done: deque[Batch] = deque()
        self._flying = 0
        self._stopping = self._ending = False
        self.fault: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{at}", daemon=True)
            for at in range(count)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def offer(self, batch: Batch, timeout: float) -> bool:
        """Queue a batch; waits for room, at most `timeout` seconds; whether it was taken."""
        with self._changed:
            if not self._room(batch):
                if not self._stopping and not self._done:
                    self._changed.wait(timeout)
                if not self._room(batch):
                    return False
            self._queue.append(batch)
            self._flying += batch.held
            self._changed.notify_all()
            return True

    def rest(self, timeout: float) -> None:
        """Wait until a batch is settled or `stop` is called, at most `timeout` seconds."""
        with self._changed:
            if not self._stopping and not self._done and self.fault is None:
                self._changed.wait(timeout)

    def settled(self) -> list[Batch]:
        """Batches settled since the last call."""
        if not self._done:
            return []
        with self._changed:
            done = list(self._done)
            self._done.clear()
            return done

    def forget(self) -> None:
        """Throw away what is queued and what was settled."""
        with self._changed:
            self._flying -= sum(batch.held for batch in self._queue)
            self._queue.clear()
            self._done.clear()

    def stop(self) -> None:
        """Let the pump wait here no more; from any thread or a signal handler."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def finish(self, last: Iterable[Batch], grace: float) -> None:
        """Queue the last batches, and wait for the threads, at most `grace` seconds."""
        until = time.monotonic() + grace
        with self._changed:
            for batch in last:
                self._queue.append(batch)
                self._flying += batch.held
            self._stopping = self._ending = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _room(self, batch: Batch) -> bool:
        if not self._flying:
            return True
        return len(self._queue) < self._count and self._flying + batch.held <= self._held

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._ending:
                        return
                    self._changed.wait()
                batch = self._queue.popleft()
                self._changed.notify_all()
            settled = False
            try:
                settled = self._settle(batch)
            except BaseException as error:  # the pump raises it
                self.fault = error
            with self._changed:
                self._flying -= batch.held
                if settled:
                    self._done.append(batch)
                self._changed.notify_all()
            if not settled and not batch.forgotten:  # the end: a later one must not overtake it
                return
