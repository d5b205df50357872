"""Options of `[log.kafka]`: which brokers and topic, who we are to them, how we are to behave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from datto_siem.plugins.options import Duration, option
from datto_siem.plugins.secret import Secret  # noqa: TC001  the schema is made of the types
from datto_siem.plugins.transport import Tls

USAGE = """\
The log as a topic of Kafka, for fleets that one machine does not carry (extra `kafka`).

Every machine has the same file. `forward --role receiver` takes syslog in and writes the topic
(idempotent, confirmed by all replicas), `--role worker` reads it as a member of one consumer group
for each output and delivers; without a role a forwarder does both. A worker more is a machine more:
partitions are shared out again by themselves, and as many workers of an output as the topic has
partitions can share it. A record's id is made of its partition and offset, so what comes twice
after a crash carries the same id, whoever delivers it.

Create the topic first: 6 or more partitions, 3 replicas, min.insync.replicas=2,
cleanup.policy=delete, and a retention.ms that is the longest outage of a SIEM you want to outlast:
what is kept, and what is dropped undelivered, is the topic's setting (it is counted as
`lost_records`, reason `age`). The user needs Describe and Write on it (receivers), Describe and
Read on it and Read on groups GROUP.* (workers), and Describe, Write and Read on the topic of dead
letters; DescribeConfigs lets `doctor` see more.
"""

EXAMPLE = """\
[log]
type = "kafka"
path = "/var/lib/datto-siem" # marks of files, state of outputs; dead letters without a topic

[log.kafka]
servers = ["kafka-1.example:9093", "kafka-2.example:9093"]
topic = "datto-siem"
partitions = 12
dead_letters = "datto-siem.dead"
sasl = { username = "datto-siem", password = { env = "KAFKA_PASSWORD" } }
"""

_TOPIC = r"^[A-Za-z0-9._-]{1,200}$"
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,/]+):[0-9]{1,5}")
_OURS = {
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "compression.type",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "group.protocol",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "session.timeout.ms",
}
_OURS_TOO = re.compile(r"^(sasl|security|ssl)\.|password|secret|_cb$|^test\.|^plugin\.")


@dataclass(frozen=True)
class Sasl:
    """`sasl`: user and password, where the brokers ask for them."""

    username: str = option("User")
    password: Secret = option("Password")
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = option(
        "How the password is proven", "SCRAM-SHA-512"
    )


@dataclass(frozen=True)
class Kafka:
    """`[log.kafka]`: the log as a topic, for `type = "kafka"`."""

    servers: list[str] = option("HOST:PORT of some brokers; those tell of the others", minItems=1)
    topic: str = option("Topic of the records", "datto-siem", pattern=_TOPIC)
    group: str = option(
        "First part of the consumer groups' names: that of an output is GROUP.OUTPUT",
        "datto-siem",
        pattern=_TOPIC,
    )
    partitions: int | None = option(
        "Partitions the topic should have: `doctor` says when it has others", None, minimum=1
    )
    dead_letters: str | None = option(
        "Topic of dead letters, such as datto-siem.dead; absent: files below log.path",
        None,
        pattern=_TOPIC,
    )
    key: Literal["peer", "none"] = option(
        "Records of one sender stay in order in one partition, or all are spread evenly", "peer"
    )
    compression: Literal["lz4", "zstd", "gzip", "none"] = option("Compression of records", "lz4")
    plaintext: bool = option("Talk without TLS; anybody between can read", False)
    tls: Tls = option("How brokers are trusted, and we by them", Tls())
    sasl: Sasl | None = option("User and password", None)
    session_timeout: Duration = option(
        "Silence after which a worker counts as dead and the others take its partitions over",
        Duration(10.0),
    )
    drain: Duration = option(
        "How long a partition that another worker takes over may finish what was read of it",
        Duration(5.0),
    )
    properties: dict[str, str] = option(
        'More settings of librdkafka: { "client.rack" = "a" }; none that are options here', {}
    )

    def __post_init__(self) -> None:
        """Check what the schema cannot.

        Raises:
            ValueError: Says what to do.
        """
        for server in self.servers:
            if not _SERVER.fullmatch(server):
                raise ValueError('kafka.servers: write such as ["kafka-1.example:9093"]')
        for name in self.properties:
            if name in _OURS or _OURS_TOO.search(name):
                raise ValueError(
                    f"kafka.properties: {name!r} is not free to set: see the other options"
                )
        if self.dead_letters == self.topic:
            raise ValueError("kafka.dead_letters: name another topic than kafka.topic")
        if self.plaintext and self.sasl is not None and self.sasl.mechanism == "PLAIN":
            raise ValueError("kafka.sasl: PLAIN without TLS shows the password: use SCRAM or TLS")

    def group_of(self, output: str) -> str:
        """The consumer group of an output."""
        return f"{self.group}.{output}"
