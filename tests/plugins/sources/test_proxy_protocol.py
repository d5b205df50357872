"""The PROXY protocol: a balancer's word for its senders, and nobody else's."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from fakes.recording_intake import until
from fakes.stream_senders import ended, listening

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ON = {"proxy_protocol": True, "allow": ["127.0.0.1"]}


def second(source: str, *, command: int = 1, extra: bytes = b"") -> bytes:
    """A header of version 2."""
    address = ipaddress.ip_address(source)
    family = 1 if address.version == 4 else 2
    rest = address.packed * 2 + b"\x9c\x40\x19\x7a" + extra
    return (
        SIGNATURE + bytes([0x20 | command, family << 4 | 1]) + len(rest).to_bytes(2, "big") + rest
    )


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 6514\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 6514\r\n", "2001:db8::1"),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 40000 6514\r\n", "192.0.2.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (second("192.0.2.1"), "192.0.2.1"),
        (second("2001:db8::1", extra=b"\4\0\5abcde"), "2001:db8::1"),
        (second("192.0.2.1", command=0), "127.0.0.1"),
        (SIGNATURE + b"\x21\0\0\0", "127.0.0.1"),
    ],
)
def test_the_sender_that_a_balancer_tells_is_kept(header: bytes, peer: str) -> None:
    with listening(**ON) as found:
        found.send(header + b"<13>one\n")
        with found.connect() as sender:
            for at in range(len(header)):
                sender.sendall(header[at : at + 1])
            sender.sendall(b"<13>two\n")
            found.intake.wait(2)
    assert {(arrival.raw, arrival.peer) for arrival in found.intake.arrivals} == {
        (b"<13>one", peer),
        (b"<13>two", peer),
    }


@pytest.mark.parametrize(
    "header",
    [
        b"<13>a record without a header\n",
        b"PROXY \r\n" + b" " * 120,
        b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 6514\n",
        b"PROXY TCP4 2001:db8::1 198.51.100.1 40000 6514\r\n",
        b"PROXY TCP4 forged.example 198.51.100.1 40000 6514\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x04" + bytes(4),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(100),
    ],
)
def test_a_broken_header_is_refused_and_counted(header: bytes) -> None:
    with listening(**ON) as found:
        with found.connect() as sender:
            sender.sendall(header)
            assert ended(sender)
        until(lambda: found.refused("proxy") == 1, "it is counted")
        assert found.intake.arrivals == []


def test_a_header_that_does_not_come_is_waited_for_only_so_long() -> None:
    with listening(**ON, handshake="200ms") as found, found.connect() as sender:
        sender.sendall(b"PROXY")
        assert ended(sender)
        until(lambda: found.refused("proxy") == 1, "it is counted")


def test_only_balancers_may_tell() -> None:
    with listening(**ON) as found, found.connect("127.0.0.2") as sender:
        assert ended(sender)
        assert found.refused("network") == 1


def test_connections_are_capped_by_the_sender_that_is_told() -> None:
    header = b"PROXY TCP4 192.0.2.%d 198.51.100.1 40000 6514\r\n<13>one\n"
    with listening(**ON, connections_per_sender=1) as found, found.connect() as first:
        first.sendall(header % 1)
        found.intake.wait(1)
        found.send(header % 2)
        found.intake.wait(2)
        with found.connect() as second_of_one:
            second_of_one.sendall(header % 1)
            assert ended(second_of_one)
        assert found.refused("cap") == 1


def test_the_header_comes_before_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    pem = tmp_path / "server.pem"
    made.private_key_and_cert_chain_pem.write_to_path(str(pem))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with listening(**ON, tls={"cert": str(pem)}) as found, found.connect() as plain:
        plain.sendall(second("192.0.2.1"))
        with context.wrap_socket(plain, server_hostname="localhost") as sender:
            sender.sendall(b"<13>one\n")
            found.intake.wait(1)
    assert found.intake.arrivals[0].peer == "192.0.2.1"
