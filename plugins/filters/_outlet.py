"""The sidecar's way out: one connection, made again when it breaks, with nothing accepted lost.

TCP tells a sender nothing about what the other side read. But the kernel tells how many bytes the
other side's kernel has not confirmed: those are kept here and sent again on the next
connection, from the beginning of a line. What the other process had in its own socket buffer when
it died is beyond anybody's reach: give the shipper a queue of its own against that.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

from datto_siem.plugins.unconfirmed import unconfirmed

if TYPE_CHECKING:
    from datto_siem.plugins.filters._address import Address

_LOG = logging.getLogger(__name__)
_MOST = 4 * 1024 * 1024  # bytes that wait here; above it, `put` waits and so do the shippers
_FIRST, _LAST = 0.1, 5.0


class Outlet:
    """Sends whole lines to an address, in order.

    Args:
        address: Where to.
    """

    def __init__(self, address: Address) -> None:
        """Start the thread that connects and sends."""
        self._address = address
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._unsure: deque[bytes] = deque()  # sent, but the other kernel may not have it
        self._ending = False
        self._grace = 0.0
        self._change = threading.Condition()
        self._stop = threading.Event()
        self.connected = False
        self.sent = 0
        self._thread = threading.Thread(target=self._run, name="outlet")
        self._thread.start()

    def put(self, lines: bytes) -> None:
        """Hand over whole lines; waits while too much waits already.

        Raises:
            ConnectionAbortedError: The outlet is closed; the lines are not taken.
        """
        with self._change:
            while self._size >= _MOST and not self._ending:
                self._change.wait()
            if self._ending:
                raise ConnectionAbortedError("the outlet is closed")
            self._waiting.append(lines)
            self._size += len(lines)
            self._change.notify_all()

    def close(self, grace: float) -> int:
        """Send what waits, for at most so many seconds.

        Returns:
            Bytes that could not be sent.
        """
        with self._change:
            self._ending = True
            self._change.notify_all()
        self._thread.join(grace)
        self._stop.set()
        with self._change:
            self._change.notify_all()
        self._thread.join()
        return self._size + sum(map(len, self._unsure))

    def _run(self) -> None:
        pause = _FIRST
        while not self._stop.is_set():
            try:
                with self._address.connect(5.0) as connection:
                    connection.settimeout(1.0)
                    self.connected = True
                    _LOG.info("connected to %s", self._address.text)
                    pause = _FIRST
                    self._send(connection)
                    return
            except OSError as error:
                if self.connected or pause == _FIRST:
                    _LOG.warning("%s: %s; trying again", self._address.text, error)
                self.connected = False
            if self._ended():
                return
            self._stop.wait(pause)
            pause = min(pause * 2, _LAST)

    def _ended(self) -> bool:
        with self._change:
            return self._ending and not self._waiting and not self._unsure

    def _send(self, connection: socket.socket) -> None:
        """Send until closed, beginning with what the last connection may not have brought."""
        unsure = self._unsure
        for again in list(unsure):
            self._all(connection, again)
        held = sum(map(len, unsure))
        while True:
            lines = self._next()
            if lines is None:
                self._settle(connection)
                return
            if lines:
                unsure.append(lines)
                held += len(lines)
                self._all(connection, lines)
                self.sent += len(lines)
            else:
                _alive(connection)
            behind = unconfirmed(connection)
            while unsure and held - len(unsure[0]) >= behind:
                held -= len(unsure.popleft())

    def _next(self) -> bytes | None:
        """The next lines; b"" after a quiet second, None when closed and nothing waits."""
        with self._change:
            if not self._waiting and not self._ending:
                self._change.wait(1.0)
            if self._waiting:
                lines = self._waiting.popleft()
                self._size -= len(lines)
                self._change.notify_all()
                return lines
            return None if self._ending else b""

    def _all(self, connection: socket.socket, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            try:
                view = view[connection.send(view) :]
            except TimeoutError:
                if self._stop.is_set():
                    raise

    def _settle(self, connection: socket.socket) -> None:
        """Wait until the other kernel has everything."""
        connection.shutdown(socket.SHUT_WR)
        while unconfirmed(connection) > 0:
            if self._stop.wait(0.01):
                return
        self._unsure.clear()


def _alive(connection: socket.socket) -> None:
    """Notice a connection that the other side closed while nothing was sent.

    Raises:
        ConnectionResetError: It is closed.
    """
    try:
        if connection.recv(65536, socket.MSG_DONTWAIT) == b"":
            raise ConnectionResetError("closed by the other side")
    except BlockingIOError:
        return
