"""Clients of Kafka by our options, and what their errors mean for the one who can mend them.

Owns every setting of librdkafka and the words for its errors. Writing and reading is `kafka_writer`
and `kafka_feed`. confluent-kafka is imported here alone, when a client is made: it is an extra.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.forwarder.log import LogRefused
from datto_siem.plugins.secret import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer, KafkaError, Producer

    from datto_siem.plugins.forwarder.kafka_options import Kafka

_LARGEST = 17 * 1024 * 1024  # above the largest `max_record` of any listener
_REFRESH_MS = 10_000  # how soon a topic that was made, or its new partitions, are noticed
_SILENT = logging.getLogger("datto_siem.librdkafka")  # its lines repeat what error_cb tells
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_AWAY = {
    "_ALL_BROKERS_DOWN",
    "_TRANSPORT",
    "_RESOLVE",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_MSG_TIMED_OUT",
    "REQUEST_TIMED_OUT",
}
REFUSED = {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"}
UNKNOWN_TOPIC = {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"}
_MEANINGS = {
    "_AUTHENTICATION": "the brokers refuse the user or password: check log.kafka.sasl",
    "SASL_AUTHENTICATION_FAILED": "the brokers refuse the user or password: check log.kafka.sasl",
    "UNSUPPORTED_SASL_MECHANISM": "the brokers do not know this sasl.mechanism: name another",
    "ILLEGAL_SASL_STATE": "the brokers want no password here: check log.kafka.sasl and the port",
    "TOPIC_AUTHORIZATION_FAILED": "the user may not use topic {topic}: allow it Describe, Write"
    " (receivers) and Read (workers)",
    "GROUP_AUTHORIZATION_FAILED": "the user may not use the consumer groups: allow it Read on"
    " groups that begin with {group}",
    "CLUSTER_AUTHORIZATION_FAILED": "the user may not write idempotently: allow it Write on topic"
    " {topic}, and IdempotentWrite on the cluster where that is older than 3.0",
    "NOT_ENOUGH_REPLICAS": "too few replicas of {topic} are in step: mend the brokers",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "too few replicas of {topic} are in step: mend the brokers",
    "KAFKA_STORAGE_ERROR": "a broker cannot write to its disk: free space or mend it there",
    "MSG_SIZE_TOO_LARGE": "the brokers refuse the size: set max.message.bytes of {topic} to"
    " 1048588 or more, and above the listeners' max_record",
    "RECORD_LIST_TOO_LARGE": "the brokers refuse the size: raise segment.bytes of {topic}",
    "INVALID_TIMESTAMP": "the brokers' clock and ours differ too much: set both by NTP",
}


def settings(kafka: Kafka) -> dict[str, Any]:
    """What all clients have in common.

    Raises:
        SecretMissing: The password is not there.
    """
    tls, sasl = kafka.tls, kafka.sasl
    security = ("SASL_" if sasl else "") + ("PLAINTEXT" if kafka.plaintext else "SSL")
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(kafka.servers),
        "client.id": "datto-siem",
        "security.protocol": security,
        "topic.metadata.refresh.interval.ms": _REFRESH_MS,
        "reconnect.backoff.max.ms": 2000,
        "socket.keepalive.enable": True,
        "log_level": 2,
    }
    if not kafka.plaintext:
        files = {
            "ssl.ca.location": tls.ca_file,
            "ssl.certificate.location": tls.client_cert,
            "ssl.key.location": tls.client_key or tls.client_cert,
        }
        found |= {name: value for name, value in files.items() if value is not None}
        if tls.insecure_skip_verify:
            found["enable.ssl.certificate.verification"] = False
    if sasl is not None:
        found["sasl.mechanism"] = sasl.mechanism
        found["sasl.username"] = sasl.username
        found["sasl.password"] = sasl.password.value()
    return found | kafka.properties


def producer(kafka: Kafka, told: Callable[[KafkaError], None]) -> Producer:
    """A producer that gives up on no record, repeats none, and is confirmed by all replicas.

    Args:
        kafka: The options.
        told: Hears of errors while the client is in use.

    Raises:
        ModuleNotFoundError: The extra is not installed.
        LogRefused: The client refuses the options.
        SecretMissing: The password is not there.
    """
    ours = {
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 0,
        "delivery.report.only.error": True,
        "message.max.bytes": _LARGEST,
        "compression.type": kafka.compression,
        "partitioner": "murmur2_random",  # as Java's, so that others find a sender's partition
        "linger.ms": 5,
        "topic.metadata.propagation.max.ms": 5000,  # how long a missing topic goes untold
        "error_cb": told,
    }
    made: Producer = _made("Producer", {**settings(kafka), **ours})
    return made


def consumer(kafka: Kafka, group: str, told: Callable[[KafkaError], None]) -> Consumer:
    """A consumer that commits what was stored, and stores nothing by itself.

    Raises:
        ModuleNotFoundError: The extra is not installed.
        LogRefused: The client refuses the options.
        SecretMissing: The password is not there.
    """
    ours = {
        "group.id": group,
        "enable.auto.offset.store": False,
        "auto.commit.interval.ms": 500,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(kafka.session_timeout * 1000),
        "heartbeat.interval.ms": max(100, int(kafka.session_timeout * 1000 / 4)),
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.message.max.bytes": 1024 * 1024,
        "error_cb": told,
    }
    made: Consumer = _made("Consumer", {**settings(kafka), **ours})
    return made


def renew(client: Producer | Consumer, kafka: Kafka) -> None:
    """Have a client take the password as it is now: one that was wrong may have been mended."""
    if kafka.sasl is not None:
        with contextlib.suppress(SecretMissing):  # the old one stays, and so does the complaint
            client.set_sasl_credentials(kafka.sasl.username, kafka.sasl.password.value())


def fault() -> type[Exception]:
    """What clients raise."""
    from confluent_kafka import KafkaException

    return KafkaException


def _made(kind: str, given: dict[str, Any]) -> Any:
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "log.type = \"kafka\" needs more: pip install 'datto-siem[kafka]'"
        ) from error
    try:
        return getattr(confluent_kafka, kind)(given, logger=_SILENT)
    except confluent_kafka.KafkaException as error:
        raise LogRefused(f"log.kafka: {error.args[0].str()}: mend that option") from error


def vague(error: KafkaError) -> bool:
    """Whether an error says no more than that brokers do not answer."""
    return error.name() in _AWAY and not _about_tls(error)


def _about_tls(error: KafkaError) -> bool:
    """Whether TLS failed; a refusal after the handshake comes as a lost connection."""
    return error.name() == "_SSL" or (error.name() == "_TRANSPORT" and " SSL " in error.str())


def meaning(error: KafkaError, kafka: Kafka, topic: str | None = None) -> str:
    """What an error says to the one who can mend it.

    Args:
        error: The client's.
        kafka: The options.
        topic: The topic it is about, where that is not the records'.
    """
    name, topic = error.name(), topic or kafka.topic
    if _about_tls(error):
        said = error.str().rpartition("SSL routines::")[2]
        return f"no TLS with the brokers, check log.kafka.tls and the port: {said}"
    if name in _AWAY:
        return f"no broker of {', '.join(kafka.servers)} answers: start it, or mend the way to it"
    if name in UNKNOWN_TOPIC:
        return f"topic {topic} does not exist: create it with {create(kafka, topic)}"
    known = _MEANINGS.get(name)
    if known is not None:
        return known.format(topic=topic, group=kafka.group)
    return f"{name}: {error.str()}"


def create(kafka: Kafka, topic: str | None = None) -> str:
    """The command that makes a topic."""
    return (
        f"`kafka-topics.sh --bootstrap-server {kafka.servers[0]} --create --topic"
        f" {topic or kafka.topic} --partitions {kafka.partitions or 6} --replication-factor 3`"
    )
