"""The log in Kafka, against librdkafka's mock cluster; a real broker is in tests/engines."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from durable import TIME, arrivals, number
from fakes.kafka_mock import PARTITIONS, mock_cluster
from fakes.scripted_sink import ScriptedSink
from running import drain, until

from datto_siem.converters.identity import uid
from datto_siem.plugins.forwarder import (
    kafka_client,
    kafka_dead_letters,
    kafka_feed,
    kafka_messages,
)
from datto_siem.plugins.forwarder.dead_letters import DeadLetters
from datto_siem.plugins.forwarder.gate import Patience
from datto_siem.plugins.forwarder.intake import Intake
from datto_siem.plugins.forwarder.kafka_dead_letters import KafkaDeadLetters
from datto_siem.plugins.forwarder.kafka_log import KafkaLog
from datto_siem.plugins.forwarder.kafka_marks import Marks
from datto_siem.plugins.forwarder.kafka_options import Kafka
from datto_siem.plugins.forwarder.kafka_trouble import Trouble
from datto_siem.plugins.forwarder.kafka_writer import KafkaWriter
from datto_siem.plugins.forwarder.letters import Letter
from datto_siem.plugins.forwarder.log import LANE, LogAway, LogRefused, Rewound, lane_of
from datto_siem.plugins.forwarder.pump import Pace, Pump
from datto_siem.plugins.forwarder.redelivery import retry
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import Reply
from datto_siem.plugins.source import Arrival, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datto_siem.plugins.forwarder.log import Chunk


@pytest.fixture
def servers() -> Iterator[list[str]]:
    with mock_cluster() as found:
        yield found.split(",")


def options(servers: list[str], topic: str = "records", **more: Any) -> Kafka:
    return Kafka(servers=servers, topic=topic, plaintext=True, session_timeout=3.0, **more)


@pytest.fixture
def kafka(servers: list[str]) -> Kafka:
    return options(servers)


@pytest.fixture
def log(kafka: Kafka, tmp_path: Path) -> Iterator[KafkaLog]:
    with closing(KafkaLog(kafka, tmp_path / "log", ("receiver", "worker"))) as opened:
        yield opened


def append(log: KafkaLog, given: list[Arrival]) -> None:
    with closing(log.writer()) as writer:
        until(lambda: appended(writer, given), "appended")


def appended(writer: KafkaWriter, given: list[Arrival], marks: tuple[Mark, ...] = ()) -> bool:
    try:
        writer.append(given, marks)
    except LogAway:
        return False
    return True


def why(writer: KafkaWriter, given: list[Arrival]) -> str:
    """What an append that fails says."""
    with pytest.raises(LogAway) as caught:
        writer.append(given)
    return str(caught.value)


def stored(servers: list[str], topic: str = "records") -> list[Record]:
    """All records of a topic, read without a group (the mock cluster lets each wait 3 s)."""
    found: list[Record] = []
    with closing(Consumer({"bootstrap.servers": servers[0], "group.id": "audit"})) as consumer:
        places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        ends = [consumer.get_watermark_offsets(place, 10)[1] for place in places]
        consumer.assign(places)
        while len(found) < sum(ends):
            messages = consumer.consume(1000, 0.05)
            for _, records, _ in kafka_messages.records(messages, pytest.fail):
                found += records
    return found


def test_records_come_back_as_they_were_with_places_of_their_own(
    log: KafkaLog, servers: list[str]
) -> None:
    given = [
        Arrival(b"\x00\xff not UTF-8 \xc3", TIME, "192.0.2.1"),
        Arrival(b"", TIME + 1, "2001:db8::1"),
        Arrival(b"from standard input", TIME + 2, ""),
        Arrival(b"from a file", TIME + 3, "/var/log/datto-\udcff.log"),
        *arrivals(0, 500),
    ]
    append(log, given)
    found = stored(servers)
    assert sorted(record[:3] for record in found) == sorted(given)
    assert len({record.offset for record in found}) == len(given)
    assert max(record.offset for record in found) < 1 << 63
    assert all(lane_of(record.offset) < PARTITIONS for record in found)
    for sender in ("192.0.2.1", "192.0.2.2"):  # one sender: one partition, in order
        theirs = [record for record in found if record.peer == sender and record.raw[:1].isdigit()]
        assert len({lane_of(record.offset) for record in theirs}) == 1
        assert [number(record) for record in theirs] == sorted(map(number, theirs))


def test_without_a_key_records_are_spread_and_keep_their_sender(
    servers: list[str], tmp_path: Path
) -> None:
    log, count = KafkaLog(options(servers, key="none"), tmp_path, ()), 0
    with closing(log.writer()) as writer:

        def spread() -> bool:  # a partition is kept for some milliseconds, then another is drawn
            nonlocal count
            until(lambda: appended(writer, arrivals(count, 50)), "appended")
            count += 50
            return len({lane_of(record.offset) for record in stored(servers)}) > 1

        until(spread, "more than one partition")
    found = stored(servers)
    assert sorted(map(number, found)) == list(range(count))
    assert all(record.peer == f"192.0.2.{number(record) % 2 + 1}" for record in found)


def test_an_output_reads_on_from_its_place_and_ids_stay_the_same(
    log: KafkaLog, servers: list[str]
) -> None:
    append(log, arrivals(0, 300))
    with closing(log.reader("out")) as outside:
        assert outside.standing().waiting == 300
    found: list[Record] = []
    with closing(log.reader("out")) as reader:
        first: Chunk = until(lambda: reader.read(1), "records")
        until(lambda: reader.standing().waiting == 300, "all waiting")
        assert reader.standing().committed is None
        assert reader.standing().oldest == first.records[0].received
        settled = len(first.records) // 2
        reader.commit(first.records[settled].offset)
        reader.commit(5 << LANE)  # a partition that is another worker's by now: no fault
        assert reader.standing().waiting == 300 - settled
        found += first.records
        until(lambda: len(found) == 300 or extended(found, reader.read(1)), "all")
    again = drain(log, 300 - settled)
    assert ids(again) == ids(found) - ids(first.records[:settled])
    assert ids(stored(servers)) == ids(found)


def extended(found: list[Record], chunk: Chunk | None) -> bool:
    found += chunk.records if chunk else ()
    return False


def ids(records: list[Record]) -> set[str]:
    return {uid(each.raw, each.peer, each.received, each.offset) for each in records}


def test_an_append_that_took_too_long_goes_on_and_writes_nothing_twice(
    kafka: Kafka, log: KafkaLog, tmp_path: Path
) -> None:
    given = arrivals(0, 3000)
    twin = Arrival(given[0].raw, given[0].received, given[0].peer)  # the same line, again
    given.append(twin)
    given.append(twin)
    writer = KafkaWriter(kafka, Marks(tmp_path / "marks.json"), patience=0.0)
    with closing(writer):
        with pytest.raises(LogAway, match="do not confirm"):
            writer.append(given)
        until(lambda: appended(writer, given), "appended")
    found = stored(kafka.servers)
    assert sorted(record[:3] for record in found) == sorted(given)


def test_no_broker_is_told_and_costs_datagrams_that_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = options(["127.0.0.1:1"])
    meter = Meter()
    writer = KafkaWriter(kafka, Marks(tmp_path / "marks.json"), patience=0.3)
    with closing(writer):
        given = arrivals(0, 1)
        until(lambda: "no broker of 127.0.0.1:1 answers" in why(writer, given), "told")
        intake = Intake(writer, meter, policy="refuse-newest", bound=4000, retry=0.01)
        intake.put(arrivals(0, 10))
        until(intake.pressed, "senders that can wait are made to")
        until(lambda: "it takes no records" in caplog.text, "said in the log")
        intake.put(arrivals(10, 10))
        assert meter.get("lost_records", reason="away") == 10
        assert not intake.close(timeout=0.1)
        assert meter.get("lost_records", reason="away") == 20
    assert caplog.text.count("it takes no records") == 1


def test_a_reader_says_that_no_broker_answers(tmp_path: Path) -> None:
    log = KafkaLog(options(["127.0.0.1:1"]), tmp_path, ())
    with closing(log.reader("out")) as reader:

        def told() -> str:
            try:
                assert reader.read(1) is None
            except LogAway as error:
                return str(error)
            return ""

        assert "no broker of 127.0.0.1:1 answers" in until(told, "told")


def test_marks_are_kept_for_the_next_start_once_records_are_safe(
    log: KafkaLog, kafka: Kafka, tmp_path: Path
) -> None:
    with closing(log.writer()) as writer:
        assert writer.mark("file") is None
        marks = (Mark("file", "100"), Mark("other", "7"))
        until(lambda: appended(writer, arrivals(0, 10), marks), "appended")
        assert writer.mark("file") == "100"
    again = KafkaLog(kafka, tmp_path / "log", ())
    with closing(again.writer()) as writer:
        assert writer.mark("file") == "100"
        assert writer.mark("other") == "7"
    away = KafkaLog(options(["127.0.0.1:1"]), tmp_path / "log", ())
    writer = away.writer()
    writer._patience = 0.05
    with closing(writer):
        with pytest.raises(LogAway):
            writer.append(arrivals(0, 1), [Mark("file", "200")])
        assert writer.mark("file") == "100"


def parts(reader: Any) -> dict[int, Any]:
    found: dict[int, Any] = reader._feed._parts if reader._feed else {}
    return found


def test_a_pump_that_takes_nothing_is_fed_no_more_and_keeps_its_place(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_feed, "_HELD", 10_000)
    monkeypatch.setattr(kafka_feed, "_PATIENCE", 0.05)
    with closing(log.writer()) as writer:
        for start in range(0, 20_000, 4000):
            until(lambda start=start: appended(writer, arrivals(start, 4000)), "appended")
    with closing(log.reader("out")) as reader:
        first: Chunk = until(lambda: reader.read(1), "records")
        feed = reader._feed
        assert feed is not None
        until(lambda: feed._nbytes >= 10_000, "the queue full")
        held = feed._nbytes
        turns = feed._due
        until(lambda: feed._due > turns + 1, "still polling")
        assert feed._nbytes <= held + 1000 * 40  # what one poll brings, at most
        found = list(first.records)

        def rest() -> bool:
            chunk = reader.read(1)
            found.extend(chunk.records if chunk else ())
            return len(found) >= 20_000

        until(rest, "all the others")
        assert sorted(map(number, found)) == list(range(20_000))


def test_a_fault_of_ours_while_polling_ends_no_worker(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, arrivals(0, 10))

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    with closing(log.reader("out")) as reader:

        def failed() -> bool:
            try:
                return reader.read(1) is not None
            except RuntimeError as error:
                return "has failed" in str(error)

        with monkeypatch.context() as patched:
            patched.setattr(kafka_feed.Feed, "_turn", broken)
            until(failed, "broken")
        with pytest.raises(Rewound):
            reader.read(1)
        assert until(lambda: reader.read(1), "records").records


class Worker:
    """A pump in a thread, as a worker process runs it."""

    def __init__(self, log: KafkaLog, folder: Path, name: str) -> None:
        self.sink = ScriptedSink()
        self.reader = log.reader("out")
        letters = DeadLetters(folder / name, "out", now=time.time)
        pace = Pace(patience=Patience(0, 0, 0, 0, 0), commit=0.002)
        self.pump = Pump("out", self.reader, self.sink, letters, Meter(), pace)
        self.thread = threading.Thread(target=self.pump.run)

    @contextmanager
    def running(self) -> Iterator[Worker]:
        self.thread.start()
        try:
            yield self
        finally:
            self.pump.stop(10.0)
            self.thread.join(30)
            self.reader.close()

    @property
    def got(self) -> list[bytes]:
        return list(self.sink.taken)


def test_workers_share_partitions_hand_them_over_and_miss_nothing(
    log: KafkaLog, tmp_path: Path
) -> None:
    # repeats are for the real broker's test: this one refuses commits while a group rebalances
    one, two = Worker(log, tmp_path, "one"), Worker(log, tmp_path, "two")
    ending, count = threading.Event(), 0
    peers = [f"192.0.2.{at}" for at in range(40)]

    def send() -> None:
        nonlocal count
        with closing(log.writer()) as writer:
            while not ending.is_set():
                given = [
                    Arrival(b"%09d" % (count + at), TIME, peers[at % len(peers)])
                    for at in range(100)
                ]
                until(lambda given=given: appended(writer, given), "appended")
                count += 100
                ending.wait(0.01)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        with one.running():
            until(lambda: len(one.got) > 500, "one delivers")
            with two.running():
                until(lambda: len(two.got) > 500, "both deliver")
                assert len(parts(one.reader)) + len(parts(two.reader)) == PARTITIONS
            before = len(one.got)
            until(lambda: len(parts(one.reader)) == PARTITIONS, "all are one's again")
            until(lambda: len(one.got) > before + 500, "one delivers all")
            ending.set()
            sending.join()
            until(lambda: len({*one.got, *two.got}) == count, "all delivered")
    finally:
        ending.set()
        sending.join()
    assert {*one.got, *two.got} == {b"%09d" % at for at in range(count)}


def test_dead_letters_in_a_topic_are_listed_sent_again_and_then_gone(kafka: Kafka) -> None:
    letters = KafkaDeadLetters(kafka, "records.dead", "out", now=lambda: 1_790_000_000.5)
    others = KafkaDeadLetters(kafka, "records.dead", "another", now=lambda: 1_790_000_000.5)
    records = [
        Record(b"line %d \xff" % at, TIME + at, "192.0.2.1", 3 << LANE | at) for at in range(4)
    ]
    letters.write([Letter(record, "no place for it", b"{}", "index") for record in records])
    others.write([Letter(records[0], "not ours")])
    listed = list(letters.listed())
    assert [each["reason"] for each in listed] == ["no place for it"] * 4
    assert listed[0]["uid"] == uid(records[0].raw, "192.0.2.1", TIME, 3 << LANE)
    assert listed[0]["time"] == "2026-09-21T14:13:20.500Z"
    refused = Reply(rejected={1: "still no place"})
    sink = ScriptedSink([refused])
    done = retry(letters, sink)
    assert (done.taken, done.refused, done.stopped) == (3, 1, "")
    (left,) = letters.listed()
    assert left["tries"] == 1
    assert retry(letters, sink).taken == 1
    assert list(letters.listed()) == []
    assert [each["reason"] for each in others.listed()] == ["not ours"]


def test_dead_letters_that_cannot_be_kept_halt_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = KafkaDeadLetters(options(["127.0.0.1:1"]), "dead", "out", now=time.time)

    def told() -> str:
        with pytest.raises(OSError, match="broker") as caught:  # what halts an output
            away.write([Letter(Record(b"a", 1, ""), "why")])
        return str(caught.value)

    monkeypatch.setattr(kafka_dead_letters, "_PATIENCE", 0.3)
    until(lambda: "no broker of 127.0.0.1:1" in told(), "told")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (KafkaError._ALL_BROKERS_DOWN, "no broker of 127.0.0.1:9092 answers"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "--create --topic records --partitions 12"),
        (KafkaError._AUTHENTICATION, "check log.kafka.sasl"),
        (KafkaError._SSL, "check log.kafka.tls"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "may not use topic records"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "groups that begin with datto-siem"),
        (KafkaError.NOT_ENOUGH_REPLICAS, "too few replicas of records"),
        (KafkaError.KAFKA_STORAGE_ERROR, "free space"),
        (KafkaError.MSG_SIZE_TOO_LARGE, "max.message.bytes"),
        (KafkaError.INVALID_TIMESTAMP, "NTP"),
        (KafkaError.UNSUPPORTED_VERSION, "UNSUPPORTED_VERSION: "),
    ],
)
def test_every_error_says_what_to_do(code: int, said: str) -> None:
    kafka = options(["127.0.0.1:9092"], partitions=12)
    assert said in kafka_client.meaning(KafkaError(code), kafka)


def test_trouble_that_passes_by_itself_is_not_told() -> None:
    trouble = Trouble(options(["127.0.0.1:9092"]))
    for code in (KafkaError._TRANSPORT, KafkaError.REBALANCE_IN_PROGRESS):
        trouble.hear(KafkaError(code))
        trouble.take(KafkaError(code))
    assert not trouble.said
    assert not trouble.suspected
    trouble.take(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    assert "consumer groups" in trouble.said
    trouble.over()
    assert not trouble.said


def test_one_forwarder_of_a_role_on_one_path(kafka: Kafka, tmp_path: Path) -> None:
    with closing(KafkaLog(kafka, tmp_path / "log", ("receiver",))) as receiver:
        receiver.claim()
        with closing(KafkaLog(kafka, tmp_path / "log", ("worker",))) as worker:
            worker.claim()
        with (
            closing(KafkaLog(kafka, tmp_path / "log", ("receiver", "worker"))) as both,
            pytest.raises(LogRefused, match="in use by another forwarder"),
        ):
            both.claim()


def test_options_the_client_refuses_are_told(servers: list[str], tmp_path: Path) -> None:
    kafka = options(servers, properties={"no.such.setting": "1"})
    with pytest.raises(LogRefused, match=r"log\.kafka: .*no\.such\.setting"):
        KafkaLog(kafka, tmp_path, ()).writer()


def test_another_consumer_can_read_the_topic(log: KafkaLog, servers: list[str]) -> None:
    append(log, [Arrival(b"CEF:1|Datto|...", TIME, "192.0.2.1")])
    reader = Consumer({"bootstrap.servers": servers[0], "group.id": "other"})
    with closing(reader):
        reader.assign([TopicPartition("records", number, 0) for number in range(PARTITIONS)])
        (message,) = until(lambda: reader.consume(1, 0.1), "a message")
        assert message.value() == b"CEF:1|Datto|..."
        assert message.key() == b"192.0.2.1"
        assert message.timestamp()[1] == TIME


def test_a_strangers_message_is_a_record_too(log: KafkaLog, servers: list[str]) -> None:
    stranger = Producer({"bootstrap.servers": servers[0]})
    stranger.produce("records", None, timestamp=TIME)
    stranger.produce("records", b"no key", timestamp=TIME, headers={"peer": b"192.0.2.9"})
    assert stranger.flush(10) == 0
    found = stored(servers)
    assert {(record.raw, record.peer) for record in found} == {
        (b"", ""),
        (b"no key", "192.0.2.9"),
    }
