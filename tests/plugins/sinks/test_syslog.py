"""The syslog sink against plain sockets; the header is read back by our own decoder too."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cases import FIXTURES, RECEIVED, folders

from datto_siem.converters import Converter, decode
from datto_siem.converters.syslog import prefix
from datto_siem.plugins.options import build, schema
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Context, Level, Next
from datto_siem.plugins.sinks import syslog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300456 dmac:02:00:5E:10:00:01"
    b" smac=02:00:5E:10:00:02 cs2:Guest cs2Label=SSID"
)
MENDED = Converter("cef").encode(PROBE, RECEIVED, "192.0.2.1")
PATIENCE = 20.0
LINES = [
    line
    for folder in [*folders(), FIXTURES / "hostile", FIXTURES / "foreign"]
    for path in sorted(folder.glob("*.log"))
    for line in path.read_bytes().split(b"\n")
    if line.strip()
]


class Receiver:
    """Takes connections one after the other and keeps what each one sent."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self._changed = threading.Condition()
        self.got: list[bytes] = []
        self.live: list[socket.socket] = []
        self.deaf = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._tls is not None:
                try:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                except OSError:
                    sock.close()
                    continue
            with self._changed:
                self.got.append(b"")
                self.live.append(sock)
                at = len(self.got) - 1
                self._changed.notify_all()
            thread = threading.Thread(target=self._read, args=(sock, at))
            self._threads.append(thread)
            thread.start()

    def _read(self, sock: socket.socket, at: int) -> None:
        while not self.deaf:
            try:
                data = sock.recv(65536)
            except OSError:
                break
            if not data:
                break
            with self._changed:
                self.got[at] += data
                self._changed.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(ready, PATIENCE), self.got

    def cut(self, reset: bool = False) -> None:
        for sock in self.live:
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                if not reset:
                    sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.live.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self.live:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., syslog.SyslogSink]]:
    opened = []

    def make(address: str, **options: Any) -> syslog.SyslogSink:
        config = build(syslog.Config, {"address": address, **options})
        sink = syslog.connect(config, Context("out", tmp_path))
        opened.append(sink)
        return sink

    yield make
    for sink in opened:
        sink.close()


def record(raw: bytes = PROBE, offset: int = 0, peer: str = "192.0.2.1") -> Record:
    return Record(raw, RECEIVED, peer, offset)


def body(sink: syslog.SyslogSink, raw: bytes = PROBE, peer: str = "192.0.2.1") -> bytes:
    item = sink.item(record(raw, peer=peer))
    assert item is not None
    return item.body


@pytest.mark.parametrize("framing", ["lf", "octet"])
def test_every_line_arrives_mended_behind_a_header(
    receiver: Receiver, connect: Callable[..., syslog.SyslogSink], framing: str
) -> None:
    sink = connect(receiver.address, framing=framing, max_message="2MB")
    items = [sink.item(record(line, at)) for at, line in enumerate(LINES)]
    assert sink.send([item for item in items if item is not None]) == TAKEN
    size = sum(len(item.body) for item in items if item is not None)
    receiver.wait(lambda: len(receiver.got[0]) == size)
    messages = split(receiver.got[0], framing)
    assert len(messages) == len(LINES)
    encode = Converter("cef").encode
    for at, (line, message) in enumerate(zip(LINES, messages, strict=True)):
        mended = encode(line, RECEIVED, "192.0.2.1", ordinal=at)
        assert message.endswith(b" " + mended)
        envelope = prefix(message[: -len(mended)].decode())
        assert envelope.format == "RFC3164"
        assert envelope.facility == 20


def split(data: bytes, framing: str) -> list[bytes]:
    if framing == "lf":
        assert data.endswith(b"\n")
        return data[:-1].split(b"\n")
    found = []
    while data:
        count, _, rest = data.partition(b" ")
        found.append(rest[: int(count)])
        data = rest[int(count) :]
    return found


def test_headers(connect: Callable[..., syslog.SyslogSink]) -> None:
    old = connect("127.0.0.1:514")
    assert body(old) == b"<166>Nov 24 10:00:00 192.0.2.1 " + MENDED + b"\n"
    new = connect("127.0.0.1:514", header="rfc5424", facility="auth")
    head = b"<38>1 2026-11-24T10:00:00.000Z 192.0.2.1 datto-siem - CEF - "
    assert body(new) == head + MENDED + b"\n"
    assert body(connect("127.0.0.1:514", header="none")) == MENDED + b"\n"
    one = body(connect("127.0.0.1:514", cef_version=1))
    assert one.endswith(MENDED.replace(b"CEF:0|", b"CEF:1|") + b"\n")
    device = body(old, b"<131>Nov 24 09:59:59 ap-lobby " + PROBE)
    assert device.startswith(b"<166>Nov 24 10:00:00 ap-lobby CEF:0|")
    # not CEF: the severity of its own PRI, and of no PRI notice; a file has no address
    assert body(old, b"<131>Nov 24 09:59:59 sw1 link: down").startswith(b"<163>Nov 24 10:00:00 sw1")
    assert body(old, b"hello", "a file.log").startswith(b"<166>Nov 24 10:00:00 - CEF:0|unknown|")


@pytest.mark.parametrize(
    ("severity", "priority"),
    [("0", 6), ("3", 6), ("5", 4), ("7", 3), ("10", 2), ("High", 3), ("Very-High", 2), ("x", 5)],
)
def test_priority_comes_from_severity(
    connect: Callable[..., syslog.SyslogSink], severity: str, priority: int
) -> None:
    line = rb"CEF:0|Datto|Acc\|ess|7|wifi|pro\\be|%b|a=1" % severity.encode()
    assert body(connect("127.0.0.1:514"), line).startswith(b"<%d>" % (160 + priority))


def test_a_line_from_the_wire_cannot_begin_another(
    connect: Callable[..., syslog.SyslogSink],
) -> None:
    forged = b"<13>a\n<0>Nov 24 10:00:00 victim sudo: forged\r\nx"
    assert body(connect("127.0.0.1:514", to="raw")).count(b"\n") == 1
    assert body(connect("127.0.0.1:514", to="raw"), forged).count(b"\n") == 1
    assert b"\r" not in body(connect("127.0.0.1:514", to="raw"), forged)
    assert body(connect("127.0.0.1:514"), forged).count(b"\n") == 1
    counted = body(connect("127.0.0.1:514", to="raw", framing="octet"), forged)
    assert counted == b"%d %b" % (len(forged), forged)
    host = body(connect("127.0.0.1:514"), b"<13>Nov 24 10:00:00 a;b\x1b[1m " + PROBE)
    assert b"\x1b" not in host.partition(b"CEF:")[0]


def test_the_raw_line_is_as_it_came(connect: Callable[..., syslog.SyslogSink]) -> None:
    sink = connect("127.0.0.1:514", to="raw", protocol="udp")
    assert body(sink, b"<13>x y\xff z \r\n") == b"<13>x y\xff z "
    assert sink.item(record(b"\r\n")) is None


def test_what_is_too_long_is_refused_alone(
    receiver: Receiver, connect: Callable[..., syslog.SyslogSink]
) -> None:
    for framing in ("lf", "octet"):
        sink = connect(receiver.address, to="raw", framing=framing, max_message=10)
        items = [sink.item(record(b"x" * size)) for size in (10, 11, 9)]
        reply = sink.send([item for item in items if item is not None])
        assert list(reply.rejected) == [1]
        assert "max_message" in reply.rejected[1]
        assert not reply.left
    receiver.wait(lambda: receiver.got[-1:] == [b"10 " + b"x" * 10 + b"9 " + b"x" * 9])
    assert receiver.got[0] == b"x" * 10 + b"\n" + b"x" * 9 + b"\n"


def test_udp(connect: Callable[..., syslog.SyslogSink]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(PATIENCE)
        sink = connect(f"127.0.0.1:{peer.getsockname()[1]}", protocol="udp")
        long = sink.item(record(b"CEF:0|a|b|c|d|e|1|x=" + b"y" * 9000))
        short = sink.item(record())
        assert long is not None
        assert short is not None
        reply = sink.send([long, short])
        assert list(reply.rejected) == [0]
        assert "use tcp" in reply.rejected[0]
        assert peer.recv(65536) == short.body
        assert not short.body.endswith(b"\n")
        found = list(sink.check(record()))
        assert [each.level for each in found] == [Level.WARNING, Level.GOOD, Level.GOOD]
        assert peer.recv(65536)
    left = []
    for _ in range(100):  # the refusal comes back with a later datagram
        reply = sink.send([short, short])
        left = list(reply.left)
        if left:
            break
    assert left
    assert reply.next is Next.RETRY


def test_a_closed_connection_is_opened_again(
    receiver: Receiver, connect: Callable[..., syslog.SyslogSink]
) -> None:
    sink = connect(receiver.address, to="raw")
    items = [item for at in range(3) if (item := sink.item(record(b"line %d" % at))) is not None]
    assert sink.send(items) == TAKEN
    assert sink.send(items) == TAKEN
    receiver.wait(lambda: receiver.got == [b"line 0\nline 1\nline 2\n" * 2])
    receiver.cut()
    assert sink.send(items) == TAKEN
    receiver.wait(lambda: receiver.got[1:] == [b"line 0\nline 1\nline 2\n"])


def test_a_reset_gives_the_whole_batch_back(connect: Callable[..., syslog.SyslogSink]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        sink = connect(f"127.0.0.1:{listener.getsockname()[1]}", to="raw", max_message="64MB")
        item = sink.item(record(b"x" * 32_000_000))  # more than both kernels hold
        small = sink.item(record(b"small"))
        assert item is not None
        assert small is not None

        def reset() -> None:
            sock, _ = listener.accept()
            sock.recv(1000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

        thread = threading.Thread(target=reset)
        thread.start()
        reply = sink.send([small, item])
        thread.join()
    assert (list(reply.left), reply.next) == ([0, 1], Next.RETRY)
    assert "lost" in reply.reason
    reply = sink.send([small])
    assert (list(reply.left), reply.next) == ([0], Next.RETRY)


def test_a_receiver_that_does_not_read_is_not_a_delivery(
    connect: Callable[..., syslog.SyslogSink],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        sink = connect(address, to="raw", max_message="64MB", timeout="100ms")
        item = sink.item(record(b"x" * 32_000_000))
        assert item is not None
        reply = sink.send([item])
    assert (list(reply.left), reply.next) == ([0], Next.RETRY)
    assert "does not take" in reply.reason


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell")
def test_what_only_our_own_kernel_holds_is_not_a_delivery(
    connect: Callable[..., syslog.SyslogSink],
) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        sink = connect(address, to="raw", timeout="100ms")
        item = sink.item(record(b"x" * 30_000))  # our kernel takes it all, theirs a part
        assert item is not None
        reply = sink.send([item])
    assert (list(reply.left), reply.next) == ([0], Next.RETRY)
    assert "does not take" in reply.reason


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    made = Receiver(context)
    yield made
    made.close()


def test_tls(
    secure: Receiver,
    connect: Callable[..., syslog.SyslogSink],
    authority: trustme.CA,
    tmp_path: Path,
) -> None:
    ca, mine = tmp_path / "ca.pem", tmp_path / "mine.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("forwarder.example").private_key_and_cert_chain_pem.write_to_path(
        str(mine)
    )
    tls = {"ca_file": str(ca), "client_cert": str(mine)}
    sink = connect(secure.address, protocol="tls", tls=tls)
    item = sink.item(record())
    assert item is not None
    for _ in range(3):
        assert sink.send([item]) == TAKEN
    secure.wait(lambda: secure.got == [item.body * 3])
    assert item.body.startswith(b"%d <166>" % (len(item.body) - len(item.body.split(b" ")[0]) - 1))
    assert [each.level for each in sink.check(None)] == [Level.GOOD]


def test_an_untrusted_receiver_gets_nothing(
    secure: Receiver, connect: Callable[..., syslog.SyslogSink], tmp_path: Path
) -> None:
    sink = connect(secure.address, protocol="tls")
    item = sink.item(record())
    assert item is not None
    reply = sink.send([item])
    assert (list(reply.left), reply.next) == ([0], Next.HALT)
    assert "not trusted" in reply.reason
    absent = connect(secure.address, protocol="tls", tls={"ca_file": str(tmp_path / "no.pem")})
    assert absent.send([item]).next is Next.HALT
    assert list(absent.check(None))[-1].level is Level.FAULT
    assert secure.got == []


def test_insecure_is_said_at_each_start(
    secure: Receiver, connect: Callable[..., syslog.SyslogSink], caplog: pytest.LogCaptureFixture
) -> None:
    sink = connect(secure.address, protocol="tls", tls={"insecure_skip_verify": True})
    assert "insecure_skip_verify" in caplog.text
    item = sink.item(record())
    assert item is not None
    assert sink.send([item]) == TAKEN
    assert next(iter(sink.check(None))).level is Level.WARNING


def test_doctor(receiver: Receiver, connect: Callable[..., syslog.SyslogSink]) -> None:
    found = list(connect(receiver.address).check(record()))
    assert [each.level for each in found] == [Level.WARNING, Level.GOOD, Level.GOOD]
    assert "no acknowledgement" in found[-1].said
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"127.0.0.1:{listener.getsockname()[1]}"
    found = list(connect(gone).check(record()))
    assert found[-1].level is Level.FAULT
    assert found[-1].remedy


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"address": "x:0"}, "address"),
        ({"address": "x:70000"}, "address"),
        ({"address": "a..b:514"}, "address"),
        ({"address": "a/b:514"}, "address"),
        ({"to": "raw", "header": "rfc3164"}, "header"),
        ({"protocol": "udp", "framing": "lf"}, "framing"),
        ({"protocol": "udp", "max_message": 70000}, "max_message"),
        ({"max_message": 0}, "max_message"),
        ({"tls": {"ca_file": "x"}}, "tls"),
        ({"facility": "local9"}, "facility"),
    ],
)
def test_faults_of_the_configuration(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        build(syslog.Config, {"address": "siem.example:514", **options})


def test_addresses_and_schema() -> None:
    config = build(syslog.Config, {"address": "[2001:db8::1]:6514"})
    assert (config.host, config.port) == ("2001:db8::1", 6514)
    assert "local4" in schema(syslog.Config)["properties"]["facility"]["enum"]


def test_our_own_decoder_reads_what_we_send(connect: Callable[..., syslog.SyslogSink]) -> None:
    for header in ("rfc3164", "rfc5424", "none"):
        event = decode(body(connect("127.0.0.1:514", header=header)), RECEIVED)
        assert event.header is not None
        assert event.header.class_id == "wifi"
        assert dict(event.pairs)["dmac"] == "02:00:5E:10:00:01"
