"""Syslog onward: repaired CEF, or the line as it came, by UDP, TCP or TLS.

Owns options, the connections and what their failures mean. Messages are `_syslog_message`'s,
sockets `_syslog_socket`'s; batches, pauses and dead letters are the forwarder's.
"""

from __future__ import annotations

import errno
import logging
import re
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datto_siem.plugins.options import Duration, Size, option
from datto_siem.plugins.sink import TAKEN, Batching, Finding, Item, Level, Next, Reply
from datto_siem.plugins.sinks._syslog_message import FACILITIES, Messages, framed
from datto_siem.plugins.sinks._syslog_socket import Datagrams, Lost, Stream, context, said
from datto_siem.plugins.transport import Tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context

_LOG = logging.getLogger(__name__)

USAGE = """\
Anything that reads syslog: Microsoft Sentinel's agent (AMA), SC4S, rsyslog, syslog-ng, QRadar,
ArcSight, any CEF-only tool. `to = "cef"` sends the repaired line (`CEF:0`, `key=value`, escapes
mended) behind a fresh header; `to = "raw"` sends the line as it came.

Syslog has no acknowledgement. By TCP and TLS a batch counts as delivered when the receiver's kernel
confirmed it (on Linux), by UDP when it left this machine: use TLS or TCP, and a receiver that
writes to disk. A batch cut off by a reset is sent again whole, so lines may come twice.

The agent files CEF by facility: give this output one that nothing else uses there (local4 here).
Messages longer than `max_message` become dead letters, because receivers cut them without a word.
Times of the rfc3164 header are UTC and have no zone: use rfc5424 where the receiver reads it.
"""

EXAMPLE = """\
[[output]]
name = "ama"
type = "syslog"
address = "127.0.0.1:514"
protocol = "tcp"
"""

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})").fullmatch
_DATAGRAM, _MESSAGE = 8192, 65536  # what rsyslog and syslog-ng read unless told otherwise
_LARGEST_DATAGRAM = 65507


@dataclass(frozen=True)
class Config:
    """Options of the output; the schema of its table in the configuration."""

    address: str = option("HOST:PORT; an IPv6 address in brackets", pattern=r"^\S+:[0-9]{1,5}$")
    protocol: Literal["udp", "tcp", "tls"] = option("How messages travel", "tcp")
    to: Literal["cef", "raw"] = option("The repaired CEF line, or the line as it came", "cef")
    cef_version: Literal[0, 1] = option("CEF:0, which every tool reads, or CEF:1", 0)
    header: Literal["rfc3164", "rfc5424", "none"] | None = option(
        "Syslog header; absent: rfc3164 for cef, none for raw, which keeps its own", None
    )
    facility: str = option("Facility of our header", "local4", enum=list(FACILITIES))
    framing: Literal["lf", "octet"] | None = option(
        "How messages end on a stream: line feed or octet count; absent: lf by tcp, octet by tls",
        None,
    )
    max_message: Size | None = option(
        "Longest message the receiver takes; absent: 8 KiB by udp, 64 KiB by tcp and tls", None
    )
    connect_timeout: Duration = option("Longest wait for a connection", Duration(10.0))
    timeout: Duration = option("Longest wait for the receiver to take a batch", Duration(30.0))
    tls: Tls = option("How the receiver is authenticated, and how we are", Tls())

    def __post_init__(self) -> None:
        """Check what the schema cannot.

        Raises:
            ValueError: Says what to change.
        """
        found = _ADDRESS(self.address)
        labels = self.host.removesuffix(".").split(".")
        named = all(0 < len(label) < 64 for label in labels)
        if found is None or not named or not 0 < int(found[3]) < 65536:
            raise ValueError(f"address: {self.address!r}: write HOST:PORT, such as siem.lan:514")
        if self.to == "raw" and self.header not in (None, "none"):
            raise ValueError('header: to = "raw" sends the line with its own header; leave it out')
        if self.protocol == "udp" and self.framing is not None:
            raise ValueError("framing: a datagram is a message; leave it out")
        if self.protocol == "udp" and self.longest > _LARGEST_DATAGRAM:
            raise ValueError("max_message: a datagram holds at most 65507 bytes; use tcp")
        if self.protocol != "tls" and self.tls != Tls():
            raise ValueError('tls: only with protocol = "tls"')
        if self.longest < 1:
            raise ValueError("max_message: give at least 1 byte")
        if self.facility not in FACILITIES:
            raise ValueError(f"facility: there are {', '.join(FACILITIES)}")

    @property
    def host(self) -> str:
        """Name or address of the receiver."""
        found = _ADDRESS(self.address)
        return "" if found is None else found[1] or found[2]

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.address.rpartition(":")[2])

    @property
    def longest(self) -> int:
        """Longest message in bytes."""
        default = _DATAGRAM if self.protocol == "udp" else _MESSAGE
        return default if self.max_message is None else self.max_message

    @property
    def octets(self) -> bool:
        """Whether messages are counted."""
        return self.framing == "octet" or (self.framing is None and self.protocol == "tls")


class SyslogSink:
    """Sends messages; see `datto_siem.plugins.sink.Sink`. Each sending thread has a connection."""

    batching = Batching(count=1000, nbytes=512_000, age=0.5)

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the mapping; connects to nothing yet."""
        self.config = config
        header = config.header or "rfc3164"
        messages = Messages(header, config.facility, config.cef_version, context)
        self._message = messages.raw if config.to == "raw" else messages.cef
        self._stream = config.protocol != "udp"
        self._octets = config.octets
        count = len(f"{config.longest} ") if self._octets else 1
        self._longest = config.longest + (count if self._stream else 0)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: set[Stream | Datagrams] = set()
        if config.tls.insecure_skip_verify:
            _LOG.warning(
                "%s: insecure_skip_verify is set: anybody can read and answer", context.name
            )

    def item(self, record: Record) -> Item | None:
        """One framed message; None for an empty line that goes on as it came."""
        message = self._message(record)
        if not message:
            return None
        return Item(framed(message, self._octets) if self._stream else message)

    def send(self, items: Sequence[Item]) -> Reply:
        """Write messages; those that are too long are refused."""
        why = f"longer than max_message = {self.config.longest}"
        advice = "" if self._stream else "; use tcp or tls, which take longer ones"
        rejected = {
            at: f"{why}: {len(item.body)} bytes{advice}"
            for at, item in enumerate(items)
            if len(item.body) > self._longest
        }
        good = [at for at in range(len(items)) if at not in rejected]
        if not good:
            return Reply(rejected=rejected, reason=why) if rejected else TAKEN
        try:
            connection = self._connection()
        except OSError as error:
            return self._unconnected(good, rejected, error)
        if isinstance(connection, Stream):
            return self._written(connection, items, good, rejected)
        return self._cast(connection, items, good, rejected)

    def check(self, test: Record | None) -> Iterator[Finding]:
        """Connect and, with a test record, send it; nobody can say whether it was taken."""
        config = self.config
        if config.protocol != "tls":
            said = "events go unencrypted, and anybody can pose as the receiver"
            yield Finding(Level.WARNING, "encryption", said, 'use protocol = "tls"')
        elif config.tls.insecure_skip_verify:
            said = "insecure_skip_verify is set: anybody can read and answer"
            remedy = "name the receiver's authority in tls.ca_file and take the setting out"
            yield Finding(Level.WARNING, "encryption", said, remedy)
        what = f"reach {config.address} by {config.protocol}"
        try:
            connection = self._connection()
        except OSError as error:
            reply = self._unconnected([0], {}, error)
            yield Finding(Level.FAULT, what, reply.reason, "check address, protocol and tls")
            return
        silent = isinstance(connection, Datagrams)
        found = "a datagram socket is ready; UDP tells no more" if silent else "connected"
        yield Finding(Level.GOOD, what, found)
        item = None if test is None else self.item(test)
        if item is None:
            return
        reply = self.send([item])
        if reply.left or reply.rejected:
            yield Finding(Level.FAULT, "test record", reply.reason, "check the receiver")
            return
        said = "sent; syslog has no acknowledgement"
        yield Finding(Level.GOOD, "test record", said, "look for it in the receiver")

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for each in self._open:
                each.close()
            self._open.clear()

    def _connection(self) -> Stream | Datagrams:
        """The thread's connection, a new one where the other side closed it.

        Raises:
            OSError: No connection.
        """
        kept: Stream | Datagrams | None = getattr(self._local, "connection", None)
        if isinstance(kept, Datagrams) or (kept is not None and kept.usable()):
            return kept
        if kept is not None:
            self._drop(kept)
        config = self.config
        if config.protocol == "udp":
            made: Stream | Datagrams = Datagrams(config.host, config.port)
        else:
            tls = context(config.tls) if config.protocol == "tls" else None
            waits = config.connect_timeout, config.timeout
            made = Stream(config.host, config.port, tls, *waits)
        self._local.connection = made
        with self._lock:
            self._open.add(made)
        return made

    def _drop(self, connection: Stream | Datagrams) -> None:
        self._local.connection = None
        connection.close()
        with self._lock:
            self._open.discard(connection)

    def _unconnected(self, good: list[int], rejected: dict[int, str], error: OSError) -> Reply:
        why = f"{self.config.address}: {said(error)}"
        missing = isinstance(error, (FileNotFoundError, PermissionError))
        if missing or isinstance(error, ssl.SSLCertVerificationError):
            why = f"{why}: check tls.ca_file, tls.client_cert and tls.client_key"
            return Reply(good, Next.HALT, rejected, reason=why)
        return Reply(good, Next.RETRY, rejected, reason=why)

    def _written(
        self, stream: Stream, items: Sequence[Item], good: list[int], rejected: dict[int, str]
    ) -> Reply:
        try:
            stream.write(b"".join([items[at].body for at in good]))
        except Lost as error:
            self._drop(stream)
            return Reply(good, Next.RETRY, rejected, reason=f"{self.config.address}: {error}")
        return Reply(rejected=rejected, reason=next(iter(rejected.values()), ""))

    def _cast(
        self, datagrams: Datagrams, items: Sequence[Item], good: list[int], rejected: dict[int, str]
    ) -> Reply:
        for done, at in enumerate(good):
            try:
                datagrams.write(items[at].body)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    rejected[at] = "longer than the way to the receiver takes by UDP: use tcp"
                    continue
                self._drop(datagrams)
                why = f"{self.config.address}: {said(error)}"
                return Reply(good[done:], Next.RETRY, rejected, reason=why)
        return Reply(rejected=rejected, reason=next(iter(rejected.values()), ""))


def connect(config: Config, context: Context) -> SyslogSink:
    """A sink for one output."""
    return SyslogSink(config, context)
