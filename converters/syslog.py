"""The syslog header around a message: PRI, time, host, app. Owns nothing inside the message.

Read are RFC 5424, RFC 3164 and what is met in its name: no header at all, a `<PRI>` alone, a day
padded with a blank or not, the year before or after the date, an ISO time, a comma before the
milliseconds, a zone name, a missing host, `host:` and `host :` (Cisco), `tag:`, `tag[pid]:`, an
octet count, a byte order mark, a leading quote. What is not understood is left unread.

Decisions:
    Relayed lines carry one header before the other. The innermost one describes the device, so
    its PRI, time and host win; an outer one only fills what the inner leaves out. App, process,
    message id and structured data are those of the innermost header alone.
    One word with a colon where the host should be is the tag (a BusyBox daemon names no host),
    unless it is an address or a dotted name, or the date has a year (both are Cisco's way).
    A PRI above 191 is no PRI; it is stepped over when a header follows, else it stays unread.
    In a message that is not CEF a second header must begin with a PRI; a date alone may be text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from datto_siem.converters import times
from datto_siem.converters.memo import Memo
from datto_siem.converters.scalars import ip

_LONGEST_PREFIX = 512  # longer ones are read, but not remembered
_MOST_HEADERS = 8  # relays in a row; more is an attack, and the rest stays unread

_ZONES = frozenset(times.ZONES) | times.AMBIGUOUS_ZONES
_zones = "|".join(sorted(_ZONES, key=len, reverse=True))
_CLOCK = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
_ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}(?:[Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?"

_usual = re.compile(  # what most devices send, at a third of the price; reads as all below do
    r"<([0-9]{1,3})>([A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}) "
    r"([A-Za-z0-9][A-Za-z0-9_.-]{0,254}) "
).fullmatch
_lead = re.compile(r"[\ufeff\s\"]{0,8}(?:[0-9]{1,6} (?=<))?").match
_priority = re.compile(r"<([0-9]{1,3})>[ ]{0,3}").match
_version = re.compile(r"[1-9][0-9]{0,2} {1,3}(?=(-|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]))").match
_words = re.compile(rf"({_ISO}|-){r' +([^ |]+)' * 4}(?: +|\Z)").match
_stamp_5424 = re.compile(rf"({_ISO}|-)(?= |\Z) {{0,3}}").match
_stamp = re.compile(
    r"(?:[0-9]{1,10}: {1,3}(?:([^\s:|]{1,255}) ?: {1,3})?)?[*.]?"  # Cisco: sequence number, host
    r"(([0-9]{4} {1,3})?[A-Z][a-z]{2} {1,3}[0-9]{1,2},? {1,3}([0-9]{4},? {1,3})?"
    rf"{_CLOCK}(?:Z| (?:{_zones}|[+-][0-9]{{2}}:?[0-9]{{2}})(?=[ :]|\Z))?(?: [0-9]{{4}}(?= |\Z))?"
    rf"|{_ISO}):?(?= |\Z) {{0,3}}"
).match
_tag = re.compile(
    r"(?!CEF: ?[0-9]{1,9}(?:\.[0-9]{1,9})?\|)([^\s:\[\]|=<>\"%]{1,128})(?:\[([^\]\s|]{0,64})\])?:"
    r"(?=\s|\Z)\s{0,3}"
).match
_host = re.compile(r"([^\s|=<>\"\[\]]{1,255})(?=\s|\Z)\s{0,3}(?:[:-](?=\s|\Z)\s{0,3})?").match
_last_word = re.compile(r"([^\s|=<>\"]{1,128})\s*\Z").match
_blanks = re.compile(r"[\ufeff\s\"]{0,8}").match
_body = re.compile(r" {0,3}\ufeff?").match
_stops = re.compile(r"\\.|[\"\[\]]", re.DOTALL).finditer

_next_cef = re.compile(r"CEF:[ \t]?[0-9]{1,9}(?:\.[0-9]{1,9})?\|").search
_bare_cef = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\|[ ]?datto[ ]?\|", re.IGNORECASE).match


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the syslog header says; all of it may be absent.

    Attributes:
        format: `RFC5424`, `RFC3164`, or empty when there is no header.
        priority: PRI, 0 to 191.
        time_text: The time as written.
        host: Host name or address as written.
        app: App name, or the tag of RFC 3164.
        pid: Process id.
        msgid: Message id of RFC 5424.
        structured_data: Structured data of RFC 5424 as written.
        facility: PRI / 8.
        severity: PRI % 8; 0 is worst.
    """

    format: str = ""
    priority: int | None = None
    time_text: str | None = None
    host: str | None = None
    app: str | None = None
    pid: str | None = None
    msgid: str | None = None
    structured_data: str | None = None
    facility: int | None = field(default=None, init=False)
    severity: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Take PRI apart once: an envelope is remembered and read many times."""
        if self.priority is not None:
            object.__setattr__(self, "facility", self.priority >> 3)
            object.__setattr__(self, "severity", self.priority & 7)

    def time(self, received: int) -> int | None:
        """Epoch milliseconds of `time_text`, the year taken from `received` when it has none."""
        return None if self.time_text is None else times.read(self.time_text, received)


NO_ENVELOPE = Envelope()


def prefix(text: str) -> Envelope:
    """Read what stands before the `CEF:` of a line."""
    if not text:
        return NO_ENVELOPE
    return _prefixes[text] if len(text) <= _LONGEST_PREFIX else _scan(text, True)[0]


def record(text: str) -> tuple[Envelope, str]:
    """Split a record that is not CEF into its header and its body.

    The body begins after `tag[pid]: `; a record without PRI and time is all body.
    """
    envelope, end, _ = _scan(text, False)
    return envelope, text[end:] if end else text


def cef_start(text: str) -> int:
    """Find where the CEF header of a line begins.

    It is the first `CEF:` that is followed by at most one blank, a version number and a pipe, and
    that does not stand in the structured data of RFC 5424. Without one, a version number and
    `|Datto|` right after the syslog header count: some daemons take `CEF:` for the tag and drop it.

    Returns:
        Index of `CEF:`, or of the version digits where it is missing; -1 when this is not CEF.
    """
    start = text.find("CEF:")
    if start < 0:
        return _without_cef(text)
    if not (text[start + 5 : start + 6] == "|" and text[start + 4] in "0123456789"):
        match = _next_cef(text, start)
        if match is None:
            return _without_cef(text)
        start = match.start()
    if text.find('="', 0, start) < 0:  # no quoted value before it: the usual case
        return start
    after = _scan(text, False)[2]
    if after <= start:
        return start
    match = _next_cef(text, after)
    return match.start() if match else _without_cef(text)


def _without_cef(text: str) -> int:
    if _no_vendor(text):
        return -1
    _, end, _ = _scan(text, False)
    match = _blanks(text, end)
    start = match.end() if match else end
    return start if _bare_cef(text, start) else -1


def _no_vendor(text: str) -> bool:
    return "|" not in text or "datto" not in text[:2_048].lower()


def _scan(text: str, before_cef: bool) -> tuple[Envelope, int, int]:
    """Read all headers: the envelope, where the body begins, where structured data ended last."""
    envelope, outer = NO_ENVELOPE, NO_ENVELOPE
    match = _lead(text)
    start = end = match.end() if match else 0
    data_end = 0
    for _ in range(_MOST_HEADERS):
        inner, after, after_data = _header(text, end, before_cef, nested=end > start)
        if after == end:
            break
        end, data_end = after, max(data_end, after_data)
        outer, envelope = envelope, inner
        if outer is not NO_ENVELOPE:
            envelope = _merged(envelope, outer)
    if envelope is NO_ENVELOPE:
        return (_lone_tag(text, start) if before_cef else envelope), 0, data_end
    return envelope, end, data_end


def _merged(inner: Envelope, outer: Envelope) -> Envelope:
    return Envelope(
        inner.format,
        outer.priority if inner.priority is None else inner.priority,
        inner.time_text or outer.time_text,
        inner.host or outer.host,
        inner.app,
        inner.pid,
        inner.msgid,
        inner.structured_data,
    )


def _lone_tag(text: str, start: int) -> Envelope:
    """A tag alone before `CEF:`, as programs write it that log to a file."""
    match = _tag(text, start)
    if match is None or match.end() != len(text):
        return NO_ENVELOPE
    return Envelope(app=match[1], pid=match[2] or None)


def _header(text: str, start: int, before_cef: bool, nested: bool) -> tuple[Envelope, int, int]:
    """Read one header at `start`; the end is `start` when there is none."""
    priority, at = None, start
    match = _priority(text, start)
    if match is not None:
        at = match.end()
        priority = int(match[1]) if int(match[1]) <= 191 else None
    elif nested and not before_cef:
        return NO_ENVELOPE, start, 0
    version = _version(text, at)
    if version is not None and (match is not None or version[1] != "-"):
        return _read_5424(text, version.end(), priority, before_cef)
    stamp = _stamp(text, at)
    if stamp is not None:
        dated = stamp[3] is not None or stamp[4] is not None
        names = _names(text, stamp.end(), before_cef, stamp[1] is None, dated)
        host = names.host or stamp[1]
        return Envelope("RFC3164", priority, stamp[2], host, names.app, names.pid), names.end, 0
    if priority is None:
        return NO_ENVELOPE, start, 0
    names = _names(text, at, before_cef, before_cef, False)
    if names.end < len(text) and text[names.end] != "<" and before_cef:
        return Envelope("RFC3164", priority), at, 0  # several words and no time: not a header
    return Envelope("RFC3164", priority, None, names.host, names.app, names.pid), names.end, 0


class _Names(NamedTuple):
    host: str | None
    app: str | None
    pid: str | None
    end: int


def _names(text: str, at: int, before_cef: bool, expect_host: bool, dated: bool) -> _Names:
    """Read host and tag of RFC 3164, either of which may be missing."""
    host = None
    tag = _tag(text, at)
    if expect_host:
        if tag is None:
            word = None if before_cef and _stamp(text, at) else _host(text, at)
            if word is not None:
                host, at = _cleaned(word[1]), word.end()
                tag = _tag(text, at)
        elif tag[2] is None and (dated or "." in tag[1] or tag[1] == "-"):
            host, at = _cleaned(tag[1]), tag.end()
            tag = _tag(text, at)
    if tag is not None:
        return _Names(host, tag[1], tag[2] or None, tag.end())
    last = _last_word(text, at) if before_cef and host is not None else None
    if last is None:
        return _Names(host, None, None, at)
    return _Names(host, _cleaned(last[1]), None, last.end())


def _cleaned(word: str) -> str | None:
    """A name without the colon of `host:` (kept in an IPv6 address); `-` is no name."""
    if word[-1] == ":" and ip(word) is None:
        word = word[:-1]
    return None if word in ("-", "") else word


def _read_5424(
    text: str, start: int, priority: int | None, before_cef: bool
) -> tuple[Envelope, int, int]:
    """Read the rest of an RFC 5424 header, or what a sender makes of it that omits fields."""
    words = _words(text, start)
    if words is not None:
        at = words.end()
        data_end = _structured_end(text, at)
        if data_end > at or (before_cef and at == len(text)):
            after, host, app, pid, msgid = (
                None if word == "-" else word for word in words.groups()
            )
            data = text[at:data_end]
            body = _body(text, data_end)
            end = body.end() if body else data_end
            envelope = Envelope(
                "RFC5424",
                priority,
                after,
                host,
                app,
                pid,
                msgid,
                None if data in ("", "-") else data,
            )
            return envelope, end, data_end
    stamp = _stamp_5424(text, start)
    if stamp is None:
        return Envelope("RFC5424", priority), start, 0
    names = _names(text, stamp.end(), before_cef, True, False)
    time_text = None if stamp[1] == "-" else stamp[1]
    return Envelope("RFC5424", priority, time_text, names.host, names.app, names.pid), names.end, 0


def _structured_end(text: str, start: int) -> int:
    """Where the structured data ends that begins at `start`; `start` itself when there is none.

    A bracket inside quotes closes nothing, escaped or not; data that never closes are none.
    """
    if text[start : start + 1] == "-":
        return start + 1 if text[start + 1 : start + 2] in ("", " ") else start
    if text[start : start + 1] != "[":
        return start
    quoted = False
    for stop in _stops(text, start):
        mark = stop[0]
        if mark == '"':
            quoted = not quoted
        elif mark == "]" and not quoted and text[stop.end() : stop.end() + 1] != "[":
            return stop.end()
    return start


def _read_prefix(text: str) -> Envelope:
    usual = _usual(text)
    if usual is not None:
        priority, host = int(usual[1]), usual[3]
        if priority <= 191 and host not in _ZONES and not host.isdigit():
            return Envelope("RFC3164", priority, usual[2], host)
    return _scan(text, True)[0]


_prefixes: Memo[str, Envelope] = Memo(_read_prefix, 4_096)
