"""The forwarder's own log: ECS JSON by ecs-logging, or text on a terminal, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import ecs_logging

from datto_siem.plugins.secret import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datto_siem.plugins.secret import Secret

_HIDDEN = "[secret]"
_MOST_TEXTS = 256
_CREDENTIAL = re.compile(r"(?i)\b(splunk|bearer|apikey|basic)\s+[A-Za-z0-9+/=._~-]{8,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _Safe(logging.Formatter):
    """Hides secrets and control characters in what another formatter made.

    Secrets are looked for in the finished text, so that no way into a line is forgotten.
    """

    def __init__(self, inner: logging.Formatter, secrets: Iterable[Secret]) -> None:
        super().__init__()
        self._inner, self._secrets = inner, list(secrets)
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def format(self, record: logging.LogRecord) -> str:
        text = self._inner.format(record)
        for value in self._values():
            text = text.replace(value, _HIDDEN)
        text = _CREDENTIAL.sub(rf"\1 {_HIDDEN}", text)
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)

    def _values(self) -> list[str]:
        """All values secrets have had: a rotated one may still be in somebody's hands."""
        found = set()
        for secret in self._secrets:
            try:
                value = secret.value()
            except SecretMissing:
                continue
            found |= {value, quote(value, safe="")}
            inner = json.dumps(value)[1:-1]  # a message may hold JSON, and becomes JSON itself
            found |= {inner, json.dumps(inner)[1:-1]}
        with self._lock:
            self._known |= {value for value in found if len(value) >= 4}
            return sorted(self._known, key=len, reverse=True)


class Repeats(logging.Filter):
    """Lets the same complaint through so often in a while; the next one tells how many were not.

    Args:
        most: Times in a while.
        seconds: How long a while is.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        most: int = 20,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._most, self._seconds, self._clock = most, seconds, clock
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say it; texts are told apart before values are put in."""
        key = (record.name, record.levelno, str(record.msg))
        now = self._clock()
        with self._lock:
            since, count = self._said.pop(key, (now, 0))
            over = count - self._most
            if now - since >= self._seconds:
                since, count = now, 0
            self._said[key] = since, count + 1
            if len(self._said) > _MOST_TEXTS:
                del self._said[next(iter(self._said))]
        if not count and over > 0:
            record.msg = f"{record.msg!s} (and {over} more like it)"
        return count < self._most


def begin(secrets: Iterable[Secret], process: str, level: int = logging.INFO) -> None:
    """Send all logging of this process to standard error.

    Args:
        secrets: What must never be shown.
        process: This process's part, such as `output splunk`.
        level: From which level on.
    """
    if sys.stderr.isatty():
        inner: logging.Formatter = logging.Formatter(
            f"%(asctime)s %(levelname)-7s {process}: %(message)s", "%H:%M:%S"
        )
    else:
        inner = ecs_logging.StdlibFormatter(
            exclude_fields=["log.original", "process.thread", "log.origin"],
            extra={"service.name": "datto-siem", "process.title": process},
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Safe(inner, secrets))
    handler.addFilter(Repeats())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
