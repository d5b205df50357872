"""Sending: what arrives is what was sent; failures say what to do; the pace is kept."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme

from datto_siem.plugins.simulator import pacing
from datto_siem.plugins.simulator.senders import SendError, Target, connect, outside, target

RECORDS = [b"<134>Nov 24 10:00:00 ap-1 CEF:1|Datto|%d" % number for number in range(500)]
WITHIN = 20


def received(listener, context=None):
    """Everything that one connection brings, read by a thread; call the result to have it."""
    found = bytearray()

    def read():
        connection, _ = listener.accept()
        connection.settimeout(WITHIN)
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            while block := connection.recv(65_536):
                found.extend(block)

    thread = threading.Thread(target=read)
    thread.start()

    def result():
        thread.join(WITHIN)
        assert not thread.is_alive()
        return bytes(found)

    return result


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WITHIN)
        yield server


def test_datagrams_arrive_one_a_record():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", 0))
        server.settimeout(WITHIN)
        sender = connect(Target("udp", "127.0.0.1", server.getsockname()[1]))
        sender.send(RECORDS[:50])
        sender.close()
        assert [server.recv(65_536) for _ in range(50)] == RECORDS[:50]


def test_a_stream_has_a_line_feed_after_each_record(listener):
    result = received(listener)
    sender = connect(Target("tcp", "127.0.0.1", listener.getsockname()[1]))
    sender.send(RECORDS)
    sender.close()
    assert result() == b"".join(record + b"\n" for record in RECORDS)


def test_octet_counting_writes_the_length_before_each_record(listener):
    result = received(listener)
    sender = connect(Target("tcp", "127.0.0.1", listener.getsockname()[1], framing="octet"))
    sender.send(["é".encode(), b"abc"])
    sender.close()
    assert result() == b"2 \xc3\xa93 abc"


@pytest.fixture
def authority(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context, str(tmp_path / "ca.pem")


@pytest.mark.parametrize("verify", [True, False])
def test_all_arrives_over_tls(listener, authority, verify):
    context, ca_file = authority
    result = received(listener, context)
    to = Target(
        "tls",
        "127.0.0.1",
        listener.getsockname()[1],
        ca_file=ca_file if verify else None,
        verify=verify,
    )
    sender = connect(to)
    for _ in range(20):
        sender.send(RECORDS)
    sender.close()
    assert result() == b"".join(record + b"\n" for record in RECORDS) * 20


def test_an_unknown_issuer_is_told(listener, authority):
    context, _ = authority

    def refuse():
        connection, _ = listener.accept()
        with connection, pytest.raises(OSError, match=r".+"):
            context.wrap_socket(connection, server_side=True)

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(SendError, match=r"not trusted .*: name its issuer with --ca-file"):
        connect(Target("tls", "127.0.0.1", listener.getsockname()[1]))
    thread.join(WITHIN)


def again_and_again(sender):
    """Send until the system has learnt that nobody takes it."""
    for _ in range(10_000):
        sender.send(RECORDS[:5])


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_refused_connection_says_what_to_do():
    port = free_port(socket.SOCK_STREAM)
    with pytest.raises(SendError, match=f"nothing listens at tcp://127.0.0.1:{port}: start the"):
        connect(Target("tcp", "127.0.0.1", port))


def test_refused_datagrams_say_what_to_do():
    sender = connect(Target("udp", "127.0.0.1", free_port(socket.SOCK_DGRAM)))
    try:
        with pytest.raises(SendError, match="nothing listens at udp://"):
            again_and_again(sender)
    finally:
        sender.close()


def test_a_receiver_that_goes_away_is_told(listener):
    sender = connect(Target("tcp", "127.0.0.1", listener.getsockname()[1]))
    connection, _ = listener.accept()
    connection.close()
    with pytest.raises(SendError, match="closed the connection: see the receiver's log"):
        again_and_again(sender)
    sender.close()


def test_an_unknown_name_is_told():
    with pytest.raises(SendError, match=r"the name nohost\.invalid is not known"):
        outside(Target("udp", "nohost.invalid", 514))


def test_a_record_too_long_for_a_datagram_is_told():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        sender = connect(Target("udp", "127.0.0.1", server.getsockname()[1]))
        with pytest.raises(SendError, match=r"too long for a datagram .*: send it by tcp://"):
            sender.send([b"x" * 70_000])
        sender.close()


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port"),
    [
        ("udp://127.0.0.1:5514", "udp", "127.0.0.1", 5514),
        ("tcp://[::1]:5514", "tcp", "::1", 5514),
        ("tls://collector.example.com", "tls", "collector.example.com", 6514),
        ("udp://localhost", "udp", "localhost", 514),
    ],
)
def test_targets_are_read(text, scheme, host, port):
    found = target(text)
    assert (found.scheme, found.host, found.port) == (scheme, host, port)


@pytest.mark.parametrize(
    "text",
    ["", "x", "127.0.0.1:514", "http://a:1", "udp://", "udp://:5", "udp://a:0", "udp://a:x",
     "udp://a:70000", "udp://a:5/path", "udp://[::1"],
)  # fmt: skip
def test_what_is_no_target_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        target(text)


@pytest.mark.parametrize(
    ("host", "far"), [("127.0.0.1", False), ("10.1.1.1", False), ("::1", False), ("8.8.8.8", True)]
)
def test_targets_outside_are_known(host, far):
    assert outside(Target("udp", host, 514)) is far


class Clock:
    """Time that passes by sleeping, and by `cost` for each batch."""

    def __init__(self, late=0.0):
        self.now, self.late = 100.0, late

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert 0 < seconds < 1.1
        self.now += seconds + self.late


@pytest.mark.parametrize("rate", [1.0, 7.5, 100.0, 10_000.0, 50_000.0])
@pytest.mark.parametrize("late", [0.0, 0.0007])
def test_the_pace_is_kept(rate, late):
    clock = Clock(late)
    sent = 0
    for count in pacing.batches(rate, clock, clock.sleep):
        sent += count
        clock.now += count * 1e-6
        if clock.now >= 110:
            break
    assert sent == pytest.approx(10 * rate, rel=0.02, abs=1 + rate * 0.002)


def test_a_long_stall_is_not_made_up_for():
    clock = Clock()
    sent = 0
    for count in pacing.batches(1000.0, clock, clock.sleep):
        sent += count
        if sent == 1:
            clock.now += 60
        if clock.now >= 161:
            break
    assert 900 < sent < 1100


def test_no_rate_is_as_fast_as_possible():
    def never(seconds):
        raise AssertionError

    made = pacing.batches(None, never, never)
    assert [next(made) for _ in range(3)] == [pacing.BATCH] * 3
