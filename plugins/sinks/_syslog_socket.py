"""One connection to a syslog receiver: opened, watched, written to, by TCP, TLS or UDP.

Syslog has no acknowledgement. On Linux a stream counts as written when the other side's kernel has
confirmed every byte, which is all that can be known: a receiver that dies then still loses it.
"""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from datto_siem.plugins.unconfirmed import confirmed

if TYPE_CHECKING:
    from datto_siem.plugins.transport import Tls


class Lost(Exception):
    """The connection failed; how much arrived is unknown."""


def context(tls: Tls) -> ssl.SSLContext:
    """How the receiver is trusted, and how we show who we are.

    Raises:
        OSError: A file cannot be read, or holds no certificate.
    """
    made = ssl.create_default_context(cafile=tls.ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure_skip_verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if tls.client_cert is not None:
        made.load_cert_chain(tls.client_cert, tls.client_key)
    return made


class Stream:
    """A TCP or TLS connection.

    Args:
        host: Name or address.
        port: Port.
        tls: The TLS context, or None for plain TCP.
        connect_timeout: Longest wait for the connection, in seconds.
        timeout: Longest wait for the other side to take what was written.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        """Connect.

        Raises:
            OSError: No connection.
        """
        self._timeout = timeout
        self._socket = socket.create_connection((host, port), connect_timeout)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
            self._socket.settimeout(timeout)
        except BaseException:
            self._socket.close()
            raise

    def write(self, data: bytes) -> None:
        """Write, and wait until the other side's kernel has confirmed it.

        Raises:
            Lost: It may have arrived in part.
        """
        try:
            self._socket.sendall(data)
            confirmed(self._socket, self._timeout)
        except TimeoutError:
            raise Lost("the receiver does not take what is sent") from None
        except OSError as error:
            raise Lost(f"connection lost: {said(error)}") from error
        except ValueError:  # its number is gone
            raise Lost("connection closed here") from None

    def usable(self) -> bool:
        """Whether the other side has not closed it; what it says is read and thrown away."""
        try:
            for _ in range(16):
                if not select.select([self._socket], [], [], 0)[0]:
                    return True
                self._socket.settimeout(0)
                if not self._socket.recv(4096):
                    return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, ValueError):
            return False
        finally:
            with suppress(OSError):  # closed meanwhile
                self._socket.settimeout(self._timeout)
        return False  # a syslog receiver has nothing to say

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Datagrams:
    """A UDP socket; what it sends may be lost without a word."""

    def __init__(self, host: str, port: int) -> None:
        """Resolve the name and tie the socket to it, so that a refusal comes back.

        Raises:
            OSError: No such host.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        kind, _, proto, _, address = found[0]
        self._socket = socket.socket(kind, socket.SOCK_DGRAM, proto)
        try:
            self._socket.connect(address)
        except BaseException:
            self._socket.close()
            raise

    def write(self, data: bytes) -> None:
        """Send one datagram.

        Raises:
            OSError: It was not sent.
        """
        self._socket.send(data)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def said(error: OSError) -> str:
    """What went wrong in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    return error.strerror or str(error) or type(error).__name__
