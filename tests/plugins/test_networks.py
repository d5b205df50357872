"""Source networks, senders' addresses and their rates."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.plugins import networks
from datto_siem.plugins.networks import Networks, Rates, endpoint, plain, shown, split


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_a_sender_is_shown_without_mapping_and_zone(host: str, peer: str) -> None:
    assert plain(host) == peer
    assert Networks([]).peer(host) == peer


def test_only_networks_that_are_named_may_send() -> None:
    allowed = Networks(["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"])
    for host in ("192.0.2.9", "::ffff:192.0.2.9", "198.51.100.7", "2001:db8:1::1"):
        assert allowed.peer(host) is not None
        assert allowed.peer(host) is not None, "the answer that is remembered"
    for host in ("192.0.3.9", "198.51.100.8", "2001:db9::1", "::1"):
        assert allowed.peer(host) is None
        assert allowed.peer(host) is None, "the answer that is remembered"


def test_a_network_that_is_none_says_how_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"write such as 192\.0\.2\.0/24"):
        Networks(["office"])


def test_forged_senders_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_REMEMBERED", 10)
    allowed, rates = Networks(["192.0.2.0/24"]), Rates(1)
    for number in range(200):
        allowed.peer(f"192.0.2.{number}")
        rates.take(f"192.0.2.{number}", 0.0)
        assert len(allowed._known) <= 10
        assert len(rates._buckets) <= 10


def test_a_sender_that_keeps_sending_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_REMEMBERED", 10)
    rates = Rates(5)
    taken = 0
    for number in range(100):
        taken += rates.take("192.0.2.1", 0.0)
        rates.take(f"198.51.100.{number}", 0.0)
    assert taken == 5


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 2), max_size=200))
def test_no_more_than_the_rate_and_one_burst_is_taken(rate: float, gaps: list[float]) -> None:
    rates, now, taken = Rates(rate), 0.0, 0
    for gap in gaps:
        now += gap
        taken += rates.take("192.0.2.1", now)
    assert taken <= max(rate, 1) + rate * now + 1e-6


@given(st.floats(0.1, 1000), st.lists(st.tuples(st.floats(0, 2), st.integers(1, 500)), max_size=50))
def test_one_who_waits_as_told_is_out_of_debt(rate: float, bursts: list[tuple[float, int]]) -> None:
    rates, now, taken, wait = Rates(rate), 0.0, 0, 0.0
    for gap, count in bursts:
        now += gap + wait
        wait = rates.charge("192.0.2.1", count, now)
        taken += count
        assert taken <= max(rate, 1) + rate * (now + wait) + 1e-3


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.1:514", ("192.0.2.1", 514)),
        ("[::]:514", ("::", 514)),
        ("localhost:514", ("localhost", 514)),
    ],
)
def test_an_address_is_host_and_port(address: str, found: tuple[str, int]) -> None:
    assert split(address) == found


def test_a_port_that_is_too_high_is_an_error() -> None:
    with pytest.raises(ValueError, match="the highest port is 65535"):
        split("127.0.0.1:65536")


def test_an_address_to_bind_and_as_shown() -> None:
    found = endpoint("127.0.0.1:514", socket.SOCK_DGRAM)
    assert found == (socket.AF_INET, ("127.0.0.1", 514))
    assert shown("udp", found.place) == "udp://127.0.0.1:514"
    assert shown("tcp", ("::", 514, 0, 0)) == "tcp://[::]:514"
