"""A bounded memory of what was worked out before; owns nothing else.

Addresses, dates and syslog prefixes repeat from line to line, and a dictionary answers ten times
faster than reading the text again. A stranger may send endless new texts, so the memory is emptied
when full: simpler and faster than keeping an order of use, and right for the same reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """`memo[key]` is `read(key)`, worked out once as long as it is remembered.

    The number of entries is bounded, the size of a key is not: callers check the length of a text
    before they ask. Safe between threads; at worst a value is worked out twice.
    """

    __slots__ = ("_limit", "_read")

    def __init__(self, read: Callable[[K], V], limit: int) -> None:
        """Remember up to `limit` results of `read`, which must be pure and must not raise."""
        super().__init__()
        self._read = read
        self._limit = limit

    def __missing__(self, key: K) -> V:
        """Work the value out and remember it."""
        if len(self) >= self._limit:
            self.clear()
        value = self[key] = self._read(key)
        return value


class TextMemo(Memo[str, Any]):
    """A memory that does not keep long texts, so that its size is bounded in bytes too."""

    __slots__ = ()

    def __missing__(self, key: str) -> Any:
        """Work it out, and remember it when it is short."""
        return super().__missing__(key) if len(key) <= _LONGEST else self._read(key)


_LONGEST = 64
