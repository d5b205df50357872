"""One stream connection: its bytes become records, its sender is slowed down, not cut off.

Owns the state of a connection and how all connections of a listener are paused together. Who may
connect is `tcp`'s.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from datto_siem.plugins.framing import Framing
from datto_siem.plugins.networks import Rates
from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datto_siem.plugins.framing import Mode
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Intake

_PAUSE = 0.02  # seconds between looks whether the log has room again


class Streams:
    """What the connections of a listener share; lives in one event loop.

    Args:
        intake: Where records go.
        meter: Where they are counted.
        name: The listener's label there.
        mode: How records are framed.
        longest: Bytes kept of a record.
        rate: Most records a second of one sender; 0: no limit.

    Attributes:
        connections: The open ones.
        paused: Whether nothing is read because the log is behind.
        reads: How often anything was read.
        failure: Why the intake takes nothing any more.
    """

    def __init__(
        self, intake: Intake, meter: Meter, name: str, *, mode: Mode, longest: int, rate: float
    ) -> None:
        """Nobody is connected yet."""
        self.mode: Mode = mode
        self.longest = longest
        self.rates = Rates(rate) if rate else None
        self.connections: set[Connection] = set()
        self.paused = False
        self.reads = 0
        self.failure: Exception | None = None
        self._end: Callable[[], object] | None = None
        self._intake, self._meter, self._name = intake, meter, name

    def begin(self, end: Callable[[], object]) -> None:
        """Begin, in a running event loop.

        Args:
            end: Called when the intake fails.
        """
        self._end = end

    def take(self, raws: list[bytes], peer: str) -> None:
        """Hand records over, and pause all connections while the log is behind."""
        received = time.time_ns() // 1_000_000
        self._meter.add("received_records", len(raws), listener=self._name)
        self._meter.add("received_bytes", sum(map(len, raws)), listener=self._name)
        try:
            self._intake.put([Arrival(raw, received, peer) for raw in raws])
        except Exception as error:  # the event loop would only log it
            self.failure = self.failure or error
            if self._end is not None:
                self._end()
            return
        if not self.paused and self._intake.pressed():
            self.paused = True
            for connection in self.connections:
                connection.steer()
            asyncio.get_running_loop().call_later(_PAUSE, self._look)

    def count(self, name: str, count: int) -> None:
        """Count something that only has the listener as label."""
        if count:
            self._meter.add(name, count, listener=self._name)

    def show(self) -> None:
        """Tell how many connections are open."""
        self._meter.set("connections", len(self.connections), listener=self._name)

    def overdue(self, now: float, idle: float, stall: float) -> Iterable[Connection]:
        """The connections that brought no whole record for too long.

        Args:
            now: The event loop's time.
            idle: Seconds without any record.
            stall: Seconds from the first byte of a record to its last.
        """
        return [each for each in self.connections if each.overdue(now, idle, stall)]

    def _look(self) -> None:
        if self._intake.pressed():
            asyncio.get_running_loop().call_later(_PAUSE, self._look)
            return
        self.paused = False
        for connection in list(self.connections):
            connection.steer()


class Connection(asyncio.Protocol):
    """A sender's connection.

    Args:
        streams: What it shares with the others.
        peer: The sender's address.
    """

    def __init__(self, streams: Streams, peer: str) -> None:
        """Not connected yet."""
        self.peer = peer
        self.closed = asyncio.get_running_loop().create_future()
        self._streams = streams
        self._framing = Framing(streams.mode, streams.longest)
        self._transport: asyncio.Transport | None = None
        self._started = False
        self._reading = True
        self._debt = False
        self._whole = 0.0
        self._begun: float | None = None
        self._errors = self._cut = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection, and TLS if any, stands."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for mypy
        self._transport = transport
        self._whole = asyncio.get_running_loop().time()
        self._streams.connections.add(self)
        self._streams.show()
        asyncio.get_running_loop().call_soon(self._start)  # Python 3.10 reads on if paused by now

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._streams.reads += 1
        self._take(self._framing.feed(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: what came of a last record is a record."""
        self._streams.connections.discard(self)
        self._streams.show()
        self._take(self._framing.end())
        self.close()  # says nothing to nobody any more, but Python 3.10 wants it said
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def steer(self) -> None:
        """Read or pause, as the log and the sender's rate allow."""
        wanted = not (self._streams.paused or self._debt)
        if not self._started or self._transport is None or self._transport.is_closing():
            return
        if wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._whole = asyncio.get_running_loop().time()  # the wait was ours, not the sender's
            self._begun = self._whole if self._framing.pending else None
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def overdue(self, now: float, idle: float, stall: float) -> bool:
        """Whether it brought no whole record for too long."""
        if not self._reading:
            return False
        stalled = self._begun is not None and now - self._begun > stall
        return stalled or now - self._whole > idle

    def close(self) -> None:
        """Close in order; `closed` tells when."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _start(self) -> None:
        self._started = True
        self.steer()

    def _take(self, raws: list[bytes]) -> None:
        framing, streams = self._framing, self._streams
        now = asyncio.get_running_loop().time()
        if framing.errors > self._errors or framing.cut > self._cut:
            streams.count("framing_errors", framing.errors - self._errors)
            streams.count("truncated_records", framing.cut - self._cut)
            self._errors, self._cut = framing.errors, framing.cut
        if raws:
            self._whole = now
        if not framing.pending:
            self._begun = None
        elif raws or self._begun is None:
            self._begun = now
        if raws:
            streams.take(raws, self.peer)
            if streams.rates is not None:
                self._slow(streams.rates.charge(self.peer, len(raws), now))

    def _slow(self, wait: float) -> None:
        if wait and not self._debt:
            self._debt = True
            self.steer()
            asyncio.get_running_loop().call_later(wait, self._paid)

    def _paid(self) -> None:
        self._debt = False
        self.steer()
