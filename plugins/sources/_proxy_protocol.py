"""The PROXY protocol, versions 1 and 2: which sender a balancer speaks for.

Reads exactly the header, so that what follows it, TLS included, is left in the socket.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD = 13  # the signature and one byte more; every header of version 1 is longer
_FIXED = 16
_LONGEST_1 = 107
_LONGEST_2 = 4096  # addresses take 36; the rest are the balancer's own fields
_PROXIED = 0x21


class NoHeader(Exception):
    """What came is no header of the PROXY protocol."""


async def sender(connection: socket.socket) -> str | None:
    """The address a connection's header tells; None when the balancer speaks for itself.

    Args:
        connection: Just accepted, not blocking.

    Raises:
        NoHeader: There is none, or it is broken.
        OSError: The connection broke.
    """
    head = await _exactly(connection, _HEAD)
    if head.startswith(_SIGNATURE):
        return await _second(connection, head)
    if head.startswith(b"PROXY "):
        while not head.endswith(b"\n") and len(head) < _LONGEST_1:
            head += await _exactly(connection, 1)
        return _first(head)
    raise NoHeader


def _first(line: bytes) -> str | None:
    """Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 40000 6514`."""
    words = line.decode("latin-1").split()
    if not line.endswith(b"\r\n"):
        raise NoHeader
    if words[1:2] == ["UNKNOWN"]:
        return None
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise NoHeader
    try:
        address = ipaddress.ip_address(words[2])
    except ValueError:
        raise NoHeader from None
    if address.version != int(words[1][3]):
        raise NoHeader
    return str(address)


async def _second(connection: socket.socket, head: bytes) -> str | None:
    head += await _exactly(connection, _FIXED - _HEAD)
    size = int.from_bytes(head[14:16], "big")
    if size > _LONGEST_2 or head[12] >> 4 != 2:
        raise NoHeader
    rest = await _exactly(connection, size)
    if head[12] != _PROXIED:  # LOCAL: a health check of the balancer
        return None
    width = {1: 4, 2: 16}.get(head[13] >> 4)
    if width is None:
        return None
    if size < 2 * width + 4:
        raise NoHeader
    return str(ipaddress.ip_address(rest[:width]))


async def _exactly(connection: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    found = b""
    while len(found) < count:
        piece = await loop.sock_recv(connection, count - len(found))
        if not piece:
            raise NoHeader
        found += piece
    return found
