"""Daemons under test: records in by UDP, what became of each out of a file that they write."""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING

from running import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_AHEAD = 100_000  # bytes on their way: fewer than a socket's buffer holds
_COST = 1_500  # of each datagram beside its own bytes
MARK = b"\x1e"  # ends a record in the file: records may hold line feeds


class Relay:
    """A port to send to and the file that a daemon writes."""

    def __init__(self, out: Path, mark: bytes = MARK) -> None:
        self.port = free_port(socket.SOCK_DGRAM)
        self.out = out
        self._mark = mark
        self.said: Callable[[], str] = str
        self._read = self._marks = 0

    def answers(self, lines: list[bytes]) -> list[bytes]:
        """What became of each line, in order."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

            def send(line: bytes) -> None:
                sender.sendto(line, ("127.0.0.1", self.port))

            def first() -> bool:
                send(b"<13>Nov 24 09:58:20 start probe: is anybody there")
                return bool(self._count())

            until(first, "a first answer")
            send(b"<13>Nov 24 09:58:20 start probe: the last")
            until(lambda: b"the last" in self.out.read_bytes(), "all probes read")
            skipped = self._count()
            ahead: deque[int] = deque()
            done = skipped
            for line in lines:
                send(line)
                ahead.append(len(line) + _COST)
                while sum(ahead) > _AHEAD:
                    ahead.popleft()
                    done += 1
                    self._wait(done, line)
            self._wait(skipped + len(lines), lines[-1])
        return self.out.read_bytes().split(self._mark)[skipped:-1]

    def _wait(self, count: int, line: bytes) -> None:
        until(lambda: self._count() >= count, f"{count} answers: {line[:80]!r} {self.said()}")

    def _count(self) -> int:
        """Marks in the file; only what was added since is read."""
        if self.out.exists():
            with self.out.open("rb") as file:
                file.seek(self._read)
                added = file.read()
            self._read += len(added)
            self._marks += added.count(self._mark)
        return self._marks
