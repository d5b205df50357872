"""Protocol `omprog`: rsyslog's output to a program, with confirmations and transactions.

A document is handed on (`-o FILE`, `--send ADDRESS`) before its line is answered `OK`; what could
not be handed on is answered with the reason, and rsyslog sends the line again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.filter import Exchange

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Settings

USAGE = "a line in, `OK` out once its document is handed on (rsyslog omprog, confirmMessages)"
SAMPLE = (
    Exchange(b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456", b"OK"),
    Exchange(b"BEGIN TRANSACTION", b"OK"),
    Exchange(b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300457", b"DEFER_COMMIT"),
    Exchange(b"COMMIT TRANSACTION", b"OK"),
)
_BEGIN, _COMMIT = b"BEGIN TRANSACTION", b"COMMIT TRANSACTION"
_OK, _LATER = b"OK\n", b"DEFER_COMMIT\n"


def open_protocol(settings: Settings) -> Omprog:
    """Start."""
    return Omprog(settings)


class Omprog:
    """See the module."""

    hello = _OK  # rsyslog waits for it before the first line

    def __init__(self, settings: Settings) -> None:
        """Outside any transaction."""
        if settings.deliver is None:
            raise ValueError("omprog only confirms: say with -o or --send where documents go")
        self._settings, self._deliver = settings, settings.deliver
        self._held: list[bytes] | None = None
        self._count = 0

    def reply(self, line: bytes) -> bytes:
        """See `Replies.reply`."""
        if line == _BEGIN:
            self._held = []  # of a transaction that was never committed, rsyslog sends all again
            return _OK
        if line == _COMMIT and self._held is not None:
            held, self._held = self._held, None
            return self._handed(b"".join(held)) if held else _OK
        self._count += 1
        at = self._settings.clock()
        document = self._settings.converter.encode(line, at, None, None, self._count) + b"\n"
        if self._held is not None:
            self._held.append(document)
            return _LATER
        return self._handed(document)

    def _handed(self, documents: bytes) -> bytes:
        try:
            self._deliver(documents)
        except OSError as error:
            return b"cannot hand on: %s\n" % (error.strerror or str(error)).encode()
        return _OK
