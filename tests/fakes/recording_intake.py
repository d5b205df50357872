"""An intake that remembers what listeners put, and can be made to refuse reading on."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datto_siem.plugins.source import Arrival, Listener, Mark

PATIENCE = 60.0


class RecordingIntake:
    """A `source.Intake`.

    Attributes:
        arrivals: Everything put.
        marks: The last mark of each source.
        full: Whether it is pressed.
        failure: Raised by `put` when set.
        waits: How often a listener waited for room.
    """

    def __init__(self, marks: dict[str, str] | None = None) -> None:
        self.arrivals: list[Arrival] = []
        self.marks = dict(marks or {})
        self.full = False
        self.failure: Exception | None = None
        self.waits = 0
        self._changed = threading.Condition()

    def put(self, arrivals: Sequence[Arrival], mark: Mark | None = None) -> None:
        if self.failure is not None:
            raise self.failure
        with self._changed:
            self.arrivals += arrivals
            if mark is not None:
                self.marks[mark.source] = mark.position
            self._changed.notify_all()

    def pressed(self) -> bool:
        return self.full

    def relieved(self, timeout: float) -> bool:
        with self._changed:
            self.waits += 1
            return self._changed.wait_for(lambda: not self.full, min(timeout, 0.01))

    def flush(self, timeout: float) -> bool:
        return True

    def mark(self, source: str) -> str | None:
        return self.marks.get(source)

    def raws(self) -> list[bytes]:
        with self._changed:
            return [arrival.raw for arrival in self.arrivals]

    def wait(self, count: int) -> list[bytes]:
        """Wait until so many records are there; all there are."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrivals) >= count, PATIENCE), (
                f"{len(self.arrivals)} of {count} records: {self.arrivals[-3:]}"
            )
            return [arrival.raw for arrival in self.arrivals]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.005)


@contextlib.contextmanager
def running(listener: Listener) -> Iterator[Listener]:
    """Run a listener in a thread; stop it at the end, raise what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            listener.run()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener
    finally:
        listener.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the listener does not stop"
    if raised:
        raise raised[0]
