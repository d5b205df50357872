"""Appends records to the topic: `log.Writer` over an idempotent producer.

The value of a message is the record as it came, its timestamp the receive time, its key (or the
header `peer`) the sender, so that other consumers can read the topic too.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import kafka_client
from datto_siem.plugins.forwarder.kafka_messages import PEER
from datto_siem.plugins.forwarder.log import LogAway

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import KafkaError, Message

    from datto_siem.plugins.forwarder.kafka_marks import Marks
    from datto_siem.plugins.forwarder.kafka_options import Kafka
    from datto_siem.plugins.source import Arrival, Mark

_PATIENCE = 5.0
_UNCONFIRMED = (
    "the brokers do not confirm records: look at them (a full disk, too few replicas in step)"
)


class KafkaWriter:
    """A `log.Writer`; safe between threads.

    Args:
        kafka: The options.
        marks: Where marks are kept.
        patience: Seconds an append waits for the brokers.
    """

    def __init__(self, kafka: Kafka, marks: Marks, patience: float = _PATIENCE) -> None:
        """Make a client; connects in the background.

        Raises:
            LogRefused: The client refuses the options.
        """
        self._kafka, self._marks, self._patience = kafka, marks, patience
        self._lock = threading.Lock()
        self._told: KafkaError | None = None
        self._sent: list[Arrival] = []
        self._failed: list[Arrival] = []
        self._reason: KafkaError | None = None
        self._worn_out = self._missing = False
        self._producer = kafka_client.producer(kafka, self._hear)
        self._fault = kafka_client.fault()

    def append(self, arrivals: Sequence[Arrival], marks: Sequence[Mark] = ()) -> int:
        """Make records durable on the brokers; see `log.Writer`."""
        with self._lock:
            self._produce(self._new(arrivals))
            left = self._producer.flush(self._patience)
            if self._failed or left:
                raise LogAway(self._why())
            self._told = None
            self._marks.put(marks)
            self._sent.clear()  # not before: a mark that fails makes nothing be written twice
            return 0

    def mark(self, source: str) -> str | None:
        """The last durable position of a source."""
        return self._marks.get(source)

    def close(self) -> None:
        """Close; what was confirmed stays, what was not has been given up by the caller."""
        with self._lock:
            self._producer.purge()
            self._producer.flush(1.0)

    def _new(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Those that are not under way from an earlier attempt."""
        if self._worn_out:
            self._renew()
        if self._told is not None and self._told.name() in kafka_client.REFUSED:
            kafka_client.renew(self._producer, self._kafka)
        if self._missing:  # its absence would be believed for minutes
            self._missing = False
            with contextlib.suppress(self._fault):
                self._producer.list_topics(self._kafka.topic, 1.0)
        failed, under_way = Counter(map(id, self._failed)), []
        for arrival in self._sent:  # the same objects: this list keeps them alive
            if failed[id(arrival)] > 0:
                failed[id(arrival)] -= 1
            else:
                under_way.append(arrival)
        self._sent, self._failed = under_way, []
        known, new = Counter(map(id, under_way)), []
        for arrival in arrivals:
            if known[id(arrival)] > 0:
                known[id(arrival)] -= 1
            else:
                new.append(arrival)
        return new

    def _renew(self) -> None:
        """Take another client: one that lost count of what it wrote works no more.

        What of the last attempt was written cannot be known then: it is written again.
        """
        self._producer.purge()
        self._producer.flush(1.0)
        self._failed = list(self._sent)
        self._producer = kafka_client.producer(self._kafka, self._hear)
        self._worn_out = False

    def _produce(self, arrivals: list[Arrival]) -> None:
        topic, keyed, produce = self._kafka.topic, self._kafka.key == "peer", self._producer.produce
        for arrival in arrivals:
            raw, received, peer = arrival
            sender = peer.encode("utf-8", "surrogateescape")
            told: Callable[[KafkaError | None, Message], None] = partial(self._fail, arrival)
            try:
                if keyed:
                    produce(topic, raw, sender, timestamp=received, on_delivery=told)
                else:
                    produce(
                        topic,
                        raw,
                        headers=[(PEER, sender)],
                        timestamp=received,
                        on_delivery=told,
                    )
            except BufferError as error:
                self._producer.poll(0)
                raise LogAway(self._why()) from error
            except self._fault as error:
                self._reason = error.args[0]
                self._notice(error.args[0])
                raise LogAway(self._why()) from error
            self._sent.append(arrival)

    def _fail(self, arrival: Arrival, error: KafkaError | None, message: Message) -> None:
        """A record was not taken for good; called by `poll` and `flush`."""
        self._failed.append(arrival)
        if error is not None:
            self._reason = error
            self._notice(error)

    def _hear(self, error: KafkaError) -> None:
        """The client tells of its connections; called by `poll` and `flush`."""
        if self._told is None or not kafka_client.vague(error):  # those say less
            self._told = error
        self._notice(error)

    def _notice(self, error: KafkaError) -> None:
        if error.fatal() or error.name() in ("_FATAL", "_STATE"):
            self._worn_out = True
        elif error.name() in kafka_client.UNKNOWN_TOPIC:
            self._missing = True

    def _why(self) -> str:
        """What keeps records from being durable."""
        error, self._reason = self._reason or self._told, None
        return _UNCONFIRMED if error is None else kafka_client.meaning(error, self._kafka)
