"""Protocol `lines`: a syslog line in, a finished document out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.filter import Exchange

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Settings

USAGE = "a syslog line in, a document out (syslog-ng program(), Vector exec, Logstash pipe, tests)"
SAMPLE = (
    Exchange(
        b"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|rt=1795514300456 dmac:02:00:5E:10:00:09"
        b" smac=02:00:5E:10:00:01 cs2:Guest",
        b"02",
    ),
    Exchange(b"\xff\x00 no syslog at all", b"no syslog"),
)


def open_protocol(settings: Settings) -> Lines:
    """Start."""
    return Lines(settings)


class Lines:
    """See the module."""

    hello = b""

    def __init__(self, settings: Settings) -> None:
        """Count from the first line."""
        self._settings = settings
        self._count = 0

    def reply(self, line: bytes) -> bytes:
        """See `Replies.reply`."""
        self._count += 1
        at = self._settings.clock()
        return self._settings.converter.encode(line, at, None, None, self._count) + b"\n"
