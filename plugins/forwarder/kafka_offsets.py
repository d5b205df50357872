"""Offsets of a consumer group seen and set from outside it: what waits, and replays."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import kafka_client
from datto_siem.plugins.forwarder.kafka_messages import at
from datto_siem.plugins.forwarder.log import LogAway, LogRefused

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    from datto_siem.plugins.forwarder.kafka_options import Kafka

_PATIENCE = 5.0


class Offsets:
    """An output's offsets; a client that is no member of the group.

    Args:
        kafka: The options.
        output: The output.
    """

    def __init__(self, kafka: Kafka, output: str) -> None:
        """Make a client; connects in the background."""
        self._kafka, self._output = kafka, output
        self._heard: KafkaError | None = None
        self._consumer: Consumer = kafka_client.consumer(kafka, kafka.group_of(output), self._hear)

    def waiting(self) -> int:
        """Records of the topic the group has not committed.

        Raises:
            LogAway: The brokers do not tell.
        """
        try:
            total = 0
            for each in self._committed():
                low, high = self._consumer.get_watermark_offsets(each, _PATIENCE)
                total += high - min(high, max(low, each.offset))
        except kafka_client.fault() as error:
            raise self._away(error) from error
        return total

    def rewind(self, received: int) -> int:
        """Set the group back to the first records received at or after a time; never forward.

        Returns:
            How many records will be sent again.

        Raises:
            LogAway: The brokers do not answer.
            LogRefused: The group is at work.
        """
        try:
            committed = [each for each in self._committed() if each.offset >= 0]
            asked = [at(each.topic, each.partition, received) for each in committed]
            found = self._consumer.offsets_for_times(asked, _PATIENCE)
            moved, count = [], 0
            for was, then in zip(committed, found, strict=True):
                low, _ = self._consumer.get_watermark_offsets(was, _PATIENCE)
                if 0 <= then.offset < was.offset:
                    count += was.offset - max(low, then.offset)
                    moved.append(then)
        except kafka_client.fault() as error:
            raise self._away(error) from error
        if moved:
            self._set(moved)
        return count

    def close(self) -> None:
        """Close."""
        self._consumer.close()

    def _set(self, moved: list[TopicPartition]) -> None:
        try:
            self._consumer.commit(offsets=moved, asynchronous=False)
        except kafka_client.fault() as error:
            if error.args[0].name() != "UNKNOWN_MEMBER_ID":
                raise self._away(error) from error
            raise LogRefused(
                f"group {self._kafka.group_of(self._output)} is at work, and Kafka moves no group"
                " then: end its workers on all machines, replay"
            ) from error

    def _committed(self) -> list[TopicPartition]:
        """All partitions with the group's offsets, negative where there is none."""
        topic = self._kafka.topic
        found = self._consumer.list_topics(topic, _PATIENCE).topics[topic]
        if found.error is not None:
            raise LogAway(kafka_client.meaning(found.error, self._kafka))
        places = [at(topic, number) for number in found.partitions]
        committed: list[TopicPartition] = self._consumer.committed(places, _PATIENCE)
        return committed

    def _away(self, error: Exception) -> LogAway:
        return LogAway(kafka_client.meaning(self._heard or error.args[0], self._kafka))

    def _hear(self, error: KafkaError) -> None:
        if self._heard is None or not kafka_client.vague(error):
            self._heard = error


def replay(kafka: Kafka, output: str, received: int) -> int:
    """Set an output's group back; see `Offsets.rewind`."""
    with closing(Offsets(kafka, output)) as offsets:
        return offsets.rewind(received)
