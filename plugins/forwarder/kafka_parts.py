"""One partition a worker holds: what was read of it, handed over, and settled."""

from __future__ import annotations

from collections import deque

from datto_siem.plugins.forwarder.log import LANE


class Part:
    """A partition's book-keeping; the caller's lock guards it. Offsets are a log's.

    Attributes:
        expected: The next offset to come; -1 when it is not known.
        settled: Everything below is settled; None before the first time.
        high: Where the partition ends, counted as the brokers do; -1 while that is unknown.
    """

    def __init__(self, number: int, offset: int) -> None:
        """Begin at an offset of the partition's own; -1 when the client alone knows it."""
        self._base = number << LANE
        self.expected = self._base + offset if offset >= 0 else -1
        self.settled: int | None = None
        self.high = -1
        self._begin: int | None = self.expected if offset >= 0 else None
        self._reached: int | None = None
        self._open: deque[tuple[int, int]] = deque()

    def skips(self, first: int) -> bool:
        """Whether records are missing before this one."""
        return 0 <= self.expected < first

    def given(self, end: int, received: int) -> None:
        """The pump got records up to an end."""
        if self._begin is None:
            self._begin = self._base
        self._reached = end
        self._open.append((end, received))

    def settle(self, end: int) -> None:
        """The pump settled everything below."""
        self.settled = end
        while self._open and self._open[0][0] <= end:
            self._open.popleft()

    @property
    def is_settled(self) -> bool:
        """Whether nothing the pump got is open."""
        return not self._open

    @property
    def oldest(self) -> int | None:
        """Receive time of the oldest records the pump has not settled."""
        return self._open[0][1] if self._open else None

    @property
    def waiting(self) -> int:
        """Records between what is settled and the partition's end; 0 while that is unknown."""
        begin = self.settled if self.settled is not None else self._begin
        if begin is None or self.high < 0:
            return 0
        return max(0, self._base + self.high - begin)
