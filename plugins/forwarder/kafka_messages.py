"""Messages of the topic as records: offsets with the partition in them, the sender, the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.log import LANE, lane_of
from datto_siem.plugins.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from confluent_kafka import KafkaError, Message, TopicPartition

PEER = "peer"


def at(topic: str, number: int, offset: int | None = None) -> TopicPartition:
    """A place in a topic for the client, by the partition's own offset."""
    from confluent_kafka import TopicPartition

    if offset is None:
        return TopicPartition(topic, number)
    return TopicPartition(topic, number, offset)


def place(topic: str, offset: int) -> TopicPartition:
    """A place in a topic for the client, by an offset of ours."""
    return at(topic, lane_of(offset), offset & ((1 << LANE) - 1))


def records(
    messages: Sequence[Message], failed: Callable[[KafkaError], None]
) -> Iterator[tuple[int, list[Record], int]]:
    """Partition, records and the offset behind them, for each run of messages of one partition.

    Args:
        messages: As the client gave them.
        failed: Hears of those that are errors.
    """
    number, found, end = -1, list[Record](), 0
    for message in messages:
        error = message.error()
        if error is not None:
            failed(error)
            continue
        partition, offset = message.partition() or 0, message.offset() or 0
        if partition != number and found:
            yield number, found, end
            found = []
        number, offset = partition, partition << LANE | offset
        end = offset + 1
        found.append(Record(_raw(message), message.timestamp()[1], _peer(message), offset))
    if found:
        yield number, found, end


def _raw(message: Message) -> bytes:
    value = message.value()
    return value if isinstance(value, bytes) else b""


def _peer(message: Message) -> str:
    key = message.key()
    if isinstance(key, bytes) and key:
        return key.decode("utf-8", "surrogateescape")
    headers = message.headers()
    for name, value in headers if isinstance(headers, list) else ():
        if name == PEER and isinstance(value, bytes):
            return value.decode("utf-8", "surrogateescape")
    return ""
