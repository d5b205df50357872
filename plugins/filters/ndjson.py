"""Protocol `ndjson`: a JSON object with the line in one field in, the object enriched out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.output import dump
from datto_siem.plugins.filter import Exchange
from datto_siem.plugins.filters._merge import Records, read

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Settings

USAGE = "a JSON object in, the same with the document laid over it out (Logstash, Fluentd, Vector)"
SAMPLE = (
    Exchange(
        b'{"message":"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456","tag":"ap"}',
        b'"tag":"ap"',
    ),
    Exchange(b"[1, 2]", b"[1, 2]"),
    Exchange(b'{"message":', b"message"),
)


def open_protocol(settings: Settings) -> Ndjson:
    """Start."""
    return Ndjson(settings)


class Ndjson:
    """See the module."""

    hello = b""

    def __init__(self, settings: Settings) -> None:
        """Prepare the records."""
        self._records = Records(settings)

    def reply(self, line: bytes) -> bytes:
        """See `Replies.reply`."""
        record = read(line)
        if isinstance(record, dict):
            return self._records.encoded(record, line) + b"\n"
        document, _ = self._records.fallback(line)
        return dump(document) + b"\n"
