"""The sidecar: shippers connect, send lines, and get documents back or sent onward.

A thread for each connection reads, converts and hands on; when the way out is full it stops
reading, and TCP tells the shipper to wait.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

from datto_siem.plugins.filters._pipe import Lines

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from datto_siem.plugins.filter import Replies
    from datto_siem.plugins.filters._outlet import Outlet

_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 16
_MOST = 256  # connections at once; more wait in the kernel's queue


class Sidecar:
    """Serves shippers until stopped.

    Args:
        listener: A listening socket.
        replies: Opens the protocol for one connection.
        outlet: Where documents go; None: back on the connection they came from.
    """

    def __init__(
        self, listener: socket.socket, replies: Callable[[], Replies], outlet: Outlet | None
    ) -> None:
        """Nothing is served yet."""
        self._listener, self._replies, self._outlet = listener, replies, outlet
        self._stop = threading.Event()
        self._room = threading.BoundedSemaphore(_MOST)
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self.records = 0

    def run(self) -> None:
        """Accept until `stop`; then every connection's received bytes are answered."""
        self._listener.settimeout(0.2)
        while not self._stop.is_set():
            if not self._room.acquire(timeout=0.2):
                continue
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                self._room.release()
                continue
            except OSError as error:
                self._room.release()
                if not self._stop.is_set():
                    _LOG.warning("cannot accept: %s", error)
                    self._stop.wait(0.1)
                continue
            thread = threading.Thread(target=self._connection, args=(connection,))
            with self._lock:
                self._threads.add(thread)
            thread.start()
        for thread in list(self._threads):
            thread.join()

    def stop(self) -> None:
        """End `run`; from a signal handler or another thread."""
        self._stop.set()

    def health(self) -> tuple[bool, str]:
        """Whether documents can go out, and counts as JSON."""
        good = self._outlet is None or self._outlet.connected
        counts = {"connections": len(self._threads), "records": self.records, "ready": good}
        return good, json.dumps(counts)

    def _connection(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(0.5)
                self._serve(connection)
        except OSError as error:
            _LOG.info("a shipper's connection ended: %s", error)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            self._room.release()

    def _serve(self, connection: socket.socket) -> None:
        replies, lines = self._replies(), Lines()
        while True:
            try:
                chunk = connection.recv(_CHUNK)
            except TimeoutError:
                if self._stop.is_set():
                    break
                continue
            if not chunk:
                break
            self._answer(connection, replies, lines.feed(chunk))
        rest = lines.rest()
        if rest:
            self._answer(connection, replies, [rest])

    def _answer(self, connection: socket.socket, replies: Replies, lines: list[bytes]) -> None:
        # a shipper's keep-alive is a blank line: nothing to convert
        out = b"".join([replies.reply(line.removesuffix(b"\r")) for line in lines if line.strip()])
        self.records += len(lines)
        if not out:
            return
        if self._outlet is not None:
            self._outlet.put(out)
        else:
            connection.settimeout(None)
            connection.sendall(out)
            connection.settimeout(0.5)


def serve_health(
    listener: socket.socket, health: Callable[[], tuple[bool, str]], stop: threading.Event
) -> None:
    """Answer every request with 200 or 503 and the counts, until `stop`."""
    listener.settimeout(0.2)
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(1.0)
            try:
                connection.recv(4096)
                good, counts = health()
                status = "200 OK" if good else "503 Service Unavailable"
                head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close"
                body = f"{counts}\n"
                answer = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                connection.sendall(answer.encode())
            except OSError:
                continue
