"""Worker processes beside this one, which converts too while all others have enough to do.

The first batch is this process's own: a short input needs no other, and a worker that is forked
(on Linux, while there is one thread) knows all that was compiled for it. Elsewhere workers start
anew.

Batches and finished bytes lie in memory that both processes see, where the system has that: sending
them would cost this process more than all the rest of its work. What goes through a pipe is then so
small that nobody waits to write, and a worker can have its next batch before it has finished the
last. Elsewhere it has one at a time, so that nobody ever waits to write to somebody who waits to
write. Memory is bounded either way, and a death shows at once as the end of a pipe.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections import deque
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from datto_siem.plugins.archives import BYTES
from datto_siem.plugins.cli import interrupts
from datto_siem.plugins.cli.room import Room
from datto_siem.plugins.cli.work import Batch
from datto_siem.plugins.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from datto_siem.plugins.cli.tally import Tally
    from datto_siem.plugins.cli.work import Settings, Worker

    _Answer = tuple[int | None, Tally] | str
    """Size of what is in the room, or None for bytes that follow; or the text of an error."""
    _Rooms = tuple[Room | None, Room | None]
    """For batches, and for what becomes of them."""

_PATIENCE = 1.0  # seconds for a worker to leave by itself
_MOST = 16
"""Batches under way, or finished before their turn: a worker that is being started takes as long as
this process for so many."""


def results(
    batches: Iterable[Batch], settings: Settings, worker: Worker, count: int
) -> Generator[tuple[bytes | memoryview, Tally]]:
    """Convert batches, in order; processes are started as batches come.

    What one gave is gone when the next is asked for.

    Args:
        batches: The work.
        settings: For the workers of other processes.
        worker: The worker of this process.
        count: How many processes, this one among them.

    Raises:
        Failure: A worker died.
        RuntimeError: An error of ours in a worker.
    """
    others: list[_Process] = []
    begun = False
    turns: deque[_Process | tuple[bytes, Tally]] = deque()

    def first() -> Generator[tuple[bytes | memoryview, Tally]]:
        turn = turns.popleft()
        if isinstance(turn, _Process):
            yield turn.receive()
            turn.has -= 1  # only now: what it gave was read until here
        else:
            yield turn

    try:
        for batch in batches:
            if begun and len(others) < count - 1:
                others.append(_Process(settings, worker, others))
            begun = True
            idlest = min(others, key=lambda each: each.has, default=None)
            if idlest is not None and idlest.has < idlest.most:
                idlest.send(batch)
                turns.append(idlest)
            else:
                turns.append(worker(batch))
            while turns and (len(turns) > _MOST + count or _is_there(turns[0])):
                yield from first()
        while turns:
            yield from first()
    finally:
        for each in others:
            each.stop()


def _is_there(turn: _Process | tuple[bytes, Tally]) -> bool:
    return not isinstance(turn, _Process) or turn.has_answered()


class _Process:
    """Another worker.

    Attributes:
        has: How many batches it has, those among them that were not taken from it yet.
        most: How many it may have.
    """

    def __init__(self, settings: Settings, worker: Worker, before: Sequence[_Process]) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._rooms: _Rooms = (Room.made(), Room.made())
        self.has = 0
        self.most = 1 if None in self._rooms else 2
        self._process: BaseProcess
        if can_fork():
            ours = [each._pipe for each in (*before, self)]
            forked = (theirs, worker, self._rooms, ours)
            context = multiprocessing.get_context("fork")
            self._process = context.Process(target=_serve_forked, args=forked, daemon=True)
        else:
            spawned = (theirs, settings, self._rooms)
            new = multiprocessing.get_context("spawn")
            self._process = new.Process(target=_serve_spawned, args=spawned, daemon=True)
            resource_tracker.ensure_running()  # here: starting it lets interrupts through again
        with interrupts.held():  # an interrupt is for this process to handle
            self._process.start()
        theirs.close()
        for room in self._rooms:
            if room is not None:
                room.handed_on()

    def has_answered(self) -> bool:
        return self._pipe.poll()

    def send(self, batch: Batch) -> None:
        self.has += 1
        content = "\n".join(batch.records).encode(BYTES)  # records are lines
        is_put = self._rooms[0] is not None and self._rooms[0].put(content)
        try:
            self._pipe.send((len(content) if is_put else None, batch.first, batch.received))
            if not is_put:
                self._pipe.send_bytes(content)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> tuple[bytes | memoryview, Tally]:
        try:
            answer: _Answer = self._pipe.recv()
            if isinstance(answer, str):
                raise RuntimeError(answer)  # noqa: TRY004 - the text of one, from over there
            size, tally = answer
            return _taken(self._pipe, self._rooms[1], size), tally
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


def _taken(pipe: Connection, room: Room | None, size: int | None) -> bytes | memoryview:
    """What was put in a room, or what follows in the pipe."""
    return pipe.recv_bytes() if size is None or room is None else room.get(size)


def can_fork() -> bool:
    """Whether a copy of this process is a sound worker: other threads would be missing there."""
    return sys.platform == "linux" and threading.active_count() == 1


def _serve_forked(
    pipe: Connection, worker: Worker, rooms: _Rooms, ours: Iterable[Connection]
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # this process has nothing to take away
    for each in ours:  # or the end of a pipe would never show
        each.close()
    _serve(pipe, worker, rooms)


def _serve_spawned(pipe: Connection, settings: Settings, rooms: _Rooms) -> None:
    _serve(pipe, settings.worker(), rooms)


def _serve(pipe: Connection, worker: Worker, rooms: _Rooms) -> None:
    """The whole life of a worker process: it ends when its pipe does."""
    given, room = rooms
    while True:
        try:
            size, first, received = pipe.recv()
            records = str(_taken(pipe, given, size), BYTES).split("\n")
        except (EOFError, OSError):
            return
        answer: _Answer
        content = b""
        try:
            content, tally = worker(Batch(records, first, received))
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
