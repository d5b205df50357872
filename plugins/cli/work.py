"""The work on batches of records, in this process or in several, always in order.

A batch is the records of one block of input with the number of its first record in the whole
input, so the bytes that come out do not depend on how many workers there are.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters import Converter
from datto_siem.plugins.archives import BYTES
from datto_siem.plugins.cli.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from datto_siem.converters.privacy import Pseudonymizer


_COLLECT_AFTER = 50_000
"""Records make no cycles, so looking for some after every 700 objects is time lost."""

_MANY = 32
"""Records of a batch that make shapes pay at once."""


class Batch(NamedTuple):
    """Records to convert.

    Attributes:
        records: Their bytes, as one character each (latin-1).
        first: Number of the first one, from 0, over all inputs.
        received: Receive time in epoch milliseconds.
    """

    records: list[str]
    first: int
    received: int


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs; small, so that it can be sent to a process."""

    target: str
    version: str | None = None
    overlay: Path | None = None
    switches: tuple[str, ...] = ()
    cef_version: int = 0
    key: bytes | None = None

    def worker(self) -> Worker:
        """A worker in this process."""
        return Worker(self)


class Worker:
    """Converts batches."""

    def __init__(self, settings: Settings) -> None:
        """Load tables, and tell the collector that what is there now stays.

        Raises:
            ValueError: No such target.
            DattoSiemError: Faults in the tables, or no such schema version.
        """
        gc.set_threshold(_COLLECT_AFTER)
        self.converter = Converter(
            settings.target,
            settings.version,
            settings.overlay,
            settings.switches,
            settings.cef_version,
        )
        gc.freeze()
        self._pseudonymizer: Pseudonymizer | None = None
        if settings.key:
            from datto_siem.converters.privacy import Pseudonymizer  # only here: seldom asked for

            self._pseudonymizer = Pseudonymizer(settings.key, self.converter.tables)

    def __call__(self, batch: Batch) -> tuple[bytes, Tally]:
        """One line a record, each with its line feed, and the counts."""
        decode, dump = self.converter.decoder.decode, self.converter.dump
        tally = Tally()
        eager = len(batch.records) >= _MANY

        def ordinary(raw: bytes, ordinal: int) -> bytes:
            try:
                event = decode(raw, batch.received, None, None, ordinal)
                line = dump(event, eager)
                tally.count(event)
            except Exception as error:
                raise RuntimeError(f"record {ordinal + 1} of the input: {error!r}") from error
            return line

        records: Iterable[str] = batch.records
        if self._pseudonymizer:
            records = map(self._pseudonymous, records)
        shapes = self.converter.shapes
        written = shapes.lines(records, batch.received, ordinary, ordinal=batch.first)
        tally.records = len(written.lines)
        tally.noted += written.noted
        tally.unknown += written.unknown
        written.lines.append("")
        return "\n".join(written.lines).encode(BYTES), tally

    def _pseudonymous(self, record: str) -> str:
        pseudonymizer = self._pseudonymizer
        return pseudonymizer.line(record.encode(BYTES)).decode(BYTES) if pseudonymizer else record


def results(
    batches: Iterable[Batch], settings: Settings, worker: Worker, workers: int
) -> Generator[tuple[bytes | memoryview, Tally]]:
    """Convert batches, in order; what one gave is gone when the next is asked for.

    Args:
        batches: The work.
        settings: For the workers of other processes.
        worker: The worker of this process.
        workers: How many processes, this one among them.

    Raises:
        Failure: A worker died.
    """
    if workers == 1:
        yield from map(worker, batches)
    else:
        from datto_siem.plugins.cli import processes  # only here: multiprocessing takes its time

        yield from processes.results(batches, settings, worker, workers)
