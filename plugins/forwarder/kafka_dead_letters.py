"""Dead letters in a topic: `letters.Letters` for workers on many machines.

One topic for all outputs, a line of JSON a message, the output as its key. Which of them were sent
again is the offset of a consumer group for each output, so nothing is ever deleted here: the
topic's retention decides. Two redeliveries at once send letters twice, with the same ids.
"""

from __future__ import annotations

import contextlib
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from datto_siem.plugins.forwarder import kafka_client
from datto_siem.plugins.forwarder.kafka_messages import at
from datto_siem.plugins.forwarder.letters import Letter, letter_of, written
from datto_siem.plugins.forwarder.log import LogAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from confluent_kafka import Consumer, KafkaError, Message, Producer

    from datto_siem.plugins.forwarder.kafka_options import Kafka

_PATIENCE = 10.0
_PART = 10_000
_MESSAGES = 1000


class Part(NamedTuple):
    """A range of one partition."""

    number: int
    begin: int
    end: int


class KafkaDeadLetters:
    """The dead letters of one output. Safe between threads and processes.

    Args:
        kafka: The options.
        topic: The topic of dead letters.
        output: The output's name.
        now: Epoch seconds.
    """

    def __init__(self, kafka: Kafka, topic: str, output: str, now: Callable[[], float]) -> None:
        """Connects to nothing yet."""
        self._kafka, self._topic, self.output, self._now = kafka, topic, output, now
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._heard: KafkaError | None = None
        self._whole: dict[Part, list[bytes]] = {}

    def write(self, letters: Sequence[Letter]) -> None:
        """Add letters; durable on return.

        Raises:
            LogAway: The brokers did not confirm them.
        """
        self._append([written(letter, self.output, self._now()) for letter in letters])

    def listed(self) -> Iterator[dict[str, Any]]:
        """Every letter that was not sent again, as it is kept."""
        with self._reading() as consumer:
            for part in self._parts(consumer):
                for line in self._lines(consumer, part):
                    document = _document(line)
                    if document is not None:
                        yield document

    @contextlib.contextmanager
    def sealed(self) -> Iterator[Sequence[Part]]:
        """What is in the topic now and was not sent again."""
        with self._reading() as consumer:
            parts = self._parts(consumer)
        yield parts

    def read(self, part: Part) -> Iterator[tuple[bytes, Letter | None]]:
        """Lines of a part, and the letters in them."""
        with self._reading() as consumer:
            lines = self._whole[part] = list(self._lines(consumer, part))
        for line in lines:
            document = _document(line)
            yield line, None if document is None else letter_of(document)

    def replace(self, part: Part, lines: Iterable[bytes]) -> None:
        """Append what is left of a part, and count all of it as sent again.

        Raises:
            LogAway: The brokers do not answer; the part counts as it did before.
        """
        left = list(lines)
        if left and left == self._whole.get(part):
            return  # nothing of it was tried
        self._append(left)
        with self._reading() as consumer:
            consumer.commit(offsets=[at(self._topic, part.number, part.end)], asynchronous=False)

    def again(self, letter: Letter, reason: str) -> bytes:
        """The line of a letter that was refused again."""
        more = letter._replace(reason=reason, tries=letter.tries + 1)
        return written(more, self.output, self._now())

    def _append(self, lines: Sequence[bytes]) -> None:
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed.append(error)

        with self._lock:
            if self._producer is None:
                self._producer = kafka_client.producer(self._kafka, self._hear)
            key = self.output.encode()
            try:
                for line in lines:
                    self._producer.produce(self._topic, line.rstrip(b"\n"), key, on_delivery=told)
            except kafka_client.fault() as fault:
                failed.append(fault.args[0])
            left = self._producer.flush(_PATIENCE)
            if not failed and not left:
                self._heard = None
                return
            error = failed[0] if failed else self._heard
            self._producer.purge()  # they are written again, by whoever is told
            self._producer.flush(1.0)
            self._producer = None
        raise LogAway(self._meaning(error))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Consumer]:
        """A consumer of the topic, in this output's group of redeliveries.

        Raises:
            LogAway: The brokers do not answer.
        """
        group = f"{self._kafka.group_of(self.output)}.dead"
        with closing(kafka_client.consumer(self._kafka, group, self._hear)) as consumer:
            try:
                yield consumer
            except kafka_client.fault() as error:
                raise LogAway(self._meaning(error.args[0])) from error

    def _parts(self, consumer: Consumer) -> list[Part]:
        found = consumer.list_topics(self._topic, _PATIENCE).topics[self._topic]
        if found.error is not None:
            raise LogAway(self._meaning(found.error))
        parts = []
        places = [at(self._topic, number) for number in sorted(found.partitions)]
        for place in consumer.committed(places, _PATIENCE):
            low, high = consumer.get_watermark_offsets(place, _PATIENCE)
            begin = max(low, place.offset)
            parts += [
                Part(place.partition, start, min(high, start + _PART))
                for start in range(begin, high, _PART)
            ]
        return parts

    def _lines(self, consumer: Consumer, part: Part) -> Iterator[bytes]:
        """This output's lines of a part."""
        consumer.assign([at(self._topic, part.number, part.begin)])
        until = time.monotonic() + _PATIENCE
        key = self.output.encode()
        reached = part.begin
        while reached < part.end:
            for message in consumer.consume(_MESSAGES, 0.1):
                offset, value = message.offset(), message.value()
                if message.error() is not None or offset is None or offset >= part.end:
                    continue
                reached, until = offset + 1, time.monotonic() + _PATIENCE
                if message.key() == key and isinstance(value, bytes):
                    yield value + b"\n"
            if time.monotonic() > until:
                raise LogAway(self._meaning(self._heard))

    def _meaning(self, error: KafkaError | None) -> str:
        if error is None:
            return "the brokers do not answer in time: look at them"
        return kafka_client.meaning(error, self._kafka, self._topic)

    def _hear(self, error: KafkaError) -> None:
        if self._heard is None or not kafka_client.vague(error):
            self._heard = error


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
