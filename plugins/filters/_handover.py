"""Hand documents on and wait until they are there: for protocols that confirm what was handed on.

Nothing is queued. What fails is not confirmed, so the shipper sends it again.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from datto_siem.plugins.unconfirmed import confirmed

if TYPE_CHECKING:
    from datto_siem.plugins.filters._address import Address

_TIMEOUT = 20.0  # below rsyslog's confirmTimeout of 30 s in our examples: the reason gets through


class Handover:
    """One connection, opened when it is needed.

    Args:
        address: Where to.
    """

    def __init__(self, address: Address) -> None:
        """Not connected yet."""
        self._address = address
        self._connection: socket.socket | None = None

    def deliver(self, lines: bytes) -> None:
        """Send whole lines; returns when the other side's kernel has them.

        Raises:
            OSError: Not, or only in part.
        """
        connection = self._usable()
        try:
            connection.sendall(lines)
            confirmed(connection, _TIMEOUT)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _usable(self) -> socket.socket:
        """The connection; a new one when the other side has closed it."""
        if self._connection is not None:
            with suppress(BlockingIOError):
                try:
                    closed = self._connection.recv(65536, socket.MSG_DONTWAIT) == b""
                except ConnectionError:
                    closed = True
                if closed:
                    self.close()
        if self._connection is None:
            self._connection = self._address.connect(5.0)
            self._connection.settimeout(_TIMEOUT)
        return self._connection
