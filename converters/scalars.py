"""Casts of one value: text, numbers, addresses, times. Owns what is accepted as each of them.

A text that does not fit gives `None`, never an error, and so does an empty text. Called directly
by generated code and by the decoder; `casts` names them for the tables.

In memory a MAC address is upper case with colons, an IP address as written but lower case (other
engines cannot compress IPv6 anew), a time whole milliseconds. Digits are ASCII digits in base ten:
no octal, no hexadecimal, no underscores, no other scripts.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from datto_siem.converters import times
from datto_siem.converters.memo import Memo

LONGEST_IP = 45  # six groups of IPv6 and an IPv4 address in full

_mac = re.compile(
    r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}|[0-9A-Fa-f]{12}"
).fullmatch
_number = re.compile(r"-?[0-9]{1,64}(?:\.[0-9]{1,64})?(?:[Ee][+-]?[0-9]{1,2})?").fullmatch
_OCTETS = frozenset(map(str, range(256)))
_BITS = {f"{digit:X}": (bool(digit & 2), bool(digit & 1)) for digit in range(16)}


def plain(text: str) -> str | None:
    """Take a text as it is; `None` when empty."""
    return text or None


def lower(text: str) -> str | None:
    """Fold a text to lower case; `None` when empty."""
    return text.lower() or None


def dns_name(text: str) -> str | None:
    """Fold a domain name to lower case, without the one dot of a full name."""
    return text.lower().removesuffix(".") or None


def integer(text: str) -> int | None:
    """Read a whole number of up to 18 digits, which fits 64 bits everywhere."""
    digits = text[1:] if text[:1] == "-" else text
    if digits.isdigit() and digits.isascii() and len(digits) <= 18:
        return int(text)
    return None


def number(text: str) -> float | None:
    """Read a number with an optional fraction and exponent; no infinities, no NaN."""
    return float(text) if len(text) <= 64 and _number(text) else None


def port(text: str) -> int | None:
    """Read a port, 0 to 65535."""
    if text.isdigit() and text.isascii() and len(text) <= 5:
        value = int(text)
        return value if value <= 65_535 else None
    return None


def mac(text: str) -> str | None:
    """Read a MAC address in any of its four spellings into upper case with colons.

    All-zero, broadcast and group addresses are MAC addresses too: see `mac_bits`.
    """
    return _macs[text] if len(text) <= 17 else None


def mac_bits(address: str) -> tuple[bool, bool]:
    """Tell whether a MAC address as `mac` gives it is (locally administered, a group's)."""
    return _BITS[address[1]]


def ip(text: str) -> str | None:
    """Read an IP address: strict dotted quad, or IPv6 without a zone; lower case, not shortened."""
    return _ips[text] if len(text) <= LONGEST_IP else None


def address(peer: str | None) -> str | None:
    """A sender's address; None for what is no address, such as the file a record was read from."""
    return None if peer is None else ip(peer)


def time(text: str, received: int) -> int | None:
    """Read a time in any form of `times.read`, from 2015 to one day after `received`.

    An access point's clock may stand in 1970 after a boot; such times are `None`.
    """
    if len(text) == 13 and text.isdigit() and text.isascii():  # milliseconds: most lines
        when: int | None = int(text)
    else:
        when = times.epoch(text)
    if when is None:
        when = times.rfc3339(text)
        if when is None:
            when = times.cef_text(text, received)
            if when is None:
                return None
    return when if times.FLOOR <= when <= received + times.DAY else None


def _read_mac(text: str) -> str | None:
    if not _mac(text):
        return None
    digits = text.replace(":", "").replace("-", "").replace(".", "").upper()
    return ":".join([digits[at : at + 2] for at in range(0, 12, 2)])


def _read_ip(text: str) -> str | None:
    if ":" not in text:
        octets = text.split(".")
        return text if len(octets) == 4 and _OCTETS.issuperset(octets) else None
    if "%" in text:
        return None
    try:
        IPv6Address(text)
    except ValueError:
        return None
    return text.lower()


_macs: Memo[str, str | None] = Memo(_read_mac, 65_536)
_ips: Memo[str, str | None] = Memo(_read_ip, 65_536)
