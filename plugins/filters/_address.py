"""Addresses of the sidecar: `tcp://HOST:PORT` and `unix:///PATH`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to connect.

    Attributes:
        text: As it was written.
        host: Host of a TCP address, else "".
        port: Its port.
        path: Path of a Unix socket, else "".
    """

    text: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or self.host in ("127.0.0.1", "::1", "localhost")

    def listen(self) -> socket.socket:
        """A listening socket; a Unix socket that nobody serves any more is replaced."""
        if not self.path:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            return socket.create_server((self.host, self.port), family=family, backlog=64)
        path = Path(self.path)
        if path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(self.path) == 0:
                    raise FileExistsError(f"{self.path} is served by another process")
            path.unlink()
        found = socket.socket(socket.AF_UNIX)
        try:
            found.bind(self.path)
            path.chmod(0o660)
            found.listen(64)
        except OSError:
            found.close()
            raise
        return found

    def connect(self, timeout: float) -> socket.socket:
        """A connected socket."""
        if not self.path:
            return socket.create_connection((self.host, self.port), timeout)
        found = socket.socket(socket.AF_UNIX)
        try:
            found.settimeout(timeout)
            found.connect(self.path)
        except OSError:
            found.close()
            raise
        return found


def address(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: It is none; says how to write one.
    """
    told = f"{text!r} is no address: write tcp://127.0.0.1:18800 or unix:///run/datto.sock"
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(told) from error
    if parts.scheme == "tcp" and parts.hostname and port is not None and not parts.path:
        return Address(text, parts.hostname, port)
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return Address(text, path=parts.path)
    raise ValueError(told)
