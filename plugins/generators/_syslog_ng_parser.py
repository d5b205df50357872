"""syslog-ng's `python()` parser that converts each message in place; shipped as it stands here.

`datto-siem rules syslog-ng-exec` writes this file as `datto_siem_parser.py`. syslog-ng makes one
`DattoParser` for each parser block and calls it from its own threads. Nothing a message holds makes
`parse` fail, so no message is lost here.
"""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.converters import Converter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Message(Protocol):
        """What syslog-ng hands over: names to values, bytes up to version 3, text from 4 on."""

        def __getitem__(self, name: str) -> bytes | str | None:
            """A value; empty or None when there is none."""

        def __setitem__(self, name: str, value: bytes) -> None:
            """Set a value."""


class DattoParser:
    """Sets `<prefix><target>` to the finished document of `MESSAGE`, one line of JSON or CEF."""

    def init(self, options: Mapping[str, str]) -> bool:
        """Compile the tables once.

        Args:
            options: `target` (ecs), `prefix` (.datto.), `tables` (a directory laid over ours).

        Raises:
            ValueError: An option is unknown; syslog-ng then prints this and does not start.
        """
        unknown = sorted(set(options) - {"target", "prefix", "tables"})
        if unknown:
            raise ValueError(f"DattoParser has no option {unknown[0]!r}: target, prefix, tables")
        target = options.get("target", "ecs")
        tables = options.get("tables")
        self._converter = Converter(target, None, Path(tables) if tables else None)
        self._name = options.get("prefix", ".datto.") + target
        self._count = count(1)
        return True

    def parse(self, log_message: Message) -> bool:
        """Convert one message; never refuses one."""
        raw = _bytes(log_message["MESSAGE"])
        peer = _bytes(log_message["SOURCEIP"]).decode("ascii", "replace") or None
        at = time.time_ns() // 1_000_000
        document = self._converter.encode(raw, at, peer, None, next(self._count))
        log_message[self._name] = document
        return True


def _bytes(value: bytes | str | None) -> bytes:
    if value is None:
        return b""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
