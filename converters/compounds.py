"""Casts of several parts: address with port, identifier, subscriber, duration. Owns their forms.

Each gives a dict of the parts that are there, or `None`; never an error. The single values in them
are read by `scalars`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datto_siem.converters import times
from datto_siem.converters.scalars import LONGEST_IP, ip, mac, port, time

if TYPE_CHECKING:
    Parts = dict[str, str | int | float]

_LONGEST_SPAN = 1_000_000_000  # seconds; from here on a number is a date (seed: `duration`)

_uuid = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
_host_and_port = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]+))(?: *[&,#] *| +)([0-9]{1,5})"
).fullmatch
_decimal = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,18}))?").fullmatch
_go_part = r"([0-9]{1,12})(?:\.([0-9]{1,12}))?(h|ms|m|s|us|\u00b5s|\u03bcs|ns)"
_go_duration = re.compile(f"(?:{_go_part}){{1,8}}").fullmatch
_go_parts = re.compile(_go_part).findall
_NANOSECONDS = {"h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "ns": 1}


def hostport(text: str) -> Parts | None:
    """Read an address with or without a port: `{"ip": .., "port": ..}`.

    `a:p`, `[v6]:p`, `a & p` (the seed's words for `src_addr`), `a,p`, `a p`, `a#p`, or a bare
    address, an IPv6 one bracketed or not. A bad port spoils it all.
    """
    host, _, tail = text.rpartition(":")
    if host and ":" not in host:  # the way Go prints an IPv4 address: nearly all lines
        address, number_ = ip(host), port(tail)
        if address is not None and number_ is not None:
            return {"ip": address, "port": number_}
    elif host[:1] == "[" and host[-1:] == "]":
        return _joined(host[1:-1], tail)
    return _odd_hostport(text) if len(text) <= LONGEST_IP + 12 else None


def is_uid(text: str) -> bool:
    """Tell whether a text is a UUID or a MAC address: the test for splitting a glued pair."""
    return _uuid(text) is not None or mac(text) is not None


def uid(text: str) -> Parts | None:
    """Take an identifier as written, with the MAC address it may be: `{"all": .., "mac": ..}`."""
    if not text:
        return None
    address = mac(text)
    return {"all": text} if address is None else {"all": text, "mac": address}


def email(text: str) -> Parts | None:
    """Read a subscriber, usually a mail address: `{"all", "name"}`, with `email` and `domain`.

    It is a mail address when it holds no blank and one `@` with something on both sides; `name`
    is what stands before the `@`, else the whole. All in lower case.
    """
    if not text:
        return None
    whole = text.lower()
    name, at, domain = whole.partition("@")
    if at and name and domain and "@" not in domain and whole.split() == [whole]:
        return {"all": whole, "email": whole, "name": name, "domain": domain}
    return {"all": whole, "name": whole}


def span(text: str, received: int) -> Parts | None:
    """Read a `duration`, which by the seed is a timestamp: `{"all"}` and `length` or `end`.

    A number from 1e9 on and an RFC 3339 text are the end of the session if `time` takes them; a
    smaller number is a length in seconds, and so is the text of a Go duration such as `1h2m3.5s`.
    """
    if not text:
        return None
    found: Parts = {"all": text}
    match = _decimal(text)
    if match is None or int(match[1]) >= _LONGEST_SPAN:
        end = time(text, received) if match or times.rfc3339(text) is not None else None
        if end is not None:
            found["end"] = end
        elif (length := _go_length(text)) is not None:
            found["length"] = length
    else:
        found["length"] = int(match[1]) * 1_000 + int(((match[2] or "") + "000")[:3])
    return found


def _joined(host: str, tail: str) -> Parts | None:
    address, number_ = ip(host), port(tail)
    if address is None or number_ is None:
        return None
    return {"ip": address, "port": number_}


def _odd_hostport(text: str) -> Parts | None:
    bare = ip(text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text)
    if bare is not None:
        return {"ip": bare}
    match = _host_and_port(text)
    return None if match is None else _joined(match[1] or match[2], match[3])


def _go_length(text: str) -> int | None:
    """Milliseconds of a Go duration text; negative or beyond 31 years is `None`."""
    if len(text) > 64 or not _go_duration(text):
        return None
    total = 0
    for whole, fraction, unit in _go_parts(text):
        scale = _NANOSECONDS.get(unit, 1_000)  # the rest are spellings of microseconds
        total += int(whole + fraction) * scale // 10 ** len(fraction)
    length = total // 1_000_000
    return length if length < _LONGEST_SPAN * 1_000 else None
