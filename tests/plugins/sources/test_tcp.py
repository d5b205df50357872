"""The TCP listener: framing over real sockets, caps, clocks, pauses, stopping."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading

import pytest
from fakes.recording_intake import RecordingIntake, running, until
from fakes.stream_senders import ended, listening

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import tcp


def test_lines_and_octet_counts_are_told_apart_on_one_port() -> None:
    with listening() as found:
        found.send(b"<13>one\n<13>two\r\n")
        found.intake.wait(2)
        found.send(b"7 <13>1\n26 <13>3\0")
        assert sorted(found.intake.wait(4)) == [b"<13>1\n2", b"<13>3", b"<13>one", b"<13>two"]
        until(lambda: found.counted("connections") == 0, "both have closed")
    assert found.counted("received_records") == 4
    assert found.counted("received_bytes") == 7 + 7 + 7 + 5
    assert found.counted("framing_errors") == 0


def test_a_record_carries_the_senders_address_and_the_time() -> None:
    with listening() as found:
        found.send(b"<13>one\n", "127.0.0.9")
        found.intake.wait(1)
    (arrival,) = found.intake.arrivals
    assert arrival.peer == "127.0.0.9"
    assert arrival.received > 1_700_000_000_000


def test_an_ipv4_sender_of_an_ipv6_socket_is_shown_as_ipv4() -> None:
    try:
        with listening(address="[::]:0", allow=["127.0.0.0/8"]) as found:
            found.place = ("127.0.0.1", found.place[1])
            found.send(b"<13>one\n")
            found.intake.wait(1)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            pytest.skip("this system has no IPv6")
        raise
    assert found.intake.arrivals[0].peer == "127.0.0.1"


def test_a_half_closed_peer_keeps_its_last_record() -> None:
    with listening() as found, found.connect() as sender:
        sender.sendall(b"<13>one\n<13>two")
        sender.shutdown(socket.SHUT_WR)
        assert found.intake.wait(2) == [b"<13>one", b"<13>two"]
        assert ended(sender)


def test_a_peer_that_resets_keeps_its_last_record() -> None:
    with listening() as found:
        sender = found.connect()
        sender.sendall(b"<13>one\n<13>two")
        found.intake.wait(1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sender.close()
        assert found.intake.wait(2) == [b"<13>one", b"<13>two"]


def test_a_record_of_a_mebibyte_is_cut_and_counted_and_the_next_is_whole() -> None:
    with listening() as found:
        found.send(b"<13>" + b"x" * 2**20 + b"\n<13>next\n")
        first, second = found.intake.wait(2)
    assert first == b"<13>" + b"x" * (64 * 1024 - 4)
    assert second == b"<13>next"
    assert found.counted("truncated_records") == 1


def test_a_record_of_a_mebibyte_is_whole_where_that_is_allowed() -> None:
    record = b"<13>" + b"x" * 2**20
    with listening(max_record="2MiB") as found:
        found.send(record + b"\n")
        found.send(b"%d %b" % (len(record), record))
        assert found.intake.wait(2) == [record, record]
    assert found.counted("truncated_records") == 0


def test_a_broken_frame_is_counted_and_kept() -> None:
    with listening() as found:
        found.send(b"7 <13>one<13>no count\n7 <13>two")
        assert found.intake.wait(3) == [b"<13>one", b"<13>no count", b"<13>two"]
    assert found.counted("framing_errors") == 1


def test_networks_that_are_not_allowed_are_refused_and_counted() -> None:
    with listening(allow=["127.0.0.2", "192.0.2.0/24"]) as found:
        with found.connect("127.0.0.3") as stranger:
            assert ended(stranger)
        found.send(b"<13>one\n", "127.0.0.2")
        assert found.intake.wait(1) == [b"<13>one"]
    assert found.refused("network") == 1


def test_connections_are_capped_in_all() -> None:
    with listening(connections=2) as found, contextlib.ExitStack() as stack:
        senders = [stack.enter_context(found.connect()) for _ in range(2)]
        until(lambda: found.counted("connections") == 2, "both are connected")
        assert ended(stack.enter_context(found.connect("127.0.0.2")))
        assert found.refused("cap") == 1
        senders[0].close()
        until(lambda: found.counted("connections") == 1, "one has closed")
        found.send(b"<13>again\n")
        assert found.intake.wait(1) == [b"<13>again"]


def test_connections_of_one_sender_are_capped() -> None:
    with listening(connections_per_sender=1) as found, found.connect() as first:
        first.sendall(b"<13>one\n")
        found.intake.wait(1)
        with found.connect() as second:
            assert ended(second)
        found.send(b"<13>other\n", "127.0.0.2")
        assert found.intake.wait(2) == [b"<13>one", b"<13>other"]
    assert found.refused("cap") == 1


def test_a_connection_that_brings_nothing_is_closed() -> None:
    with listening(idle="200ms") as found, found.connect() as sender:
        assert ended(sender)
        until(lambda: found.counted("connections") == 0, "it is gone")


def test_one_who_sends_a_record_byte_by_byte_is_closed_and_what_came_is_kept() -> None:
    with listening(stall="300ms") as found, found.connect() as sender:
        sender.sendall(b"<13>slow")
        sender.settimeout(0.02)
        sent = b"<13>slow"
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    if sender.recv(1) == b"":
                        break
                except TimeoutError:
                    sender.sendall(b".")
                    sent += b"."
        (record,) = found.intake.wait(1)
        assert sent.startswith(record)
        assert record.startswith(b"<13>slow")


def test_many_slow_senders_do_not_stop_a_quick_one() -> None:
    with listening() as found, contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(found.connect()).sendall(b"<13>")
        found.send(b"<13>quick\n", "127.0.0.2")
        assert found.intake.wait(1) == [b"<13>quick"]
        until(lambda: found.counted("connections") == 50, "the slow ones are still connected")


def test_nothing_is_read_while_the_log_is_behind_and_nothing_is_lost() -> None:
    intake = RecordingIntake()
    with listening(intake) as found, found.connect() as sender:
        sender.sendall(b"<13>0\n")
        intake.wait(1)
        intake.full = True
        sender.sendall(b"<13>1\n")  # this one shows the listener that the log is behind
        intake.wait(2)
        line = b"<13>" + b"x" * 300 + b"\n"
        writing = threading.Thread(target=sender.sendall, args=(line * 60_000,))
        writing.start()
        late = found.connect()
        late.sendall(b"<13>late\n")
        until(lambda: found.counted("connections") == 2, "another one is connected")
        writing.join(0.3)
        assert writing.is_alive(), "the sender does not have to wait"
        assert len(intake.arrivals) == 2
        intake.full = False
        intake.wait(60_003)
        writing.join()
        late.close()
    assert found.counted("received_records") == 60_003


def test_time_that_a_sender_has_to_wait_is_not_held_against_it() -> None:
    intake = RecordingIntake()
    intake.full = True
    with listening(intake, idle="300ms", stall="300ms") as found, found.connect() as sender:
        sender.sendall(b"<13>one\n<13>tw")
        intake.wait(1)
        sender.settimeout(1.0)
        with pytest.raises(TimeoutError):
            sender.recv(1)
        sender.sendall(b"o\n")
        intake.full = False
        assert intake.wait(2) == [b"<13>one", b"<13>two"]
    assert found.counted("framing_errors") == 0


def test_a_sender_above_its_rate_has_to_wait_and_others_do_not() -> None:
    with listening(rate=1) as found, found.connect() as sender:
        sender.sendall(b"<13>one\n" * 150)  # taken: now it is in debt for minutes
        found.intake.wait(150)
        sender.sendall(b"<13>more\n")
        found.send(b"<13>other\n", "127.0.0.2")
        assert found.intake.wait(151)[150] == b"<13>other"


def test_a_sender_above_its_rate_loses_nothing() -> None:
    with listening(rate=1000) as found, found.connect() as sender:
        for _ in range(3):
            sender.sendall(b"<13>one\n" * 600)
        found.intake.wait(1800)
    assert found.refused("rate") == 0


def test_what_was_sent_before_a_stop_is_put() -> None:
    with listening() as found:
        sender = found.connect()
        until(lambda: found.counted("connections") == 1, "it is connected")
        sender.sendall(b"<13>x\n" * 100_000 + b"<13>last")
    assert len(found.intake.arrivals) == 100_001
    assert found.intake.raws()[-1] == b"<13>last"
    assert ended(sender)
    sender.close()


def test_a_stop_does_not_wait_for_one_who_keeps_sending() -> None:
    stopped = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):
            while not stopped.is_set():
                sender.sendall(b"<13>more\n" * 100)

    with listening() as found:
        sender = found.connect()
        sending = threading.Thread(target=send)
        sending.start()
        found.intake.wait(1)
    stopped.set()
    sending.join()
    sender.close()
    assert found.counted("connections") == 0


def test_a_listener_that_was_never_run_can_be_stopped_and_run() -> None:
    config = build(tcp.Config, {"address": "127.0.0.1:0"})
    listener = tcp.open_listener(config, RecordingIntake(), Meter(), "tcp")
    listener.stop()
    listener.run()
    listener.stop()
    listener.reload()


def test_a_failed_intake_ends_the_listener_with_its_error() -> None:
    intake = RecordingIntake()
    intake.failure = RuntimeError("the intake is closed")
    listener = tcp.open_listener(
        build(tcp.Config, {"address": "127.0.0.1:0"}), intake, Meter(), "tcp"
    )
    port = int(listener.address.rpartition(":")[2])
    failing = contextlib.ExitStack()
    failing.enter_context(running(listener))
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"<13>one\n")
        assert ended(sender)
    with pytest.raises(RuntimeError, match="the intake is closed"):
        failing.close()


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with listening() as found:
        config = build(tcp.Config, {"address": f"127.0.0.1:{found.place[1]}"})
        with pytest.raises(OSError, match="in use"):
            tcp.open_listener(config, RecordingIntake(), Meter(), "tcp")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow": ["192.0.2.1/24"]}, "allow: 192.0.2.1/24 has host bits set"),
        ({"max_record": 100}, "max_record: from 480 bytes to 16MiB"),
        ({"max_record": "17MiB"}, "max_record: from 480 bytes to 16MiB"),
        ({"idle": 0}, "more than 0"),
        ({"proxy_protocol": True}, "proxy_protocol: set allow"),
        ({"tls": {"cert": "/c", "client_auth": "required"}}, "Set tls.ca_file"),
    ],
)
def test_options_that_make_no_sense_say_what_to_do(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(tcp.Config, {"address": "127.0.0.1:0", **options})
