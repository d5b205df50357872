"""What a filter protocol is: one reply for each line, whatever the line holds.

A protocol's module under `plugins/filters/` exports `USAGE`, `SAMPLE` (an exchange, for
`--self-test` and the documentation) and `open_protocol(settings) -> Replies`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.converters import Converter


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What protocols need to know.

    Attributes:
        converter: Makes the documents.
        field: Where a JSON record holds the line.
        peer_field: Where it holds the sender's address, or None.
        keep: Where values of the record go that the document would overwrite.
        most: Longest reply in bytes; 0: any.
        clock: Receive time in epoch milliseconds.
        deliver: Takes finished documents, for protocols that only confirm; returns when they are
            handed on. Raises OSError when they are not.
    """

    converter: Converter
    field: str = "message"
    peer_field: str | None = None
    keep: str = "shipper"
    most: int = 0
    clock: Callable[[], int] = now
    deliver: Callable[[bytes], None] | None = None


class Exchange(NamedTuple):
    """A line a shipper sends and what must hold of the reply."""

    line: bytes
    holds: bytes


class Replies(Protocol):
    """An open protocol: answers in order."""

    hello: bytes
    """Sent once at the start, before any line."""

    def reply(self, line: bytes) -> bytes:
        """The reply to one line (its line feed taken off), line feed included.

        Never raises on input; never empty, but for protocols that confirm.
        """
