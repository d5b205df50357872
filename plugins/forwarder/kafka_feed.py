"""What a worker gets of the topic: a thread that polls, and a bounded queue before the pump.

Owns the membership in the consumer group. The thread polls however long the pump is held up, or the
group would put this worker out; when a partition goes to another worker, what the pump has of it
gets `drain` seconds to be settled, so that little is delivered twice. The client is this thread's
alone: a call from another one waits while a callback runs, and the callbacks wait for the pump.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.forwarder import kafka_client
from datto_siem.plugins.forwarder.kafka_messages import at, place, records
from datto_siem.plugins.forwarder.kafka_parts import Part
from datto_siem.plugins.forwarder.kafka_trouble import Trouble
from datto_siem.plugins.forwarder.log import LANE, Chunk, LogAway, lane_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

    from datto_siem.plugins.forwarder.kafka_options import Kafka

_LOG = logging.getLogger(__name__)
_MESSAGES = 1000
_WAIT = 0.05
_EVERY = 0.25
_HELD = 4 * 1024 * 1024
_PATIENCE = 2.0  # seconds without room after which partitions are paused
_ANSWER = 10.0  # seconds the brokers get for an answer


class Feed:
    """Chunks for one output.

    Args:
        kafka: The options.
        output: The output.
        at_end: A partition nobody of the group has read begins at its end.
    """

    def __init__(self, kafka: Kafka, output: str, at_end: bool) -> None:
        """Join the group, in a thread of its own.

        Raises:
            LogRefused: The client refuses the options.
        """
        self._kafka, self._output, self._at_end = kafka, output, at_end
        self._trouble = Trouble(kafka)
        self._fault = kafka_client.fault()
        group = kafka.group_of(output)
        self._consumer: Consumer = kafka_client.consumer(kafka, group, self._trouble.hear)
        self._changed = threading.Condition()
        self._queue: deque[Chunk] = deque()
        self._nbytes, self._due = 0, 0.0
        self._parts: dict[int, Part] = {}
        self._ending = self._paused = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"kafka-{output}", daemon=True)
        self._thread.start()

    def next(self) -> Chunk | None:
        """The next chunk; None when there is none.

        Raises:
            LogAway: There is none, and the brokers do not answer or refuse.
            RuntimeError: The thread has failed.
        """
        with self._changed:
            if self._queue:
                chunk = self._queue.popleft()
                self._nbytes -= sum([len(record.raw) for record in chunk.records])
                part = self._parts.get(lane_of(chunk.end))
                if part is not None and chunk.records:
                    part.given(chunk.end, chunk.records[0].received)
                self._changed.notify_all()
                return chunk
        if self._failure is not None:
            raise RuntimeError("the thread that polls Kafka has failed") from self._failure
        said = self._trouble.said
        if said:
            raise LogAway(said)
        return None

    def settled(self, end: int) -> None:
        """Everything of a partition below this is settled: commit it soon."""
        with self._changed:
            part = self._parts.get(lane_of(end))
            if part is None:
                return  # it is another worker's now: what it delivers again has the same ids
            part.settle(end)
            self._changed.notify_all()

    def waiting(self) -> tuple[int, int | None]:
        """Records not settled yet in the partitions held, and the oldest's receive time."""
        with self._changed:
            parts = list(self._parts.values())
            oldest = [part.oldest for part in parts if part.oldest is not None]
            count = sum([part.waiting for part in parts])
        return count, min(oldest, default=None)

    def close(self) -> None:
        """Commit what is settled and leave the group."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(_ANSWER)

    def _run(self) -> None:
        consumer = self._consumer
        try:
            consumer.subscribe(
                [self._kafka.topic],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self._ending:
                self._turn(consumer)
                self._tend(consumer)
            self._store(consumer)
        except BaseException as error:
            _LOG.exception("output %s: fault while polling Kafka", self._output)
            self._failure = error
        finally:
            self._ending = True
            consumer.close()

    def _turn(self, consumer: Consumer) -> None:
        """Poll once; while the pump takes nothing, all partitions are paused."""
        with self._changed:
            room = self._changed.wait_for(lambda: self._nbytes < _HELD or self._ending, _PATIENCE)
        if room and self._paused:
            self._paused = False
            consumer.resume(consumer.assignment())
        elif not room and not self._paused:
            self._paused = True
            consumer.pause(consumer.assignment())
        self._poll(consumer)

    def _tend(self, consumer: Consumer) -> None:
        """Now and then: store what is settled, see where partitions end."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        self._store(consumer)
        for number, part in list(self._parts.items()):
            with contextlib.suppress(self._fault):
                part.high = consumer.get_watermark_offsets(
                    at(self._kafka.topic, number), cached=True
                )[1]

    def _store(self, consumer: Consumer) -> None:
        """Let the client commit what is settled, within its interval and when it closes."""
        topic = self._kafka.topic
        with self._changed:
            places = [
                place(topic, part.settled)
                for part in self._parts.values()
                if part.settled is not None
            ]
        if places:
            with contextlib.suppress(self._fault):  # then it is delivered again
                consumer.store_offsets(offsets=places)

    def _poll(self, consumer: Consumer) -> None:
        try:
            messages = consumer.consume(_MESSAGES, _WAIT)
        except self._fault as error:
            self._trouble.take(error.args[0])
            return
        if messages:
            self._take(messages)
        elif self._trouble.suspected:
            self._trouble.look(consumer)

    def _take(self, messages: list[Message]) -> None:
        """Queue what came, a partition a chunk."""
        for number, found, end in records(messages, self._trouble.take):
            part = self._parts.get(number)
            if part is None:
                continue
            first = found[0].offset
            lost = self._missing(number, part.expected, first) if part.skips(first) else 0
            part.expected = end
            with self._changed:
                self._queue.append(Chunk(found, end, lost, "age"))
                self._nbytes += sum([len(record.raw) for record in found])
            self._trouble.over()

    def _missing(self, number: int, expected: int, first: int) -> int:
        """How many records the brokers dropped before anybody read them.

        A gap alone does not tell: a producer's transactions leave gaps too.
        """
        try:
            low, _ = self._consumer.get_watermark_offsets(at(self._kafka.topic, number), _ANSWER)
        except self._fault:
            return 0
        return max(0, min(low, first - (number << LANE)) - (expected - (number << LANE)))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin with partitions where the group is."""
        begun = self._begun(consumer, partitions)
        with self._changed:
            for each in begun:
                self._parts[each.partition] = Part(each.partition, max(each.offset, -1))
        self._trouble.over()
        numbers = ", ".join(str(each.partition) for each in begun)
        _LOG.info("output %s: reads partitions %s", self._output, numbers or "none more")
        consumer.incremental_assign(begun)
        if self._paused:
            consumer.pause(begun)

    def _begun(self, consumer: Consumer, given: list[TopicPartition]) -> list[TopicPartition]:
        """Partitions with their offsets, where the brokers tell."""
        if not given:
            return given
        try:
            found = consumer.committed(given, _ANSWER)
            if any(each.error is not None for each in found):
                return given
            for each in found if self._at_end else ():
                if each.offset < 0:
                    _, each.offset = consumer.get_watermark_offsets(each, _ANSWER)
                    consumer.commit(offsets=[each], asynchronous=False)
        except self._fault as error:  # the client finds them itself, only `lost` is not known
            self._trouble.take(error.args[0])
            return given
        return found

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Let the pump finish what it has of partitions that go to another worker."""
        topic, numbers = self._kafka.topic, [each.partition for each in partitions]
        until = time.monotonic() + self._kafka.drain
        with self._changed:
            self._drop(numbers)
            if not self._ending:
                self._queue.extend(self._leaving(numbers, "soon"))
                self._changed.wait_for(
                    lambda: self._ending or all(self._is_settled(each) for each in numbers),
                    max(0.0, until - time.monotonic()),
                )
            settled = [
                place(topic, part.settled)
                for each in numbers
                if (part := self._parts.get(each)) is not None and part.settled is not None
            ]
        if settled:
            try:
                consumer.store_offsets(offsets=settled)  # or it commits an older one once more
                consumer.commit(offsets=settled, asynchronous=False)
            except self._fault as error:
                name = error.args[0].name()
                _LOG.info("output %s: last commit failed, some come twice: %s", self._output, name)
        self._gone(numbers)
        _LOG.info("output %s: gave up partitions %s", self._output, numbers)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions were given to another worker already: we were silent for too long."""
        numbers = [each.partition for each in partitions]
        _LOG.warning("output %s: lost partitions %s to other workers", self._output, numbers)
        with self._changed:
            self._drop(numbers)
        self._gone(numbers)

    def _gone(self, numbers: list[int]) -> None:
        with self._changed:
            for number in numbers:
                self._parts.pop(number, None)
            self._queue.extend(self._leaving(numbers, "now"))

    def _is_settled(self, number: int) -> bool:
        part = self._parts.get(number)
        return part is None or part.is_settled

    def _drop(self, numbers: list[int]) -> None:
        """Take what the pump has not read yet out of the queue."""
        kept = [chunk for chunk in self._queue if lane_of(chunk.end) not in numbers]
        self._queue = deque(kept)
        self._nbytes = sum(len(record.raw) for chunk in kept for record in chunk.records)

    def _leaving(self, numbers: list[int], how: Any) -> list[Chunk]:
        return [Chunk([], number << LANE, leaving=how) for number in numbers]
