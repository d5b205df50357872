"""Who may send: addresses to listen on, source networks, rates of single senders.

Shared by the listeners. Addresses of senders can be forged by anybody, so nothing here grows with
their number.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ADDRESS = r"^(\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:\s]+):[0-9]{1,5}$"
"""Pattern of an address to listen on: HOST:PORT or [IPv6]:PORT."""
_REMEMBERED = 16384


class Endpoint(NamedTuple):
    """Where to bind."""

    family: socket.AddressFamily
    place: Any
    """What `bind` takes."""


def split(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPv6]:PORT`.

    Raises:
        ValueError: The port is above 65535.
    """
    host, _, port = address.rpartition(":")
    if int(port) > 65535:
        raise ValueError(f"address {address}: the highest port is 65535")
    return host.strip("[]"), int(port)


def endpoint(address: str, kind: socket.SocketKind) -> Endpoint:
    """Where to bind for an address.

    Raises:
        OSError: The host name is unknown.
    """
    host, port = split(address)
    family, _, _, _, place = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    return Endpoint(socket.AddressFamily(family), place)


def shown(scheme: str, bound: Any) -> str:
    """An address as bound, as a URL."""
    host, port = bound[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def plain(host: str) -> str:
    """A sender's address: IPv4-mapped IPv6 as IPv4, no zone."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or address)


class Networks:
    """The source networks records are taken from; remembers its answers.

    Args:
        allow: Networks or addresses; empty allows all.

    Raises:
        ValueError: One of them is no network.
    """

    def __init__(self, allow: Iterable[str]) -> None:
        """Read the networks."""
        try:
            self._allowed = [ipaddress.ip_network(each) for each in allow]
        except ValueError as error:
            raise ValueError(f"allow: {error}; write such as 192.0.2.0/24") from error
        self._known: dict[str, str | None] = {}

    def peer(self, host: str) -> str | None:
        """A sender's address as records keep it; None when it may not send.

        Args:
            host: The address as the socket gives it.
        """
        try:
            return self._known[host]
        except KeyError:
            pass
        if len(self._known) >= _REMEMBERED:  # forged addresses must not fill the memory
            self._known.clear()
        peer: str | None = plain(host)
        if self._allowed:
            address = ipaddress.ip_address(peer or "")
            if not any(address in network for network in self._allowed):
                peer = None
        self._known[host] = peer
        return peer


class Rates:
    """A token bucket for each sender: so many records a second, and as many at once.

    The senders longest silent are forgotten first; one that is forgotten starts with a full bucket.

    Args:
        rate: Records a second of one sender.
    """

    def __init__(self, rate: float) -> None:
        """Start with no sender known."""
        self._rate = rate
        self._most = max(rate, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str, now: float) -> bool:
        """Whether a sender may send one more record; for those nobody can make wait.

        Args:
            peer: The sender.
            now: A clock in seconds that only goes forward.
        """
        left = self._left(peer, now)
        taken = left >= 1
        self._keep(peer, left - 1 if taken else left, now)
        return taken

    def charge(self, peer: str, count: int, now: float) -> float:
        """Take records that have come already, into debt if need be.

        Returns:
            Seconds until the sender is out of debt: as long nothing should be read from it.
        """
        left = self._left(peer, now) - count
        self._keep(peer, left, now)
        return max(0.0, -left / self._rate)

    def _left(self, peer: str, now: float) -> float:
        left, then = self._buckets.pop(peer, (self._most, now))
        return min(self._most, left + (now - then) * self._rate)

    def _keep(self, peer: str, left: float, now: float) -> None:
        self._buckets[peer] = (left, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
