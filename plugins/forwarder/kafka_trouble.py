"""What keeps a worker from reading: heard from the client, believed after a look at the brokers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import kafka_client

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError

    from datto_siem.plugins.forwarder.kafka_options import Kafka

_PATIENCE = 2.0
_EVERY = 2.0
_PASSING = {  # each happens while all is well, and the client goes on by itself
    "_PARTITION_EOF",
    "_MAX_POLL_EXCEEDED",
    "REBALANCE_IN_PROGRESS",
    "ILLEGAL_GENERATION",
    "UNKNOWN_MEMBER_ID",
    "NOT_COORDINATOR",
    "COORDINATOR_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION",
}
_LINKS = {"_TRANSPORT", "_RESOLVE"}  # one connection: the others may be well


class Trouble:
    """The last trouble.

    Attributes:
        said: What it is and what to do; "" when all is well.
        suspected: Whether a look at the brokers is due or worth it.
    """

    def __init__(self, kafka: Kafka) -> None:
        """All is well."""
        self._kafka = kafka
        self.said = ""
        self._heard: KafkaError | None = None
        self._looked = 0.0

    @property
    def suspected(self) -> bool:
        """Whether a look at the brokers is due."""
        troubled = self._heard is not None or bool(self.said)
        return troubled and time.monotonic() - self._looked > _EVERY

    def hear(self, error: KafkaError) -> None:
        """The client tells of something, which may be over already."""
        if error.name() in _PASSING or (error.name() in _LINKS and kafka_client.vague(error)):
            return
        if self._heard is None or not kafka_client.vague(error):  # those say less
            self._heard = error

    def take(self, error: KafkaError) -> None:
        """Polling gave an error instead of records."""
        if error.name() in _PASSING or (error.name() in _LINKS and kafka_client.vague(error)):
            return
        self._heard = error
        if not kafka_client.vague(error):
            self.said = kafka_client.meaning(error, self._kafka)

    def look(self, consumer: Consumer) -> None:
        """See whether the brokers answer and have the topic."""
        topic = self._kafka.topic
        if self._heard is not None and self._heard.name() in kafka_client.REFUSED:
            kafka_client.renew(consumer, self._kafka)
        try:
            found = consumer.list_topics(topic, _PATIENCE).topics[topic]
        except kafka_client.fault() as error:
            self.said = kafka_client.meaning(self._heard or error.args[0], self._kafka)
        else:
            if found.error is not None:
                self.said = kafka_client.meaning(found.error, self._kafka)
            elif self._heard is None or self._passes(self._heard):
                self.over()
        self._looked = time.monotonic()

    def over(self) -> None:
        """It works."""
        self.said, self._heard = "", None

    def _passes(self, heard: KafkaError) -> bool:
        """Whether an answer about the topic shows that this is over."""
        over = {*kafka_client.UNKNOWN_TOPIC, *kafka_client.REFUSED, *_LINKS, "_SSL"}
        return kafka_client.vague(heard) or heard.name() in over
