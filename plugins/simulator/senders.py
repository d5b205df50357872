"""Sending records over UDP, TCP or TLS."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMES = {"udp": 514, "tcp": 514, "tls": 6514}
FRAMINGS = ("lf", "octet")
CONNECT_WITHIN = 10.0  # seconds
CLOSE_WITHIN = 2.0


class SendError(Exception):
    """A record could not be sent; says what to do."""


class Sender(Protocol):
    """Takes records away."""

    def send(self, records: Sequence[bytes]) -> None:
        """Send them, in order."""

    def close(self) -> None:
        """Finish, so that all arrives."""


@dataclass(frozen=True)
class Target:
    """Where to send, and how.

    Attributes:
        scheme: `udp`, `tcp` or `tls`.
        framing: One of `FRAMINGS`, for a stream.
        ca_file: Certificates to trust instead of the system's.
        verify: Whether to check the receiver's certificate.
    """

    scheme: str
    host: str
    port: int
    framing: str = "lf"
    ca_file: str | None = None
    verify: bool = True

    def __str__(self) -> str:
        """As it is written on the command line."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def target(text: str) -> Target:
    """Read `udp://host:port` and the like.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(text)
    port = parts.port  # raises by itself beyond 65535
    if parts.scheme not in SCHEMES or not parts.hostname or parts.path or parts.query or port == 0:
        raise ValueError(text)
    return Target(parts.scheme, parts.hostname, port or SCHEMES[parts.scheme])


def connect(to: Target) -> Sender:
    """Connect.

    Raises:
        SendError: It cannot be reached.
    """
    try:
        if to.scheme == "udp":
            return Datagrams(to)
        return Stream(to)
    except OSError as error:
        raise _told(to, error) from error


def outside(to: Target) -> bool:
    """Whether the target is neither this machine nor in a private network.

    Raises:
        SendError: Its name is not known.
    """
    try:
        found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise _told(to, error) from error
    return any(not ipaddress.ip_address(str(each[4][0])).is_private for each in found)


class Datagrams:
    """One datagram a record."""

    def __init__(self, to: Target) -> None:
        """Nothing is sent yet, so a wrong port shows only later."""
        self._to = to
        family, kind, protocol, _, place = socket.getaddrinfo(
            to.host, to.port, type=socket.SOCK_DGRAM
        )[0]
        self._socket = socket.socket(family, kind, protocol)
        try:
            self._socket.connect(place)
        except OSError:
            self._socket.close()
            raise

    def send(self, records: Sequence[bytes]) -> None:
        """Send one datagram for each record."""
        send = self._socket.send
        try:
            for record in records:
                send(record)
        except OSError as error:
            raise _told(self._to, error) from error

    def close(self) -> None:
        """Close; a refusal of the last datagram is told if it is known by now."""
        try:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        finally:
            self._socket.close()
        if code:
            raise _told(self._to, OSError(code, "connection refused"))


class Stream:
    """One connection, TCP or TLS, with frames."""

    def __init__(self, to: Target) -> None:
        """Connect."""
        self._to = to
        plain = socket.create_connection((to.host, to.port), CONNECT_WITHIN)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = self._secured(plain) if to.scheme == "tls" else plain
        except OSError:
            plain.close()
            raise
        self._socket.settimeout(None)  # a receiver may take its time

    def _secured(self, plain: socket.socket) -> socket.socket:
        context = ssl.create_default_context(cafile=self._to.ca_file)
        if not self._to.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain, server_hostname=self._to.host)

    def send(self, records: Sequence[bytes]) -> None:
        """Send them as one piece."""
        if self._to.framing == "lf":
            piece = b"\n".join(records) + b"\n"
        else:
            piece = b"".join([b"%d %b" % (len(record), record) for record in records])
        try:
            self._socket.sendall(piece)
        except OSError as error:
            raise _told(self._to, error) from error

    def close(self) -> None:
        """Say goodbye; what a TLS receiver sent must be read, or closing discards what is sent."""
        self._socket.settimeout(CLOSE_WITHIN)
        with suppress(OSError):
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap().close()
        self._socket.close()


def _told(to: Target, error: OSError) -> SendError:
    if isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        told = f"nothing listens at {to}: start the receiver, or check the port"
    elif isinstance(error, socket.gaierror):
        told = f"the name {to.host} is not known: check it, or write an address"
    elif isinstance(error, (BrokenPipeError, ConnectionResetError)):
        told = f"{to} closed the connection: see the receiver's log"
    elif isinstance(error, ssl.SSLCertVerificationError):
        told = (
            f"the certificate of {to} is not trusted ({error.verify_message}):"
            " name its issuer with --ca-file"
        )
    elif isinstance(error, ssl.SSLError):
        told = f"{to} does not speak TLS ({error.reason}): check the port, or use tcp://"
    elif isinstance(error, TimeoutError):
        told = f"{to} does not answer: check address and firewall"
    elif error.errno == errno.EMSGSIZE:
        told = f"a record is too long for a datagram to {to}: send it by tcp://"
    else:
        told = f"cannot send to {to}: {error.strerror or error}: mend that and run it again"
    return SendError(told)
