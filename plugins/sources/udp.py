"""Syslog over UDP: one datagram is one record.

Owns the socket, its buffer and what the kernel dropped. A datagram is never split at line feeds
unless asked: whoever gets a raw line feed into a value would else write records of his own.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.plugins.networks import ADDRESS, Networks, Rates, endpoint, shown, split
from datto_siem.plugins.options import Size, option
from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Intake

USAGE = """\
Syslog over UDP (RFC 5426, RFC 3164, bare CEF): each datagram is one record.

UDP cannot make a sender wait. What the kernel had to drop is counted (kernel_drops): raise
receive_buffer, and net.core.rmem_max with it; a warning at the start says when the kernel gave
less. `sockets` spreads many senders over processes; one sender always stays in one.
"""

EXAMPLE = """\
[[listen]]
type = "udp"
address = "0.0.0.0:5514"
allow = ["192.0.2.0/24", "2001:db8::/32"]
"""

_LOG = logging.getLogger(__name__)
_DATAGRAM = 65536  # above the longest datagram, so the kernel never cuts one
_DRAIN = 256  # datagrams of one look at the clock: less than a millisecond of work
_FORCE = getattr(socket, "SO_RCVBUFFORCE", 33)
_MEMINFO = 55  # SO_MEMINFO of Linux; its ninth number is the count SO_RXQ_OVFL tells
_LOOK = 1.0  # seconds between looks at the kernel's counter
_LINGER = 1.0  # seconds a stop may take while datagrams keep coming
_LINES = re.compile(rb"[\r\0]*\n(?=.)", re.DOTALL)
_STARTS = re.compile(rb"<[0-9]{1,3}>|CEF:|[01]\|")


@dataclass(frozen=True)
class Config:
    """Options of a UDP listener."""

    address: str = option("HOST:PORT to listen on; [::]:PORT takes IPv4 too", pattern=ADDRESS)
    sockets: int = option(
        "Sockets on the port, each with a process of its own", 1, minimum=1, maximum=64
    )
    receive_buffer: Size = option("Buffer to ask the kernel for", Size(8 * 10**6))
    max_record: Size = option(
        "Longer records are cut and counted", Size(64 * 1024), examples=["8KiB"]
    )
    allow: list[str] = option("Networks that may send; empty: all", [])
    rate: float = option("Most records a second of one sender; 0: no limit", 0.0, minimum=0)
    split: bool = option(
        "Take the lines of a datagram as records when each begins like syslog", False
    )

    def __post_init__(self) -> None:
        """Check what the schema cannot."""
        Networks(self.allow)
        if split(self.address)[1] == 0 and self.sockets > 1:
            raise ValueError("address: several sockets need a port: write one instead of 0")
        if self.max_record < 480:
            raise ValueError("max_record: every syslog receiver must take 480 bytes: raise it")
        if self.receive_buffer > 1 << 30:
            raise ValueError("receive_buffer: the kernel gives 1 GiB at most: lower it")


def open_listener(config: Config, intake: Intake, meter: Meter, name: str) -> Udp:
    """Bind one socket; with `sockets` above 1 each process calls this once.

    Args:
        config: Its options.
        intake: Where records go.
        meter: Where they are counted.
        name: The listener's label there.

    Raises:
        OSError: The address cannot be bound.
    """
    where = endpoint(config.address, socket.SOCK_DGRAM)
    bound = socket.socket(where.family, socket.SOCK_DGRAM)
    try:
        if config.sockets > 1:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if where.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        _buffer(bound, config.receive_buffer, name)
        bound.setblocking(False)
        bound.bind(where.place)
    except BaseException:
        bound.close()
        raise
    return Udp(bound, config, intake, meter, name)


class Udp:
    """A bound socket and its loop."""

    def __init__(
        self, bound: socket.socket, config: Config, intake: Intake, meter: Meter, name: str
    ) -> None:
        """Take over a bound socket that does not block."""
        self.address = shown("udp", bound.getsockname())
        self._socket, self._config = bound, config
        self._intake, self._meter, self._name = intake, meter, name
        self._networks = Networks(config.allow)
        self._rates = Rates(config.rate) if config.rate else None
        self._stopping = False
        self._running = False
        self._begin = threading.Lock()  # a stop may come before or while `run` begins
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._dropped = 0

    def run(self) -> None:
        """Receive until `stop`; what the socket holds then is still taken."""
        with self._begin:
            if self._stopping:
                return
            self._running = True
        try:
            self._loop()
        finally:
            self._close()

    def stop(self) -> None:
        """Stop receiving."""
        with self._begin:
            stopped, self._stopping = self._stopping, True
        if self._running:
            with contextlib.suppress(OSError):  # full, or `run` has ended
                self._wake.send(b"\0")
        elif not stopped:
            self._close()

    def reload(self) -> None:
        """Nothing of this listener stands in files of its own."""

    def _loop(self) -> None:
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        waiting.register(self._woken, select.POLLIN)
        look = 0.0
        end = None
        while end is None or time.monotonic() < end:
            full = self._drain()
            now = time.monotonic()
            if now >= look:
                self._count_drops()
                look = now + _LOOK
            if self._stopping and end is None:
                end = now + _LINGER
            if full:
                continue
            if end is not None:
                break
            waiting.poll(_LOOK * 1000)
        self._count_drops()

    def _drain(self) -> bool:
        """Hand over what is there, at most `_DRAIN` datagrams; whether there may be more."""
        receive, known = self._socket.recvfrom, self._networks.peer
        arrivals: list[Arrival] = []
        refused = 0
        full = True
        received = time.time_ns() // 1_000_000
        for _ in range(_DRAIN):
            try:
                raw, sender = receive(_DATAGRAM)
            except BlockingIOError:
                full = False
                break
            except OSError as error:  # an ICMP error of the network below; the socket lives on
                if error.errno not in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
                    raise
                continue
            peer = known(sender[0])
            if peer is None:
                refused += 1
            else:
                arrivals.append(Arrival(raw, received, peer))
        if refused:
            self._refuse("network", refused)
        if arrivals:
            self._put(arrivals)
        return full

    def _put(self, arrivals: list[Arrival]) -> None:
        """Finish datagrams and hand them over."""
        config = self._config
        found: list[Arrival] = []
        empty = cut = nbytes = 0
        for arrival in arrivals:
            raw = arrival.raw.rstrip(b"\r\n\0")
            if not raw:
                empty += 1
                continue
            for record in _lines(raw) if config.split else (raw,):
                whole = record
                if len(record) > config.max_record:
                    whole = record[: config.max_record]
                    cut += 1
                nbytes += len(whole)
                found.append(arrival if whole is arrival.raw else arrival._replace(raw=whole))
        if self._rates is not None:
            found, nbytes = self._within_rates(found, self._rates)
        if empty:
            self._refuse("empty", empty)
        if cut:
            self._meter.add("truncated_records", cut, listener=self._name)
        if found:
            self._meter.add("received_records", len(found), listener=self._name)
            self._meter.add("received_bytes", nbytes, listener=self._name)
            self._intake.put(found)

    def _within_rates(self, found: list[Arrival], rates: Rates) -> tuple[list[Arrival], int]:
        """The records whose senders keep to their rate, and their bytes."""
        now = time.monotonic()
        kept = [arrival for arrival in found if rates.take(arrival.peer, now)]
        if len(kept) < len(found):
            self._refuse("rate", len(found) - len(kept))
        return kept, sum(len(arrival.raw) for arrival in kept)

    def _refuse(self, reason: str, count: int) -> None:
        self._meter.add("refused_records", count, listener=self._name, reason=reason)

    def _close(self) -> None:
        for each in (self._socket, self._woken, self._wake):
            each.close()

    def _count_drops(self) -> None:
        """Count what the kernel dropped since the last look."""
        dropped = _drops(self._socket)
        if dropped is None:
            return
        fresh = (dropped - self._dropped) & 0xFFFFFFFF  # the kernel's counter has 32 bits
        if fresh:
            self._dropped = dropped
            self._meter.add("kernel_drops", fresh, listener=self._name)


def _lines(raw: bytes) -> list[bytes]:
    """The lines of a datagram when each begins like syslog, else the datagram."""
    lines = _LINES.split(raw)
    return lines if all(_STARTS.match(line) for line in lines) else [raw]


def _drops(bound: socket.socket) -> int | None:
    """How many datagrams the kernel dropped on this socket; None where it does not tell."""
    try:
        told = bound.getsockopt(socket.SOL_SOCKET, _MEMINFO, 36)
    except OSError:
        return None
    return int(struct.unpack("9I", told)[8]) if len(told) == 36 else None


def _buffer(bound: socket.socket, wanted: int, name: str) -> None:
    """Ask for a receive buffer and warn when the kernel gives less."""
    try:
        bound.setsockopt(socket.SOL_SOCKET, _FORCE, wanted)
    except OSError:  # wants CAP_NET_ADMIN
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
    given = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux tells the double
    if given < wanted:
        _LOG.warning(
            "%s: receive buffer of %d bytes, not %d: set net.core.rmem_max = %d with sysctl,"
            " or bursts are dropped",
            name,
            given,
            wanted,
            wanted,
        )
    else:
        _LOG.info("%s: receive buffer of %d bytes", name, given)
    if _drops(bound) is None:
        _LOG.warning("%s: this system does not tell what it drops: kernel_drops stays 0", name)
