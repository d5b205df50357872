"""How many bytes the other side's kernel has not confirmed.

A stream without acknowledgements of its own tells a sender nothing about what was read; that the
other kernel has every byte is all that can be known (TIOCOUTQ, tcp(7) and unix(7)).
"""

from __future__ import annotations

import socket
import sys
import time

_POLL, _LONGEST_POLL = 0.0002, 0.02


def _on_linux(connection: socket.socket) -> int:
    import fcntl
    import struct
    import termios

    (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
    return int(count)


def _elsewhere(connection: socket.socket) -> int:
    return 0


unconfirmed = _on_linux if sys.platform == "linux" else _elsewhere
"""Bytes of a connected stream the other side's kernel has not confirmed; 0 where it cannot tell.

Raises:
    OSError: The connection is gone.
"""


def confirmed(connection: socket.socket, timeout: float) -> None:
    """Wait until the other side's kernel has everything that was sent.

    Args:
        connection: A connected stream.
        timeout: Longest wait in seconds.

    Raises:
        TimeoutError: It still has not.
        OSError: The connection is gone.
    """
    until, pause = time.monotonic() + timeout, _POLL
    while unconfirmed(connection):
        if time.monotonic() >= until:
            raise TimeoutError("the receiver does not take what is sent")
        fault = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if fault:
            raise OSError(fault, "reset by the receiver")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_POLL)
