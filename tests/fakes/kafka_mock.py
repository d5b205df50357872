"""librdkafka's own mock cluster: real clients, real protocol, brokers in this process's memory."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 4  # of every topic; made when first asked for


@contextmanager
def mock_cluster(brokers: int = 1) -> Iterator[str]:
    """A cluster; gives its bootstrap servers."""
    silent = logging.getLogger("tests.kafka_mock")
    silent.propagate = False
    keeper = Producer(
        {"bootstrap.servers": "mock", "test.mock.num.brokers": brokers, "log_level": 0},
        logger=silent,
    )
    found = keeper.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{each.host}:{each.port}" for each in found)
    keeper.flush(0)
