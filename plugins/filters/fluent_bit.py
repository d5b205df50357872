"""Protocol `fluent-bit`: `[time, {record}]`, as Fluent Bit's stdin input and stdout output speak.

The reply's time is the event's own, so Fluent Bit stores the record at the time it happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.output import dump
from datto_siem.plugins.filter import Exchange
from datto_siem.plugins.filters._merge import Records, read

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Settings

USAGE = "`[time, {record}]`, a record, or a bare line in; `[time, {document}]` out (Fluent Bit)"
SAMPLE = (
    Exchange(
        b'[1795514301.5,{"log":"x","message":"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|'
        b'rt=1795514300456"}]',
        b'[1795514300.456,{"',
    ),
    Exchange(b"<13>Nov 24 09:36:17 sw link down", b"link down"),
)


def open_protocol(settings: Settings) -> FluentBit:
    """Start."""
    return FluentBit(settings)


class FluentBit:
    """See the module."""

    hello = b""

    def __init__(self, settings: Settings) -> None:
        """Prepare the records."""
        self._records = Records(settings)

    def reply(self, line: bytes) -> bytes:
        """See `Replies.reply`."""
        found = read(line)
        if isinstance(found, list) and len(found) == 2:
            found = found[1]
        if isinstance(found, dict):
            document, event = self._records.document(found, line)
        else:
            document, event = self._records.fallback(line)
        seconds, millis = divmod(event.time, 1000)
        return b"[%d.%03d,%s]\n" % (seconds, millis, dump(document))
