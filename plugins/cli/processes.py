"""Worker processes, one pipe each: batches go out in turn and come back in the same turn.

A worker has at most one batch at a time, so nobody ever waits to write to somebody who waits to
write, memory is bounded, and a death shows at once as the end of its pipe. Finished bytes come in
memory that both see, where the system has that: sending them would cost this process more than all
the rest of its work, and it shares the cores with the workers.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from datto_siem.plugins.cli import interrupts
from datto_siem.plugins.cli.failure import Failure
from datto_siem.plugins.cli.room import Room

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from multiprocessing.connection import Connection

    from datto_siem.plugins.cli.tally import Tally
    from datto_siem.plugins.cli.work import Batch, Settings

    _Answer = tuple[int | None, Tally] | str
    """Size of what is in the room, or None for bytes that follow; or the text of an error."""

_PATIENCE = 1.0  # seconds for a worker to leave by itself


def results(
    batches: Iterable[Batch], settings: Settings, count: int
) -> Generator[tuple[bytes | memoryview, Tally]]:
    """Convert batches, in order; processes are started as batches come.

    A worker has its next batch before what the last one gave is handed on; that is gone when the
    next is asked for.

    Raises:
        Failure: A worker died.
        RuntimeError: An error of ours in a worker.
    """
    workers: list[_Process] = []
    busy: deque[_Process] = deque()
    try:
        for batch in batches:
            if len(busy) < count:
                workers.append(_Process(settings))
                busy.append(workers[-1])
                workers[-1].send(batch)
                continue
            found = busy[0].receive()
            busy[0].send(batch)
            busy.rotate(-1)
            yield found
        while busy:
            yield busy.popleft().receive()
    finally:
        for worker in workers:
            worker.stop()


class _Process:
    """One worker."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._room = Room.made()
        arguments = (theirs, settings, self._room)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        resource_tracker.ensure_running()  # here, since starting it lets interrupts through again
        with interrupts.held():  # an interrupt is for this process to handle
            self._process.start()
        theirs.close()
        if self._room is not None:
            self._room.handed_on()

    def send(self, batch: Batch) -> None:
        try:
            self._pipe.send(batch)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> tuple[bytes | memoryview, Tally]:
        try:
            answer: _Answer = self._pipe.recv()
            if isinstance(answer, str):
                raise RuntimeError(answer)  # noqa: TRY004 - the text of one, from over there
            size, tally = answer
            if size is None or self._room is None:
                return self._pipe.recv_bytes(), tally
            return self._room.get(size), tally
        except (EOFError, OSError) as error:
            raise self._death() from error

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


def _serve(pipe: Connection, settings: Settings, room: Room | None) -> None:
    """The whole life of a worker process: it ends when its pipe does."""
    worker = settings.worker()
    while True:
        try:
            batch = pipe.recv()
        except (EOFError, OSError):
            return
        answer: _Answer
        content = b""
        try:
            content, tally = worker(batch)
            is_put = room is not None and room.put(content)
            answer = (len(content) if is_put else None), tally
        except Exception as error:
            answer = str(error)  # not every exception can be sent
        try:
            pipe.send(answer)
            if answer[0] is None:
                pipe.send_bytes(content)
        except OSError:
            return
