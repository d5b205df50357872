"""A record as it was received, and what is known of it before anybody decodes it."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """One record on its way from a listener through the log to the outputs.

    Attributes:
        raw: Its bytes, framing taken off.
        received: Receive time in epoch milliseconds.
        peer: Address of the sender, without port; a file's name for files; "" for standard input.
        offset: Its place in the log; the same on every delivery, so ids made of it are stable.
            0 before it is in a log.
    """

    raw: bytes
    received: int
    peer: str
    offset: int = 0
