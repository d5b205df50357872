"""Worker processes, one pipe each: batches go out in turn and come back in the same turn.

A worker has at most one batch at a time, so nobody ever waits to write to somebody who waits to
write, memory is bounded, and a death shows at once as the end of its pipe.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from datto_siem.plugins.cli import interrupts
from datto_siem.plugins.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from multiprocessing.connection import Connection

    from datto_siem.plugins.cli.tally import Tally
    from datto_siem.plugins.cli.work import Batch, Settings

_PATIENCE = 1.0  # seconds for a worker to leave by itself


def results(
    batches: Iterable[Batch], settings: Settings, count: int
) -> Generator[tuple[bytes, Tally]]:
    """Convert batches, in order; processes are started as batches come.

    Raises:
        Failure: A worker died.
        RuntimeError: An error of ours in a worker.
    """
    idle: deque[_Process] = deque()
    busy: deque[_Process] = deque()
    try:
        for batch in batches:
            if len(busy) == count:
                idle.append(busy.popleft())
                yield idle[-1].receive()
            worker = idle.popleft() if idle else _Process(settings)
            busy.append(worker)
            worker.send(batch)
        while busy:
            idle.append(busy.popleft())
            yield idle[-1].receive()
    finally:
        for worker in (*busy, *idle):
            worker.stop()


class _Process:
    """One worker."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
        resource_tracker.ensure_running()  # here, since starting it lets interrupts through again
        with interrupts.held():  # an interrupt is for this process to handle
            self._process.start()
        theirs.close()

    def send(self, batch: Batch) -> None:
        try:
            self._pipe.send(batch)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> tuple[bytes, Tally]:
        try:
            answer: tuple[bytes, Tally] | str = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if isinstance(answer, str):
            raise RuntimeError(answer)  # noqa: TRY004 - the text of one, from over there
        return answer

    def stop(self) -> None:
        self._pipe.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _death(self) -> Failure:
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        told = "a worker process died" + (f" of signal {-code}" if code and code < 0 else "")
        return Failure(told, "memory may have run out; run it again with fewer --workers")


def _serve(pipe: Connection, settings: Settings) -> None:
    """The whole life of a worker process: it ends when its pipe does."""
    worker = settings.worker()
    while True:
        try:
            batch = pipe.recv()
        except (EOFError, OSError):
            return
        answer: tuple[bytes, Tally] | str
        try:
            answer = worker(batch)
        except Exception as error:
            answer = str(error)  # not every exception can be sent
        try:
            pipe.send(answer)
        except OSError:
            return
