"""Records to put into a log, and reading them all back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from datto_siem.plugins.forwarder.log import Log
    from datto_siem.plugins.record import Record

TIME = 1_790_000_000_000


def arrivals(start: int, count: int, *, size: int = 40, received: int = TIME) -> list[Arrival]:
    """Records that carry their number, from two peers."""
    return [
        Arrival(
            b"%09d " % number + b"x" * (size - 10), received + number, f"192.0.2.{number % 2 + 1}"
        )
        for number in range(start, start + count)
    ]


def number(record: Record) -> int:
    """The number a record carries."""
    return int(record.raw[:9])


def drain(log: Log, output: str = "out", nbytes: int = 50_000) -> tuple[list[Record], int]:
    """Everything an output gets from its offset on, committed; and how much it is told is lost."""
    reader = log.reader(output)
    records: list[Record] = []
    lost = 0
    try:
        while chunk := reader.read(nbytes):
            records += chunk.records
            lost += chunk.lost
            reader.commit(chunk.end)
    finally:
        reader.close()
    return records, lost
