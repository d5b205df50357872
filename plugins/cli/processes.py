"""Worker processes, one pipe each: batches go out in turn and come back in the same turn.

A worker has at most one batch at a time, so nobody ever waits to write to somebody who waits to
write, memory is bounded, and a death shows at once as the end of its pipe. Finished bytes come
after the message that tells their number, into room that is used again: a pipe's own messages are
put together from parts, which costs the receiving process more than all the rest of its work.
"""

from __future__ import annotations

import multiprocessing
import os
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
_RAW = hasattr(os, "readv")  # elsewhere pipes are no files


def results(
    batches: Iterable[Batch], settings: Settings, count: int
) -> Generator[tuple[bytes | memoryview, Tally]]:
    """Convert batches, in order; processes are started as batches come.

    What one batch gave is gone when the next is asked for.

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
        self._room = bytearray()
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

    def receive(self) -> tuple[bytes | memoryview, Tally]:
        try:
            answer: tuple[int, Tally] | str = self._pipe.recv()
            if isinstance(answer, str):
                raise RuntimeError(answer)  # noqa: TRY004 - the text of one, from over there
            size, tally = answer
            return self._content(size), tally
        except (EOFError, OSError) as error:
            raise self._death() from error

    def _content(self, size: int) -> bytes | memoryview:
        if not _RAW:
            return self._pipe.recv_bytes()
        if size > len(self._room):
            self._room = bytearray(size)
        whole = memoryview(self._room)[:size]
        left = whole
        while left:
            count = os.readv(self._pipe.fileno(), [left])
            if count == 0:
                raise EOFError
            left = left[count:]
        return whole

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
        answer: tuple[int, Tally] | str
        content = b""
        try:
            content, tally = worker(batch)
            answer = len(content), tally
        except Exception as error:
            answer = str(error)  # not every exception can be sent
        try:
            pipe.send(answer)
            if not isinstance(answer, str):
                _send(pipe, content)
        except OSError:
            return


def _send(pipe: Connection, content: bytes) -> None:
    if not _RAW:
        pipe.send_bytes(content)
        return
    left = memoryview(content)
    while left:
        left = left[os.write(pipe.fileno(), left) :]
