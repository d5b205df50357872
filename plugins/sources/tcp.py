"""Syslog over TCP and TLS: RFC 6587 and RFC 5425, framing found out for each connection.

Owns the listening socket: who may connect, how many at once, and for how long without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.framing import Mode  # noqa: TC001  the options' types are read
from datto_siem.plugins.networks import ADDRESS, Networks, endpoint, plain, shown
from datto_siem.plugins.options import Duration, Size, option
from datto_siem.plugins.seldom import Seldom
from datto_siem.plugins.sources._proxy_protocol import NoHeader, sender
from datto_siem.plugins.sources._stream import Connection, Streams
from datto_siem.plugins.sources._tls import Certificates, Tls

if TYPE_CHECKING:
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Intake

USAGE = """\
Syslog over TCP, or over TLS with a table `tls`; octet counts and line feeds are told apart by
themselves, connection by connection.

Senders are made to wait while the log is behind, or when they are faster than `rate`; nothing is
dropped. TCP does not tell a sender what became durable: after a crash of this machine it may have
lost what it sent in the last moments. SIGHUP reads certificates again; open connections stay.
"""

EXAMPLE = """\
[[listen]]
type = "tcp"
name = "tls"
address = "0.0.0.0:6514"
allow = ["192.0.2.0/24"]
tls = { cert = "/etc/datto-siem/server.pem", key = "/etc/datto-siem/server.key" }
"""

_LOG = logging.getLogger(__name__)
_BACKLOG = 512
_SWEEP = 0.25  # seconds between looks for connections that are overdue
_QUIET = 0.05  # seconds without anything read after which a stop goes on
_LINGER = 1.0  # seconds a stop may take while data keeps coming, and again until all is closed
_PAUSE = 0.5  # seconds to wait when the system gives no more file descriptors
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True)
class Config:
    """Options of a TCP listener."""

    address: str = option("HOST:PORT to listen on; [::]:PORT takes IPv4 too", pattern=ADDRESS)
    tls: Tls | None = option("TLS; absent: none", None)
    framing: Mode = option("Where records end; auto finds out for each connection", "auto")
    max_record: Size = option("Longer records are cut and counted", Size(64 * 1024))
    allow: list[str] = option("Networks that may connect; empty: all", [])
    rate: float = option(
        "Most records a second of one sender, who is made to wait; 0: no limit", 0.0, minimum=0
    )
    connections: int = option("Most connections at once", 1000, minimum=1)
    connections_per_sender: int = option("Most connections of one sender", 100, minimum=1)
    idle: Duration = option("Close a connection that brings no record for so long", Duration(3600))
    stall: Duration = option(
        "Longest time between a record's first byte and its last", Duration(60)
    )
    handshake: Duration = option("Longest time for TLS and PROXY headers", Duration(10))
    proxy_protocol: bool = option(
        "A balancer sends PROXY protocol headers, version 1 or 2; allow names the balancers", False
    )

    def __post_init__(self) -> None:
        """Check what the schema cannot."""
        Networks(self.allow)
        if not 480 <= self.max_record <= 16 * 1024 * 1024:
            raise ValueError("max_record: from 480 bytes to 16MiB")
        if not (self.idle and self.stall and self.handshake):
            raise ValueError("idle, stall, handshake: more than 0")
        if self.proxy_protocol and not self.allow:
            raise ValueError(
                "proxy_protocol: set allow to the balancers, or anybody can be anybody"
            )


def open_listener(config: Config, intake: Intake, meter: Meter, name: str) -> Tcp:
    """Bind and read the certificate.

    Args:
        config: Its options.
        intake: Where records go.
        meter: Where they are counted.
        name: The listener's label there.

    Raises:
        OSError: The address cannot be bound, or a certificate not be used.
    """
    certificates = Certificates(config.tls, name) if config.tls else None
    where = endpoint(config.address, socket.SOCK_STREAM)
    bound = socket.socket(where.family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if where.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setblocking(False)
        bound.bind(where.place)
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return Tcp(bound, certificates, config, intake, meter, name)


class Tcp:
    """A listening socket and its connections, in an event loop of its own."""

    def __init__(
        self,
        bound: socket.socket,
        certificates: Certificates | None,
        config: Config,
        intake: Intake,
        meter: Meter,
        name: str,
    ) -> None:
        """Take over a listening socket that does not block."""
        self.address = shown("tls" if certificates else "tcp", bound.getsockname())
        self._socket, self._certificates, self._config = bound, certificates, config
        self._meter, self._name = meter, name
        self._streams = Streams(
            intake,
            meter,
            name,
            mode=config.framing,
            longest=config.max_record,
            rate=config.rate,
        )
        self._networks = Networks(config.allow)
        self._seldom = Seldom(_LOG, name)
        self._senders: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()  # one for each connection
        self._lock = threading.RLock()  # `stop` may come in a signal handler
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._stopped = False

    def run(self) -> None:
        """Receive until `stop`.

        Raises:
            Exception: The intake takes nothing any more.
        """
        with self._socket:
            asyncio.run(self._serve())
        if self._streams.failure is not None:
            raise self._streams.failure

    def stop(self) -> None:
        """Stop receiving; what senders have sent by now is still read, for a moment at most."""
        with self._lock:
            self._stopped = True
            if self._loop is None:
                self._socket.close()
            elif self._end is not None:
                self._loop.call_soon_threadsafe(self._end.set)

    def reload(self) -> None:
        """Read the certificate again."""
        if self._certificates is not None:
            self._certificates.reload()

    async def _serve(self) -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._stopped:
                return
            self._loop, self._end = loop, end
        loop.set_exception_handler(self._unexpected)
        self._streams.begin(end.set)
        sweeping = asyncio.ensure_future(self._sweep())
        sweeping.add_done_callback(lambda _: end.set())  # an error of ours in it is raised below
        loop.add_reader(self._socket, self._accept)
        await end.wait()
        self._accept()  # those who connected before the end
        loop.remove_reader(self._socket)
        self._socket.close()
        await self._wind_up()
        with self._lock:
            self._end = None  # `stop` must not wake a loop that has ended
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping

    def _accept(self) -> None:
        """Accept those who wait; not by `loop.sock_accept`, whose cancelling loses a connection."""
        for _ in range(_BACKLOG):
            try:
                accepted, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _SCARCE:
                    self._seldom.warn("cannot accept, raise LimitNOFILE", error.strerror or "")
                    self._rest()
                return
            accepted.setblocking(False)
            peer = self._networks.peer(address[0])
            if peer is None:
                self._refuse(accepted, "network")
            elif len(self._tasks) >= self._config.connections:
                self._seldom.warn("all `connections` are in use, refused", peer)
                self._refuse(accepted, "cap")
            else:
                task = asyncio.ensure_future(self._attend(accepted, peer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _rest(self) -> None:
        """Accept nobody for a moment: the one who waits would wake the event loop at once."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.call_later(_PAUSE, self._accept_again)

    def _accept_again(self) -> None:
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def _attend(self, accepted: socket.socket, peer: str) -> None:
        """Set a connection up and see it through."""
        with accepted:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._config.proxy_protocol:
                try:
                    told = await asyncio.wait_for(sender(accepted), self._config.handshake)
                except (NoHeader, OSError, asyncio.TimeoutError):
                    self._seldom.warn("no PROXY protocol header, refused", peer)
                    self._refuse(accepted, "proxy")
                    return
                peer = peer if told is None else plain(told)
            if self._senders[peer] >= self._config.connections_per_sender:
                self._seldom.warn("all `connections_per_sender` are in use, refused", peer)
                self._refuse(accepted, "cap")
                return
            self._senders[peer] += 1
            try:
                await self._connect(accepted, peer)
            finally:
                self._senders[peer] -= 1
                if not self._senders[peer]:
                    del self._senders[peer]

    async def _connect(self, accepted: socket.socket, peer: str) -> None:
        context = self._certificates.context if self._certificates else None
        connection = Connection(self._streams, peer)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._config.handshake if context else None,
            )
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            if context is not None:
                reason = getattr(error, "reason", None) or type(error).__name__
                self._seldom.warn("TLS failed", f"{peer}: {reason}")
                self._refuse(accepted, "tls")
            return
        await connection.closed

    async def _sweep(self) -> None:
        """Close connections that bring no whole record for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP)
            for connection in self._streams.overdue(
                loop.time(), self._config.idle, self._config.stall
            ):
                connection.abort()

    async def _wind_up(self) -> None:
        """Read what is there already, then close everything."""
        loop, streams = asyncio.get_running_loop(), self._streams
        until = loop.time() + _LINGER
        reads = -1
        while streams.connections and not streams.paused and loop.time() < until:
            if reads == streams.reads:
                break
            reads = streams.reads
            await asyncio.sleep(_QUIET)
        for connection in list(streams.connections):
            connection.close()
        tasks = list(self._tasks)
        if tasks:
            _, open_still = await asyncio.wait(tasks, timeout=_LINGER)
            for connection in list(streams.connections):
                connection.abort()
            for task in open_still:
                task.cancel()
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # aborted connections are closed in the loop's next turn

    def _refuse(self, accepted: socket.socket, reason: str) -> None:
        self._meter.add("refused_records", 1, listener=self._name, reason=reason)
        accepted.close()

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A connection broke in a way the event loop has no word for; the others go on."""
        error = context.get("exception")
        self._seldom.warn("a connection broke", f"{context.get('message')}: {error!r}")
