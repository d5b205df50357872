"""Protocol `mmexternal`: rsyslog's message modification by an outside program.

rsyslog sends the message (`interface.input="rawmsg"` or `"msg"`) or all of it as JSON
(`"fulljson"`), and takes one JSON line that sets properties below `$!`. It merges the program's
standard error into the replies, so the command closes that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters.output import dump
from datto_siem.plugins.filter import Exchange
from datto_siem.plugins.filters._merge import read

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Settings

USAGE = 'a message in, `{"$!": {TARGET: {document}}}` out (rsyslog mmexternal)'
SAMPLE = (
    Exchange(
        b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456",
        b'{"$!":{"',
    ),
    Exchange(b"", b'{"$!":{"'),
)
_FULL = ("rawmsg", "msg")


def open_protocol(settings: Settings) -> Mmexternal:
    """Start."""
    return Mmexternal(settings)


class Mmexternal:
    """See the module."""

    hello = b""

    def __init__(self, settings: Settings) -> None:
        """Count from the first message."""
        self._settings = settings
        self._count = 0
        self._name = settings.converter.name.encode()

    def reply(self, line: bytes) -> bytes:
        """See `Replies.reply`."""
        self._count += 1
        raw, peer = _message(line)
        settings = self._settings
        at = settings.clock()
        if settings.converter.name == "cef":
            body = dump(settings.converter.encode(raw, at, peer, None, self._count).decode())
        else:
            body = settings.converter.encode(raw, at, peer, None, self._count)
        if settings.most and len(body) + len(self._name) + 13 > settings.most:
            said = f"a document of {len(body)} bytes: raise maxMessageSize and --max-reply"
            body = dump({"error": {"message": said}})
        return b'{"$!":{"%s":%s}}\n' % (self._name, body)


def _message(line: bytes) -> tuple[bytes, str | None]:
    """The message and its sender, from `fulljson` or as it is."""
    full: Any = read(line) if line[:1] == b"{" else None
    if not isinstance(full, dict):
        return line, None
    text = next((full[name] for name in _FULL if isinstance(full.get(name), str)), None)
    if text is None:
        return line, None
    peer = full.get("fromhost-ip")
    return text.encode("utf-8", "surrogatepass"), peer if isinstance(peer, str) else None
