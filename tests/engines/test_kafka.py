"""A real Kafka broker as the log: workers killed, brokers restarted, nothing lost, ids the same."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
import trustme
from kafka_broker import PASSWORD, Broker, broker
from peers.hec_stub import TOKEN, Fault, HecStub
from running import COMMAND, Forwarder, drain, free_port, gone, record, until

from datto_siem.converters.identity import uid
from datto_siem.plugins.forwarder.kafka_log import KafkaLog, KafkaReader
from datto_siem.plugins.forwarder.kafka_options import Kafka, Sasl
from datto_siem.plugins.forwarder.log import LANE, LogAway, LogRefused
from datto_siem.plugins.secret import Secret
from datto_siem.plugins.source import Arrival
from datto_siem.plugins.transport import Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from datto_siem.plugins.forwarder.log import Chunk
    from datto_siem.plugins.record import Record

__all__ = ["broker"]
pytestmark = pytest.mark.engine
LINE = "<13>Nov 24 09:36:17 ap-1 CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456 n=%d"
UNANSWERED = 20.0


def kafka(broker: Broker, topic: str, more: str = "") -> str:
    return (
        f'type = "kafka"\n[log.kafka]\nservers = ["{broker.server}"]\ntopic = "{topic}"\n'
        f'plaintext = true\nkey = "none"\nsession_timeout = "6s"\n{more}'
    )


def hec(url: str) -> str:
    return (
        f'[[output]]\nname = "hec"\ntype = "splunk_hec"\nto = "raw"\nurl = "{url}"\n'
        'token = { env = "TEST_TOKEN" }\nbatch = { age = "100ms" }\n'
    )


def forward(folder: Path, role: str, port: int, log: str, url: str) -> Forwarder:
    folder.mkdir(exist_ok=True)
    listen = f'[[listen]]\ntype = "tcp"\naddress = "127.0.0.1:{port}"\n'
    env = {"TEST_TOKEN": TOKEN}
    return Forwarder(folder, listen + hec(url), env, log=log, args=("--role", role))


class Sender(threading.Thread):
    """Sends numbered lines over one TCP connection, which waits while nothing is read."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.sent, self.ending = port, 0, threading.Event()
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as out:
                while not self.ending.is_set():
                    lines = [LINE % (self.sent + at) for at in range(20)]
                    out.sendall("".join(f"{line}\n" for line in lines).encode())
                    self.sent += 20
                    time.sleep(0.01)
        except Exception as error:  # looked at by the test
            self.fault = error


def delivered(*stubs: HecStub) -> dict[str, list[str]]:
    """Line -> ids of all its deliveries."""
    found = defaultdict(list)
    for stub in stubs:
        for event in list(stub.events):
            found[event["event"]].append(event["fields"]["datto_event_id"])
    return found


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def test_workers_die_and_the_broker_too_and_nothing_is_lost(
    tmp_path: Path, broker: Broker, stack: ExitStack
) -> None:
    broker.create("fleet", 4)
    port, log = free_port(), kafka(broker, "fleet")
    one, two = (stack.enter_context(HecStub()) for _ in range(2))
    receiver = stack.enter_context(forward(tmp_path / "r", "receiver", port, log, one.url))
    a = stack.enter_context(forward(tmp_path / "a", "worker", port, log, one.url))
    receiver.ready()
    a.ready()
    assert list(receiver.pids()) == ["receive tcp"]
    assert list(a.pids()) == ["deliver hec"]
    sender = Sender(port)
    sender.start()
    try:
        until(lambda: len(one.events) > 500, "one worker delivers")
        # a second one comes while records flow
        b = stack.enter_context(forward(tmp_path / "b", "worker", port, log, two.url))
        until(lambda: len(two.events) > 500, "the second worker delivers")
        # the first dies in mid-batch: one batch was taken, one was not, more wait in memory
        one.fault(Fault(0, take=None, wait=UNANSWERED))
        one.fault(Fault(0, take=0, wait=UNANSWERED))
        until(lambda: a.status()["outputs"]["hec"].get("lag_records", 0) > 1000, "held up")
        victims = [a.process.pid, *a.pids().values()]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        before = len(two.events)
        until(lambda: all(map(gone, victims[1:])), "dead")
        until(lambda: "reads partitions" in b.log(), "joined")
        until(lambda: len(two.events) > before + 500, "the other goes on")
        # the broker restarts
        broker.kill()
        until(lambda: "no broker of" in receiver.log(), "told by the receiver")
        until(lambda: "no broker of" in json.dumps(b.status()), "told by the worker")
        broker.start()
        count = len(two.events)
        until(lambda: len(two.events) > count + 500, "delivering again")
        # a third takes the dead one's place
        c = stack.enter_context(forward(tmp_path / "c", "worker", port, log, one.url))
        count = len(one.events)
        until(lambda: len(one.events) > count + 200, "the third worker delivers")
    finally:
        sender.ending.set()
        sender.join()
    assert sender.fault is None
    until(lambda: len(delivered(one, two)) == sender.sent, "all delivered")
    assert receiver.end() == 0
    assert b.end() == 0
    assert c.end() == 0
    stored = broker.values("fleet")
    assert len(stored) == len(set(stored.values())) == sender.sent  # nothing lost nor twice in it
    found = delivered(one, two)
    assert set(found) == {LINE % number for number in range(sender.sent)}
    assert all(len(set(ids)) == 1 for ids in found.values())  # repeats carry the same id
    assert len({ids[0] for ids in found.values()}) == sender.sent  # and no two lines share one
    assert sum(map(len, found.values())) > sender.sent  # the batch in the air came twice


def test_graceful_hand_over_repeats_nothing(
    tmp_path: Path, broker: Broker, stack: ExitStack
) -> None:
    broker.create("graceful", 4)
    port, log = free_port(), kafka(broker, "graceful")
    one, two = (stack.enter_context(HecStub()) for _ in range(2))
    both = stack.enter_context(forward(tmp_path / "a", "both", port, log, one.url)).ready()
    sender = Sender(port)
    sender.start()
    try:
        until(lambda: len(one.events) > 300, "one worker delivers")
        b = stack.enter_context(forward(tmp_path / "b", "worker", port, log, two.url))
        until(lambda: len(two.events) > 300, "the second worker delivers")
        count = len(one.events)
        assert b.end() == 0
        until(lambda: len(one.events) > count + 300, "the first goes on")
    finally:
        sender.ending.set()
        sender.join()
    assert sender.fault is None
    until(lambda: len(delivered(one, two)) == sender.sent, "all delivered")
    assert both.end() == 0
    assert sum(map(len, delivered(one, two).values())) == sender.sent


def test_standard_input_is_delivered_whole_before_it_ends(tmp_path: Path, broker: Broker) -> None:
    broker.create("piped", 3)
    parts = (
        '[[listen]]\ntype = "stdin"\n'
        '[[output]]\nname = "local"\ntype = "file"\npath = "{dir}/out.ndjson"\nto = "raw"\n'
    )
    lines = b"".join(record(number) + b"\n" for number in range(3000))
    with Forwarder(tmp_path, parts, stdin=lines, log=kafka(broker, "piped")) as forwarder:
        assert forwarder.process.wait(90) == 0, forwarder.log()
        assert sorted(forwarder.numbers()) == list(range(3000))


def options(broker: Broker, topic: str, **more: object) -> Kafka:
    return Kafka(servers=[broker.server], topic=topic, plaintext=True, **more)  # type: ignore[arg-type]


def test_a_replay_needs_idle_workers_and_gives_the_same_ids(tmp_path: Path, broker: Broker) -> None:
    broker.create("replayed", 3)
    log = KafkaLog(options(broker, "replayed"), tmp_path, ("receiver",))
    now = time.time_ns() // 1_000_000 - 100_000
    arrivals = [Arrival(b"%d" % at, now + at, f"192.0.2.{at % 9}") for at in range(1000)]
    with closing(log.writer()) as writer:
        writer.append(arrivals)
    first = drain(log, 1000)
    assert {record[:3] for record in first} == set(arrivals)
    with closing(log.reader("out")) as reader:
        join(reader, 3)
        with pytest.raises(LogRefused, match="end its workers"):
            log.rewind("out", now + 400)
    assert log.rewind("out", now + 400) == 600
    with closing(log.reader("out")) as reader:
        assert reader.standing().waiting == 600
    again = drain(log, 600)
    assert {record.raw for record in again} == {b"%d" % at for at in range(400, 1000)}
    assert ids(again) <= ids(first)
    assert log.rewind("out", now + 2000) == 0


def join(reader: KafkaReader, count: int) -> None:
    """Wait until a reader has so many partitions; there is nothing to read in them."""

    def joined() -> bool:
        assert reader.read(1) is None
        feed = reader._feed
        return feed is not None and len(feed._parts) == count

    until(joined, f"{count} partitions")


def ids(records: list[Record]) -> set[str]:
    return {uid(each.raw, each.peer, each.received, each.offset) for each in records}


def test_a_topic_that_is_missing_is_told_and_used_once_it_is_there(
    tmp_path: Path, broker: Broker
) -> None:
    log = KafkaLog(options(broker, "later"), tmp_path, ("receiver",))
    arrivals = [Arrival(b"%d" % at, time.time_ns() // 1_000_000, "192.0.2.1") for at in range(9)]

    def told() -> str:
        try:
            writer.append(arrivals)
        except LogAway as error:
            return str(error)
        return ""

    with closing(log.writer()) as writer, closing(log.reader("out")) as reader:

        def read() -> str:
            try:
                reader.read(1)
            except LogAway as error:
                return str(error)
            return ""

        until(lambda: "later does not exist: create it" in told(), "told to the receiver")
        until(lambda: "later does not exist: create it" in read(), "told to the worker")
        broker.create("later", 2)
        until(lambda: told() == "", "appended")

        def got() -> bool:
            try:
                chunk = reader.read(1)
            except LogAway:
                return False
            return chunk is not None and len(chunk.records) == 9

        until(got, "read, each once")


def test_a_wrong_password_is_told_never_shown_and_mended_without_a_restart(
    tmp_path: Path, broker: Broker
) -> None:
    broker.create("users", 1)
    file = tmp_path / "password"
    file.write_text("wrong-password")
    sasl = Sasl("forwarder", Secret(file=str(file)))
    kafka = Kafka(servers=[f"127.0.0.1:{broker.users}"], topic="users", plaintext=True, sasl=sasl)
    arrivals = [Arrival(b"one", time.time_ns() // 1_000_000, "192.0.2.1")]
    log = KafkaLog(kafka, tmp_path, ("receiver",))
    with closing(log.writer()) as writer, closing(log.reader("out")) as reader:

        def told(do: Callable[[], object]) -> str:
            try:
                do()
            except LogAway as error:
                return str(error)
            return ""

        for do in (lambda: writer.append(arrivals), lambda: reader.read(1)):
            said = until(lambda do=do: told(do), "told")
            assert "refuse the user or password" in said
            assert "wrong-password" not in said
        file.write_text(PASSWORD)
        until(lambda: not told(lambda: writer.append(arrivals)), "appended")

        def got() -> Chunk | None:
            with contextlib.suppress(LogAway):
                return reader.read(1)
            return None

        (record,) = until(got, "read").records
        assert record.raw == b"one"


def test_tls_both_ways_and_what_is_said_where_trust_is_missing(
    tmp_path: Path, broker: Broker
) -> None:
    broker.create("trusted", 1)
    arrivals = [Arrival(b"one", time.time_ns() // 1_000_000, "192.0.2.1")]
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))

    def log(**tls: str) -> KafkaLog:
        server = f"127.0.0.1:{broker.tls}"
        return KafkaLog(Kafka([server], "trusted", tls=Tls(**tls)), tmp_path, ("receiver",))

    mine = {"client_cert": str(broker.client_file)}
    for tls in ({"ca_file": str(other), **mine}, {"ca_file": str(broker.ca_file)}):
        with (
            closing(log(**tls).writer()) as writer,
            pytest.raises(LogAway, match=r"check log\.kafka\.tls"),
        ):
            writer.append(arrivals)
    trusted = log(ca_file=str(broker.ca_file), **mine)
    with closing(trusted.writer()) as writer:
        writer.append(arrivals)
    assert [record.raw for record in drain(trusted, 1)] == [b"one"]


def test_what_the_brokers_dropped_unread_is_counted(tmp_path: Path, broker: Broker) -> None:
    broker.create("short", 1)
    log = KafkaLog(options(broker, "short"), tmp_path, ("receiver",))
    now = time.time_ns() // 1_000_000
    with closing(log.writer()) as writer:
        writer.append([Arrival(b"%d" % at, now, "192.0.2.1") for at in range(100)])
    with closing(log.reader("out")) as reader:
        chunk = until(lambda: reader.read(1), "records")
        reader.commit(chunk.records[9].offset + 1)
    broker.delete("short", 50)
    with closing(log.reader("out")) as reader:
        chunk = until(lambda: reader.read(1), "records")
    assert chunk.records[0].offset == 50
    assert (chunk.lost, chunk.why) == (40, "age")


def test_a_new_output_can_begin_now(tmp_path: Path, broker: Broker) -> None:
    broker.create("begun", 2)
    log = KafkaLog(options(broker, "begun"), tmp_path, ("receiver",))
    now = time.time_ns() // 1_000_000
    with closing(log.writer()) as writer, closing(log.reader("out", at_end=True)) as reader:
        writer.append([Arrival(b"old", now, f"192.0.2.{at}") for at in range(20)])
        join(reader, 2)
        writer.append([Arrival(b"new", now, "192.0.2.1")])
        chunk = until(lambda: reader.read(1), "a record")
        assert [record.raw for record in chunk.records] == [b"new"]
        assert chunk.records[0].offset & (1 << LANE) - 1 > 0


def test_a_full_disk_loses_nothing_and_needs_no_restart_of_ours(
    tmp_path: Path, broker: Broker
) -> None:
    broker.create("full", 1)
    broker.kill(signal.SIGTERM)
    broker.start(largest=12_000_000)  # index files have 10 MB from the start
    log = KafkaLog(options(broker, "full", compression="none"), tmp_path, ("receiver",))
    now = time.time_ns() // 1_000_000
    sent: list[Arrival] = []
    with closing(log.writer()) as writer:

        def told(group: list[Arrival]) -> str:
            try:
                writer.append(group)
            except LogAway as error:
                return str(error)
            return ""

        def refused() -> str:
            group = [Arrival(os.urandom(50_000), now, "192.0.2.1") for _ in range(20)]
            sent.extend(group)
            del waiting[:]
            waiting.extend(group)
            return told(group)

        waiting: list[Arrival] = []
        said = until(refused, "a disk that is full")
        assert "broker" in said
        until(lambda: not broker.running, "the broker gives up its only disk")
        assert told(waiting)
        broker.kill()
        broker.start()
        until(lambda: not told(waiting), "appended")
    assert sorted(broker.values("full").values()) == sorted(each.raw for each in sent)


def test_doctor_says_what_the_topic_lacks(tmp_path: Path, broker: Broker) -> None:
    broker.create("looked-at", 2)
    with HecStub() as stub:
        log = kafka(broker, "looked-at", "partitions = 6\n")
        with forward(tmp_path / "f", "receiver", free_port(), log, stub.url) as forwarder:
            done = doctor(forwarder.ready())
            assert done.returncode == 0, done.stdout + done.stderr  # warnings only
            assert f"reach {broker.server}: 1 brokers" in done.stdout
            assert "topic looked-at: 2 partitions, 6 wanted" in done.stdout
            assert "copies of looked-at: one" in done.stdout
            assert "retention of looked-at: 168 hours" in done.stdout
            assert "--alter --topic looked-at --partitions 6" in done.stdout
        log = kafka(broker, "absent")
        with forward(tmp_path / "g", "receiver", free_port(), log, stub.url) as forwarder:
            done = doctor(forwarder)
            assert done.returncode == 1
            assert "--create --topic absent" in done.stdout


def doctor(forwarder: Forwarder) -> subprocess.CompletedProcess[str]:
    words = [*COMMAND[:-1], "doctor", "--config", str(forwarder.config)]
    env = {**os.environ, "TEST_TOKEN": TOKEN}
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)  # noqa: S603
