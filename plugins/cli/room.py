"""Memory that two processes see, for what is too much to send through a pipe."""

from __future__ import annotations

import mmap
import os
from multiprocessing import reduction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 16 << 20
"""Bytes of one half of a room; what nobody wrote to takes none."""


class Room:
    """One room: a file without a name, mapped by the process that made it and by one that gets it.

    Sending it to a process that is being started gives that one its own view of the same memory.
    Both use its halves in turn, so that one content can be read while the next is written.
    """

    def __init__(self, descriptor: int) -> None:
        """Map a file of twice `SIZE` bytes."""
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 2 * SIZE)
        self._start = SIZE

    @classmethod
    def made(cls) -> Room | None:
        """A new room; None where the system has no files without names."""
        create: Callable[[str], int] | None = getattr(os, "memfd_create", None)
        if create is None:
            return None
        try:
            descriptor = create("datto-siem")
        except OSError:  # a system that forbids it: pipes will do
            return None
        try:
            os.truncate(descriptor, 2 * SIZE)
            return cls(descriptor)
        except OSError:
            os.close(descriptor)
            return None

    def __reduce__(self) -> tuple[Callable[..., Room], tuple[object]]:
        """For the process that is being started."""
        return _received, (reduction.DupFd(self._descriptor),)

    def handed_on(self) -> None:
        """Nobody else needs it."""
        os.close(self._descriptor)

    def put(self, content: bytes) -> bool:
        """Write to the next half; False when it does not fit, and nothing is written."""
        if len(content) > SIZE:
            return False
        start = self._turn()
        self._memory[start : start + len(content)] = content
        return True

    def get(self, size: int) -> memoryview:
        """What was put to the next half; it stays until the one after it was got."""
        start = self._turn()
        return memoryview(self._memory)[start : start + size]

    def _turn(self) -> int:
        self._start = SIZE - self._start
        return self._start


def _received(sent: Any) -> Room:  # the descriptor, as `multiprocessing` hands it on
    room = Room(sent.detach())
    room.handed_on()
    return room
