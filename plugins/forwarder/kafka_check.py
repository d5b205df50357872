"""What `doctor` finds out about a log in Kafka: reach, credentials, topics and their settings."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.forwarder import kafka_client
from datto_siem.plugins.forwarder.log import LogRefused
from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.sink import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Consumer, KafkaError

    from datto_siem.plugins.forwarder.kafka_options import Kafka

_ANSWER = 8.0
_BATCH = 1_000_000  # bytes a producer sends at most in one piece


def findings(kafka: Kafka) -> Iterator[Finding]:
    """Look at the brokers; changes nothing there."""
    heard: list[KafkaError] = []
    try:
        made = kafka_client.consumer(kafka, f"{kafka.group}.doctor", heard.append)
    except (LogRefused, ModuleNotFoundError, SecretMissing) as error:
        yield Finding(Level.FAULT, "configuration", str(error), "mend it and look again")
        return
    with closing(made) as consumer:
        reach = f"reach {', '.join(kafka.servers)}"
        try:
            cluster = consumer.list_topics(timeout=_ANSWER)
        except kafka_client.fault() as error:
            said = kafka_client.meaning(heard[0] if heard else error.args[0], kafka)
            yield Finding(Level.FAULT, reach, said, "then look again")
            return
        yield Finding(Level.GOOD, reach, f"{len(cluster.brokers)} brokers")
        yield from _topic(kafka, consumer)
        if kafka.dead_letters is not None:
            yield from _exists(kafka, consumer, kafka.dead_letters)


def _exists(kafka: Kafka, consumer: Consumer, topic: str) -> Iterator[Finding]:
    found = consumer.list_topics(topic, _ANSWER).topics[topic]
    if found.error is not None:
        said = kafka_client.meaning(found.error, kafka, topic)
        yield Finding(Level.FAULT, f"topic {topic}", said, "then look again")
    else:
        yield Finding(Level.GOOD, f"topic {topic}", f"{len(found.partitions)} partitions")


def _topic(kafka: Kafka, consumer: Consumer) -> Iterator[Finding]:
    """The records' topic: its partitions, copies and settings."""
    topic = kafka.topic
    found = consumer.list_topics(topic, _ANSWER).topics[topic]
    if found.error is not None:
        yield from _exists(kafka, consumer, topic)
        return
    count, what = len(found.partitions), f"topic {topic}"
    wanted = kafka.partitions
    if wanted is not None and count != wanted:
        more = (
            f"`kafka-topics.sh --bootstrap-server {kafka.servers[0]} --alter --topic {topic}"
            f" --partitions {wanted}`"
        )
        remedy = more if count < wanted else f"set log.kafka.partitions = {count}"
        said = f"{count} partitions, {wanted} wanted: as many workers of an output can share it"
        yield Finding(Level.WARNING, what, said, remedy)
    else:
        said = f"{count} partitions: as many workers of an output can share it"
        yield Finding(Level.GOOD, what, said)
    copies = min(len(each.replicas) for each in found.partitions.values())
    if copies < 2:
        yield Finding(
            Level.WARNING,
            f"copies of {topic}",
            "one: a broker's disk is all there is",
            "give it a replication factor of 3, and min.insync.replicas=2",
        )
    else:
        yield Finding(Level.GOOD, f"copies of {topic}", str(copies))
    yield from _settings(kafka)


def _settings(kafka: Kafka) -> Iterator[Finding]:
    """The topic's own settings, where the user may see them."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented to be there
        AdminClient,
        ConfigResource,
        ResourceType,
    )

    asked = ConfigResource(ResourceType.TOPIC, kafka.topic)
    try:
        client = AdminClient(kafka_client.settings(kafka))
        (answer,) = client.describe_configs([asked], request_timeout=_ANSWER).values()
        entries: dict[str, Any] = answer.result(_ANSWER)
    except (KafkaException, TimeoutError) as error:
        said = error.args[0].name() if isinstance(error, KafkaException) else "no answer"
        yield Finding(
            Level.WARNING,
            f"settings of {kafka.topic}",
            f"cannot be read: {said}",
            "allow DescribeConfigs on the topic to have them looked at",
        )
        return
    given = {name: entry.value for name, entry in entries.items()}
    yield from _judged(kafka.topic, given)


def _judged(topic: str, given: dict[str, str]) -> Iterator[Finding]:
    if "compact" in given.get("cleanup.policy", "delete"):
        yield Finding(
            Level.FAULT,
            f"cleanup.policy of {topic}",
            "compact: of each sender the last record alone would stay",
            "set cleanup.policy=delete",
        )
    if int(given.get("max.message.bytes", _BATCH)) < _BATCH:
        yield Finding(
            Level.FAULT,
            f"max.message.bytes of {topic}",
            f"{given['max.message.bytes']}: too small for what receivers send at once",
            "set max.message.bytes to 1048588 or more",
        )
    if given.get("message.timestamp.type") == "LogAppendTime":
        yield Finding(
            Level.WARNING,
            f"message.timestamp.type of {topic}",
            "LogAppendTime: the time of receipt is lost, the broker's stands for it",
            "set message.timestamp.type=CreateTime",
        )
    kept = int(given.get("retention.ms", -1))
    said = "without end" if kept < 0 else f"{kept / 3_600_000:g} hours"
    yield Finding(Level.GOOD, f"retention of {topic}", f"{said}, delivered or not")
