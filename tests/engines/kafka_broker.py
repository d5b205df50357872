"""A real Kafka broker for tests: KRaft, one node on loopback; killed and started again at will."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import trustme
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from engine import ENGINES, needed
from running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JARS = ENGINES / "kafka" / "4.1.1"
_PATIENCE = 90.0
_USER, PASSWORD = "forwarder", "s3cret-of-the-test"
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{control}
listeners=PLAIN://127.0.0.1:{port},USERS://127.0.0.1:{users},TLS://127.0.0.1:{tls},\
CONTROL://127.0.0.1:{control}
advertised.listeners=PLAIN://127.0.0.1:{port},USERS://127.0.0.1:{users},TLS://127.0.0.1:{tls}
listener.security.protocol.map=PLAIN:PLAINTEXT,USERS:SASL_PLAINTEXT,TLS:SSL,CONTROL:PLAINTEXT
listener.name.tls.ssl.client.auth=required
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={directory}/broker.pem
listener.name.tls.ssl.truststore.type=PEM
listener.name.tls.ssl.truststore.location={directory}/ca.pem
controller.listener.names=CONTROL
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.users.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=100
log.initial.task.delay.ms=500
"""


class Broker:
    """One broker with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.users, self.tls, control = (free_port() for _ in range(4))
        self._certificates()
        self._config = directory / "server.properties"
        text = _PROPERTIES.format(
            port=self.port,
            users=self.users,
            tls=self.tls,
            control=control,
            data=directory / "data",
            directory=directory,
        )
        self._config.write_text(text)
        credential = f"SCRAM-SHA-512=[name={_USER},password={PASSWORD}]"
        self._java(
            "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ",
            "-c", str(self._config), "--add-scram", credential,
        )  # fmt: skip

    def _certificates(self) -> None:
        """An authority, and certificates of the broker and of a client."""
        authority = trustme.CA()
        self.ca_file, self.client_file = self._directory / "ca.pem", self._directory / "client.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        for path, name in (
            (self._directory / "broker.pem", "127.0.0.1"),
            (self.client_file, "forwarder.example"),
        ):
            made = authority.issue_cert(name)
            key = load_pem_private_key(made.private_key_pem.bytes(), None)
            content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            path.write_bytes(content + b"".join(each.bytes() for each in made.cert_chain_pems))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _java(self, *words: str) -> None:
        done = subprocess.run(  # noqa: S603
            [shutil.which("java") or "java", "-Xshare:auto", "-cp", f"{_JARS}/*", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, largest: int | None = None) -> None:
        """Start and wait until it answers.

        Args:
            largest: No file of it gets larger, as on a disk that is full; writing fails then.
        """

        def limit() -> None:
            if largest is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        with (self._directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    shutil.which("java") or "java",
                    "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{_JARS}/*",
                    "kafka.Kafka", str(self._config),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=limit,
            )  # fmt: skip
        admin = self._admin()
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                admin.list_topics(timeout=2)
            except KafkaException:
                continue
            return
        self.kill()
        raise AssertionError(f"no Kafka broker came up:\n{self.told()}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it: at once, as a power cut does, or in order."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def create(self, topic: str, partitions: int = 4, **config: str) -> None:
        made = NewTopic(topic, partitions, 1, config=config)
        admin = self._admin()
        for future in admin.create_topics([made]).values():
            future.result(_PATIENCE)

    def delete(self, topic: str, before: int) -> None:
        """Drop the first records of partition 0, as retention does."""
        admin = self._admin()
        for future in admin.delete_records([TopicPartition(topic, 0, before)]).values():
            future.result(_PATIENCE)

    def values(self, topic: str) -> dict[tuple[int, int], bytes]:
        """Everything in a topic by partition and offset, read by other code than ours."""
        reader = Consumer({"bootstrap.servers": self.server, "group.id": "audit", "log_level": 2})
        try:
            numbers = reader.list_topics(topic, _PATIENCE).topics[topic].partitions
            left = {}
            for number in numbers:
                low, high = reader.get_watermark_offsets(TopicPartition(topic, number), _PATIENCE)
                if high > low:
                    left[number] = high
            reader.assign([TopicPartition(topic, number, 0) for number in left])
            found: dict[tuple[int, int], bytes] = {}
            while left:
                for message in reader.consume(5000, 0.2):
                    if message.error() is None:
                        at = message.partition(), message.offset()
                        found[at] = message.value() or b""
                        if at[1] + 1 == left.get(at[0]):
                            del left[at[0]]
            return found
        finally:
            reader.close()

    def told(self) -> str:
        return (self._directory / "broker.log").read_text(errors="replace")[-3000:]

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.server, "log_level": 0})


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the tests of a module."""
    needed(shutil.which("java") is not None and _JARS.is_dir(), "Kafka (.ci/engines/kafka)")
    made = Broker(tmp_path_factory.mktemp("kafka"))
    try:
        made.start()
        yield made
    finally:
        made.kill()
