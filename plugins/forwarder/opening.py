"""What processes open by the configuration: the log, a sink, dead letters, a pump's pace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from datto_siem.converters.decoder import decoder
from datto_siem.plugins.forwarder.batches import Limits
from datto_siem.plugins.forwarder.dead_letters import DeadLetters
from datto_siem.plugins.forwarder.noise import Noise
from datto_siem.plugins.forwarder.pseudonyms import Pseudonymous
from datto_siem.plugins.forwarder.pump import Pace
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.registry import plugin
from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.sink import Context

if TYPE_CHECKING:
    from datto_siem.converters.decoder import Decoder
    from datto_siem.plugins.forwarder.configuration import Configuration, Output
    from datto_siem.plugins.forwarder.letters import Letters
    from datto_siem.plugins.forwarder.log import Log
    from datto_siem.plugins.sink import Sink

Role = Literal["both", "receiver", "worker"]


def parts_of(role: Role) -> tuple[str, ...]:
    """What a forwarder of a role is."""
    return ("receiver", "worker") if role == "both" else (role,)


def open_log(found: Configuration, role: Role = "both") -> Log:
    """The durable log.

    Args:
        found: The configuration.
        role: Whose it is to be, for `claim`.

    Raises:
        LogRefused: It must not be opened; says what to do.
        OSError: Its directory cannot be used.
    """
    log = found.log
    if log.kafka is not None:
        from datto_siem.plugins.forwarder.kafka_log import KafkaLog

        return KafkaLog(log.kafka, Path(log.path), parts_of(role))
    return SqliteLog(
        Path(log.path),
        max_bytes=log.max_bytes,
        max_age=log.max_age,
        keep=log.keep,
        policy=log.policy,
    )


def open_sink(found: Configuration, output: Output) -> Sink:
    """An output's destination; connects to nothing yet.

    Raises:
        ModuleNotFoundError: An extra is not installed; says which.
        SecretMissing: A secret it reads at once is not there.
        ValueError: The key of pseudonyms is too short.
    """
    context = Context(
        output.name,
        Path(found.log.path) / "state" / output.name,
        found.overlay,
        tuple(sorted(found.tables.switches)),
    )
    sink: Sink = plugin("sinks", output.common.type).connect(output.config, context)
    if found.privacy.pseudonyms is None:
        return sink
    try:
        return Pseudonymous(sink, found.privacy.pseudonyms, _decoder(found).tables)
    except (ValueError, SecretMissing):
        sink.close()
        raise


def open_dead_letters(found: Configuration, output: Output) -> Letters:
    """An output's dead letters."""
    kafka = found.log.kafka
    if kafka is not None and kafka.dead_letters is not None:
        from datto_siem.plugins.forwarder.kafka_dead_letters import KafkaDeadLetters

        return KafkaDeadLetters(kafka, kafka.dead_letters, output.name, now=time.time)
    return DeadLetters(Path(found.log.path) / "dead-letters", output.name, now=time.time)


def noise(found: Configuration, output: Output) -> Noise:
    """What an output leaves out.

    Raises:
        ValueError: An event nobody knows.
    """
    return Noise(_decoder(found), output.common.drop, output.common.sample)


def _decoder(found: Configuration) -> Decoder:
    """How records are read."""
    return decoder(found.overlay, tuple(sorted(found.tables.switches)))


def pace(output: Output, grace: float) -> Pace:
    """How an output goes about its work."""
    batch = output.common.batch
    return Pace(
        concurrency=output.common.concurrency,
        limits=Limits(batch.count, batch.bytes, batch.age),
        grace=grace,
    )
