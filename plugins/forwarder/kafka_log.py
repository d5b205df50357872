"""The log as a Kafka topic: `log.Log` for fleets that one machine does not carry.

Receivers append (`kafka_writer`), workers read as members of a consumer group for each output
(`kafka_feed`), and the brokers keep, replicate and drop by the topic's own settings. A record's
offset is its partition and its offset there, so its id is the same whoever delivers it.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import kafka_offsets
from datto_siem.plugins.forwarder.claim import claimed
from datto_siem.plugins.forwarder.kafka_feed import Feed
from datto_siem.plugins.forwarder.kafka_marks import Marks
from datto_siem.plugins.forwarder.kafka_writer import KafkaWriter
from datto_siem.plugins.forwarder.log import Rewound, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from datto_siem.plugins.forwarder.kafka_options import Kafka
    from datto_siem.plugins.forwarder.log import Chunk, Policy

_LOG = logging.getLogger(__name__)
_SAME = 0.5  # seconds a standing that was asked for over the network stays good


class KafkaLog:
    """A `log.Log`. Each process opens its own; nothing connects before it is used.

    Args:
        kafka: The options.
        path: Where this machine keeps marks and claims.
        parts: What this forwarder is: "receiver", "worker", or both.
    """

    def __init__(self, kafka: Kafka, path: Path, parts: Sequence[str]) -> None:
        """Touches nothing yet."""
        self._kafka, self._path, self._parts = kafka, path, parts
        if kafka.tls.insecure_skip_verify:
            _LOG.warning("log.kafka: insecure_skip_verify is set: anybody can read and answer")
        self._marks: Marks | None = None
        self._held: list[int] = []

    def claim(self) -> None:
        """Keep any other forwarder of these parts off this path until `close`.

        Raises:
            LogRefused: Another one runs.
            OSError: The directory cannot be used.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._parts:
            self._held.append(claimed(self._path / f"{part}.lock"))

    def writer(self, policy: Policy | None = None) -> KafkaWriter:
        """A writer for this process. A topic is never full to us: no policy applies to it.

        Raises:
            LogRefused: The client refuses the options.
        """
        if self._marks is None:
            self._marks = Marks(self._path / "marks.json")
        return KafkaWriter(self._kafka, self._marks)

    def reader(self, output: str, *, at_end: bool = False) -> KafkaReader:
        """A reader for an output; joins its group with the first read."""
        return KafkaReader(self._kafka, output, at_end)

    def sweep(self, outputs: Sequence[str]) -> Mapping[str, int]:
        """Nothing: the topic's retention is the brokers'; readers count what it took too early."""
        return {}

    def rewind(self, output: str, received: int) -> int:
        """Set an output back to the first records received at or after a time; never forward.

        Raises:
            LogAway: The brokers do not answer.
            LogRefused: Workers of the output run.
        """
        return kafka_offsets.replay(self._kafka, output, received)

    def size(self) -> None:
        """Not on this machine."""

    def close(self) -> None:
        """Give up the claims."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()


class KafkaReader:
    """A `log.Reader`: one member of an output's consumer group."""

    def __init__(self, kafka: Kafka, output: str, at_end: bool) -> None:
        """Connects to nothing yet."""
        self._kafka, self._output, self._at_end = kafka, output, at_end
        self._feed: Feed | None = None
        self._failed = False
        self._offsets: kafka_offsets.Offsets | None = None
        self._stood: tuple[float, int] | None = None

    def read(self, nbytes: int) -> Chunk | None:
        """The next records, of one partition; see `log.Reader`.

        Raises:
            LogAway: There are none, and the brokers do not answer or refuse.
            RuntimeError: A fault of ours ended the polling; the next call begins anew.
            Rewound: That call.
        """
        if self._failed and self._feed is not None:
            self._feed.close()
            self._feed, self._failed = None, False
            raise Rewound("polling Kafka begins anew, from what is committed")
        if self._feed is None:
            self._feed = Feed(self._kafka, self._output, self._at_end)
        try:
            return self._feed.next()
        except RuntimeError:
            self._failed = True
            raise

    def commit(self, end: int) -> None:
        """Everything below this offset, in its partition, is settled: committed soon."""
        if self._feed is not None:
            self._feed.settled(end)

    def standing(self) -> Standing:
        """How far the partitions this reader holds are; all of them when it reads nothing.

        Raises:
            LogAway: The brokers do not answer.
        """
        if self._feed is not None:
            count, oldest = self._feed.waiting()
            return Standing(None, 0, count, oldest)
        now = time.monotonic()
        if self._stood is None or now - self._stood[0] > _SAME:
            if self._offsets is None:
                self._offsets = kafka_offsets.Offsets(self._kafka, self._output)
            self._stood = now, self._offsets.waiting()
        return Standing(None, 0, self._stood[1], None)

    def close(self) -> None:
        """Leave the group."""
        if self._feed is not None:
            self._feed.close()
        if self._offsets is not None:
            self._offsets.close()
