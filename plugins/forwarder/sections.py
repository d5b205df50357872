"""The tables of the configuration file: options the forwarder owns, not a plugin."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from datto_siem.plugins.forwarder.kafka_options import Kafka  # noqa: TC001  as Secret
from datto_siem.plugins.options import Duration, Size, option
from datto_siem.plugins.secret import Secret  # noqa: TC001  the schema is made of the types

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


@dataclass(frozen=True)
class Log:
    """`[log]`: the durable log."""

    path: str = option("Directory of the log and of dead letters")
    type: Literal["embedded", "kafka"] = option(
        "Here, with no other service; or a topic that many machines write and read", "embedded"
    )
    max_bytes: Size = option("Most disk space", Size(10 * 10**9))
    max_age: Duration = option(
        "Undelivered records older than this are dropped", Duration(604800.0)
    )
    keep: Duration = option(
        "How long delivered records stay for replay; they go first when room is needed",
        Duration(86400.0),
    )
    policy: Literal["block", "refuse-newest", "drop-oldest"] = option(
        "When the log is full: stop reading (UDP cannot: refuses), refuse new, or drop old", "block"
    )
    commit_interval: Duration = option(
        "Longest time a record waits to be durable; 0: each is made durable at once", Duration(0.02)
    )
    kafka: Kafka | None = option("Brokers and topic, for the type kafka", None)


@dataclass(frozen=True)
class Admin:
    """`[admin]`: metrics, health and status over HTTP."""

    address: str = option("HOST:PORT; loopback only unless allow_remote", "127.0.0.1:9514")
    allow_remote: bool = option("Answer other machines too: there is no password", False)


@dataclass(frozen=True)
class Privacy:
    """`[privacy]`: what leaves this machine of people's names and addresses."""

    pseudonyms: Secret | None = option(
        "Key of at least 16 bytes: outputs get keyed pseudonyms for station MACs, host names and"
        " subscribers; the log and dead letters keep the originals",
        None,
    )


@dataclass(frozen=True)
class Tables:
    """`[tables]`: how records are read."""

    overlay: str | None = option("Directory of your own mapping tables, laid over ours", None)
    switches: list[str] = option("Names and addresses of senders that are Datto switches", [])


@dataclass(frozen=True)
class Batch:
    """`batch` of an output: smaller batches than the destination takes."""

    count: int | None = option("Most records of a request", None, minimum=1)
    bytes: Size | None = option("Most bytes of a request", None)
    age: Duration | None = option("Longest wait for a batch to fill", None)


@dataclass(frozen=True)
class OutputCommon:
    """Options every `[[output]]` has."""

    name: str = option("Its name in metrics, logs and commands", pattern=NAME)
    type: str = option("Which destination: a module of plugins/sinks")
    batch: Batch = option("Limits of requests", Batch())
    concurrency: int = option("Requests at once; 1 keeps the order", 2, minimum=1, maximum=64)
    drop: list[str] = option('Events left out, such as "wifi/probe"; counted', [])
    sample: dict[str, int] = option('Keep one of so many: { "coredns/allow" = 10 }; counted', {})
    start: Literal["oldest", "now"] = option("Where an output that is new begins", "oldest")


@dataclass(frozen=True)
class ListenCommon:
    """Options every `[[listen]]` has."""

    type: str = option("Which listener: a module of plugins/sources")
    name: str | None = option("Its name in metrics; its type when absent", None, pattern=NAME)
    policy: Literal["block", "refuse-newest", "drop-oldest"] | None = option(
        "Other than log.policy for this listener", None
    )


_EMBEDDED = {
    "max_bytes": "the topic's retention.bytes",
    "max_age": "the topic's retention.ms",
    "keep": "the topic's retention.ms",
}


def log_faults(log: Log, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What does not fit together in `[log]`: the option, and what is wrong with it.

    Args:
        log: The options.
        given: What the file says.
    """
    if log.type == "embedded":
        if log.kafka is not None:
            yield "kafka", '[log.kafka] needs type = "kafka" in [log]'
        return
    if log.kafka is None:
        yield "type", 'type = "kafka" needs a table [log.kafka] with servers'
    for name in sorted(_EMBEDDED.keys() & given.keys()):
        yield name, f"`{name}` is for the embedded log: set {_EMBEDDED[name]} instead"


def loopback(admin: Admin) -> tuple[str, int]:
    """Host and port of `admin.address`.

    Raises:
        ValueError: Not HOST:PORT, or not loopback without `allow_remote`.
    """
    host, colon, port = admin.address.rpartition(":")
    host = host.strip("[]")
    if not (colon and host and port.isdigit() and int(port) < 65536):
        raise ValueError(f'{admin.address!r} is no address: write "127.0.0.1:9514"')
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside and not admin.allow_remote:
        raise ValueError(f"{host} is not loopback: there is no password; set allow_remote = true")
    return host, int(port)
