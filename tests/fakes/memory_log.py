"""A log in memory, for tests of what reads it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.log import Chunk, Rewound, Standing
from datto_siem.plugins.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class MemoryLog:
    """Records and one offset an output.

    Attributes:
        commits: Every offset committed, in order.
        read_faults: Raised by the next reads, one each.
        commit_faults: Raised by the next commits, one each.
        on_commit: Called with each offset before it counts.
        lost: Reported as lost with the next chunk.
    """

    def __init__(self, first: int = 1) -> None:
        self.first = first
        self.records: list[Record] = []
        self.commits: list[int] = []
        self.read_faults: list[Exception] = []
        self.commit_faults: list[Exception] = []
        self.on_commit: Callable[[int], None] = lambda end: None
        self.lost = 0
        self.offsets: dict[str, int] = {}
        self.generation: dict[str, int] = {}
        self.lock = threading.Lock()

    @property
    def end(self) -> int:
        return self.first + len(self.records)

    def append(self, raws: Iterable[bytes], received: int = 0, peer: str = "192.0.2.1") -> None:
        with self.lock:
            for raw in raws:
                self.records.append(Record(raw, received, peer, self.end))

    def reader(self, output: str) -> MemoryReader:
        self.offsets.setdefault(output, self.first)
        return MemoryReader(self, output)

    def move(self, output: str, offset: int) -> None:
        """What `forward replay` does."""
        with self.lock:
            self.offsets[output] = offset
            self.generation[output] = self.generation.get(output, 0) + 1


class MemoryReader:
    def __init__(self, log: MemoryLog, output: str) -> None:
        self.log, self.output = log, output
        self._known = log.generation.get(output, 0)
        self._at = log.offsets[output]

    def read(self, nbytes: int) -> Chunk | None:
        if self.log.read_faults:
            raise self.log.read_faults.pop(0)
        with self.log.lock:
            self._check()
            start = self._at - self.log.first
            found: list[Record] = []
            size = 0
            for record in self.log.records[start:]:
                if found and size >= nbytes:
                    break
                found.append(record)
                size += len(record.raw)
            if not found:
                return None
            self._at += len(found)
            lost, self.log.lost = self.log.lost, 0
            return Chunk(found, self._at, lost)

    def commit(self, end: int) -> None:
        if self.log.commit_faults:
            raise self.log.commit_faults.pop(0)
        with self.log.lock:
            self._check()
            self.log.on_commit(end)
            self.log.offsets[self.output] = end
            self.log.commits.append(end)

    def standing(self) -> Standing:
        committed = self.log.offsets[self.output]
        waiting = self.log.records[committed - self.log.first :]
        oldest = waiting[0].received if waiting else None
        return Standing(committed, self.log.end, len(waiting), oldest)

    def close(self) -> None:
        """Nothing to let go of."""

    def _check(self) -> None:
        if self._known != self.log.generation.get(self.output, 0):
            self._known = self.log.generation[self.output]
            self._at = self.log.offsets[self.output]
            raise Rewound
