"""Formats several schemas share: addresses, times, numbers, JSON Schema patterns."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import cache
from ipaddress import ip_address

_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII
)
_LOWER_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_ANY_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")
_COLON_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")


def is_ip(value: object) -> bool:
    """An IPv4 or IPv6 address as text."""
    if not isinstance(value, str) or len(value) > 64:
        return False
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def is_mac(value: object) -> bool:
    """Six octets, any case, colons or hyphens."""
    return isinstance(value, str) and _ANY_MAC.fullmatch(value) is not None


def is_lower_mac(value: object) -> bool:
    """Six octets in lower case with colons, Splunk's way."""
    return isinstance(value, str) and _LOWER_MAC.fullmatch(value) is not None


def is_colon_mac(value: object) -> bool:
    """Six octets with colons, Sentinel's way."""
    return isinstance(value, str) and _COLON_MAC.fullmatch(value) is not None


def is_time(value: object) -> bool:
    """RFC 3339 date and time with a zone, a date that exists."""
    found = _TIME.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if found is None:
        return False
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return False
    return True


def is_integer(value: object) -> bool:
    """A whole number; JSON's true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """A number; JSON's true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fits(value: object, bits: int) -> bool:
    """A whole number that a signed integer of that many bits holds."""
    limit = 1 << (bits - 1)
    return isinstance(value, int) and is_integer(value) and -limit <= value < limit


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    r"""A schema's regular expression, where `$` means the very end.

    Python's `$` also matches before a last line feed, the schemas' engines' does not; so every `$`
    outside a character class becomes `\Z`.
    """
    out: list[str] = []
    in_class = escaped = False
    for letter in pattern:
        plain = not escaped
        out.append(r"\Z" if letter == "$" and plain and not in_class else letter)
        if plain and letter == "[":
            in_class = True
        elif plain and letter == "]":
            in_class = False
        escaped = plain and letter == "\\"
    return re.compile("".join(out))
