"""One record as one syslog message: header, PRI, framing that text from the wire cannot break.

Knows no socket. The device's own host name and, where CEF tells none, its severity come from the
header the line arrived with.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from datto_siem.converters import Converter, syslog
from datto_siem.converters.memo import Memo

if TYPE_CHECKING:
    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
_APP = b"datto-siem"
_FRAMING = b"\r\n\0"
_SEVERITY = re.compile(rb"CEF:[01](?:\|(?:[^|\\]|\\.)*){5}\|([^|]*)\|", re.DOTALL).match
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}").fullmatch
_PEER = re.compile(r"[0-9A-Fa-f:.]{3,45}").fullmatch
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_NOTICE = 5
_PRIORITIES = {
    **{str(number): 6 for number in range(4)},  # CEF 0-3 is low: informational
    **{str(number): 4 for number in range(4, 7)},  # medium: warning
    **{str(number): 3 for number in range(7, 9)},  # high: error
    **{str(number): 2 for number in range(9, 11)},  # very high: critical
    "low": 6,
    "medium": 4,
    "high": 3,
    "very-high": 2,
    "very high": 2,
}
_LONGEST_HEAD = 512


class Messages:
    """Makes messages of one form.

    Args:
        header: `rfc3164`, `rfc5424`, or `none` for the message alone.
        facility: Facility in PRI.
        cef_version: 0 or 1.
        context: Mapping tables and known switches.
    """

    def __init__(self, header: str, facility: str, cef_version: int, context: Context) -> None:
        """Compile the mapping; see the class for the arguments."""
        self._encode = Converter(
            "cef", None, context.overlay, context.switches, cef_version=cef_version
        ).encode
        self._header = header
        self._facility = FACILITIES.index(facility) * 8
        self._stamps: Memo[int, bytes] = Memo(_stamp_3164, 1024)
        self._seconds: Memo[int, bytes] = Memo(_second_5424, 1024)

    def cef(self, record: Record) -> bytes:
        """The repaired CEF line of a record behind a fresh header."""
        raw, received, peer, offset = record
        line = self._encode(raw, received, peer or None, ordinal=offset)
        if self._header == "none":
            return line
        host, own = _envelope(raw)
        if host is None:
            host = peer.encode() if _PEER(peer) else b"-"
        found = _SEVERITY(line)
        said = found[1].decode("ascii", "replace").lower() if found is not None else ""
        severity = _PRIORITIES.get(said, _NOTICE if own is None else own)
        if own is not None and line.startswith((b"CEF:0|unknown|", b"CEF:1|unknown|")):
            severity = own  # not CEF: its severity is only a place-holder
        priority = self._facility + severity
        second, milliseconds = divmod(received, 1000)
        if self._header == "rfc3164":
            return b"<%d>%b %b %b" % (priority, self._stamps[second], host, line)
        stamp = self._seconds[second]
        return b"<%d>1 %b.%03dZ %b %b - CEF - %b" % (
            *(priority, stamp, milliseconds, host),
            *(_APP, line),
        )

    def raw(self, record: Record) -> bytes:
        """The record as it came, its own header and all."""
        return record.raw.rstrip(_FRAMING)


def framed(message: bytes, octets: bool) -> bytes:
    r"""A message on a stream.

    With octet counting a message is taken as it is. Ended by LF, a line break in it would begin
    another message, which whoever sent it could write freely: it becomes `\n`.
    """
    if octets:
        return b"%d %b" % (len(message), message)
    if b"\n" in message or b"\r" in message:
        message = message.replace(b"\r", b"\\r").replace(b"\n", b"\\n")
    return message + b"\n"


def _envelope(raw: bytes) -> tuple[bytes | None, int | None]:
    """Host and severity of the header a line arrived with."""
    head, cef, _ = raw[:_LONGEST_HEAD].partition(b"CEF:")
    text = head.decode("utf-8", "replace")
    found = syslog.prefix(text) if cef else syslog.record(text)[0]
    host = found.host.encode() if found.host is not None and _HOST(found.host) else None
    return host, found.severity


def _stamp_3164(second: int) -> bytes:
    when = datetime.fromtimestamp(second, timezone.utc)
    return b"%b %2d %02d:%02d:%02d" % (
        _MONTHS[when.month - 1],
        *(when.day, when.hour, when.minute, when.second),
    )


def _second_5424(second: int) -> bytes:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S").encode()
