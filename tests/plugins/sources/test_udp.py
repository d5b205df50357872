"""UDP: a datagram is a record, and what is not taken is counted."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest
from fakes.recording_intake import RecordingIntake, running, until

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import udp

LINE = b"<134>CEF:1|Datto|Access Point|7|1|probe|1|"


class Bench:
    """A listener, and a socket that sends to it."""

    def __init__(self, intake: RecordingIntake, **options: Any) -> None:
        config = build(udp.Config, {"address": "127.0.0.1:0", "receive_buffer": "64KiB", **options})
        self.meter = Meter()
        self.listener = udp.open_listener(config, intake, self.meter, "udp")
        host, _, port = self.listener.address.removeprefix("udp://").rpartition(":")
        self.place = (host.strip("[]"), int(port))

    def send(self, *raws: bytes, to: str | None = None) -> None:
        host = to or self.place[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            for raw in raws:
                sender.sendto(raw, (host, self.place[1]))

    def counted(self, name: str, **labels: str) -> float:
        return self.meter.get(name, listener="udp", **labels)


@pytest.fixture
def intake() -> RecordingIntake:
    return RecordingIntake()


def test_a_datagram_is_a_record_with_its_sender(intake: RecordingIntake) -> None:
    bench = Bench(intake)
    with running(bench.listener):
        bench.send(LINE + b"a\n", LINE + b"b\r\n\0", LINE + b"c\nd")
        assert intake.wait(3) == [LINE + b"a", LINE + b"b", LINE + b"c\nd"]
    assert {arrival.peer for arrival in intake.arrivals} == {"127.0.0.1"}
    assert bench.counted("received_records") == 3
    assert bench.counted("received_bytes") == sum(map(len, intake.raws()))


def test_what_came_before_the_stop_is_taken(intake: RecordingIntake) -> None:
    bench = Bench(intake)
    bench.send(*[LINE + b"%d" % number for number in range(30)])
    with running(bench.listener):
        intake.wait(1)
    assert len(intake.arrivals) == 30


def test_stop_before_run_closes_and_nothing_runs(intake: RecordingIntake) -> None:
    bench = Bench(intake)
    bench.listener.stop()
    bench.listener.stop()
    bench.listener.run()
    assert intake.raws() == []


def test_lines_are_one_record_unless_asked(intake: RecordingIntake) -> None:
    forged = LINE + b"ssid=x\n" + LINE + b"forged"
    bench = Bench(intake)
    with running(bench.listener):
        bench.send(forged)
        assert intake.wait(1) == [forged]


def test_lines_are_split_when_each_begins_like_syslog(intake: RecordingIntake) -> None:
    bench = Bench(intake, split=True)
    with running(bench.listener):
        bench.send(LINE + b"a\r\n" + LINE + b"b\n", LINE + b"c\nd")
        assert intake.wait(3) == [LINE + b"a", LINE + b"b", LINE + b"c\nd"]


def test_the_longest_datagram_is_whole_and_longer_ones_are_cut(intake: RecordingIntake) -> None:
    whole = b"<1>" + b"x" * 65504
    bench = Bench(intake, receive_buffer="1MiB")
    with running(bench.listener):
        bench.send(whole)
        assert intake.wait(1) == [whole]
    assert bench.counted("truncated_records") == 0
    short = Bench(intake, max_record=480)
    with running(short.listener):
        short.send(b"x" * 481, b"y" * 480)
        assert intake.wait(3)[1:] == [b"x" * 480, b"y" * 480]
    assert short.counted("truncated_records") == 1


def test_nothing_but_an_ending_is_counted(intake: RecordingIntake) -> None:
    bench = Bench(intake)
    with running(bench.listener):
        bench.send(b"", b"\n", LINE)
        assert intake.wait(1) == [LINE]
    assert bench.counted("refused_records", reason="empty") == 2


def test_other_networks_are_refused_and_counted(intake: RecordingIntake) -> None:
    bench = Bench(intake, allow=["192.0.2.0/24", "2001:db8::/32"])
    with running(bench.listener):
        bench.send(LINE, LINE)
        until(lambda: bench.counted("refused_records", reason="network") == 2, "two refusals")
    assert intake.raws() == []


def test_a_mapped_sender_is_an_ipv4_sender(intake: RecordingIntake) -> None:
    try:
        bench = Bench(intake, address="[::]:0", allow=["127.0.0.0/8", "::1/128"])
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running(bench.listener):
        bench.send(LINE, to="127.0.0.1")
        bench.send(LINE, to="::1")
        intake.wait(2)
    assert sorted(arrival.peer for arrival in intake.arrivals) == ["127.0.0.1", "::1"]


def test_a_sender_above_its_rate_is_cut_off_and_counted(intake: RecordingIntake) -> None:
    bench = Bench(intake, rate=5)
    bench.send(*[LINE] * 40)
    with running(bench.listener):
        until(lambda: bench.counted("refused_records", reason="rate") >= 30, "refusals")
        intake.wait(5)
    refused = bench.counted("refused_records", reason="rate")
    assert refused + bench.counted("received_records") == 40
    assert len(intake.arrivals) == bench.counted("received_records")


def test_what_the_kernel_drops_is_counted(intake: RecordingIntake) -> None:
    bench = Bench(intake, receive_buffer=4096)
    sent = 500
    bench.send(*[LINE + b"x" * 200] * sent)
    with running(bench.listener):
        until(lambda: bench.counted("kernel_drops") > 0, "drops")
        until(lambda: bench.counted("kernel_drops") + len(intake.arrivals) == sent, "all")
    assert 0 < len(intake.arrivals) < sent


def test_a_buffer_below_the_wish_is_said_with_the_remedy(
    intake: RecordingIntake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "_FORCE", -1)  # as without CAP_NET_ADMIN
    with caplog.at_level(logging.INFO):
        Bench(intake, receive_buffer="900MiB").listener.stop()
        Bench(intake).listener.stop()
    warned, fine = caplog.records
    assert "set net.core.rmem_max = 943718400" in warned.getMessage()
    assert fine.getMessage() == "udp: receive buffer of 65536 bytes"


def test_sockets_share_a_port(intake: RecordingIntake) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    first, second = (Bench(intake, address=address, sockets=2) for _ in range(2))
    with running(first.listener), running(second.listener):
        for _ in range(40):  # each from a port of its own, so that both get some
            first.send(LINE)
        intake.wait(40)
    assert first.counted("received_records") + second.counted("received_records") == 40


def test_an_intake_that_fails_ends_the_listener(intake: RecordingIntake) -> None:
    intake.failure = RuntimeError("the intake is closed")
    bench = Bench(intake)
    bench.send(LINE)
    with pytest.raises(RuntimeError, match="closed"):
        bench.listener.run()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow": ["10.0.0.1/8"]}, "host bits"),
        ({"allow": ["gw"]}, "192.0.2.0/24"),
        ({"sockets": 2}, "need a port"),
        ({"max_record": 100}, "480"),
        ({"receive_buffer": "2GiB"}, "1 GiB"),
        ({"address": "127.0.0.1:70000"}, "65535"),
    ],
)
def test_bad_options_say_what_to_do(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(udp.Config, {"address": "127.0.0.1:0", **options})


def test_an_address_in_use_is_an_error(intake: RecordingIntake) -> None:
    bench = Bench(intake)
    host, port = bench.place
    with pytest.raises(OSError, match="in use"):
        Bench(intake, address=f"{host}:{port}")
    bench.listener.stop()
