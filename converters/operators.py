"""What each operator of the tables does to a value: small pure functions, absent is None.

The interpreter calls these and the compiled fast path calls the same ones, so the two cannot
drift apart here. Each takes a value in memory form (MAC upper case with colons, address in lower
case, time and duration in integer milliseconds).
"""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING

from datto_siem.converters.casts import ip as as_ip
from datto_siem.converters.casts import mac as as_mac
from datto_siem.converters.memo import Memo
from datto_siem.converters.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?")
_CACHE_SIZE = 8192


def slug(text: str) -> str | None:
    """Lower case, runs of anything but a-z and 0-9 as one hyphen, none at the ends."""
    return _NOT_SLUG.sub("-", text.lower()).strip("-") or None


def label(text: str) -> str | None:
    """The text when it is one host name label of letters, digits and hyphens, at most 61 long."""
    return text if _LABEL.fullmatch(text) else None


def fqdn(text: str) -> str | None:
    """The text when it is a dotted host name (and no address)."""
    if "." not in text or len(text) > 253 or as_ip(text) is not None:
        return None
    return text if all(_LABEL.fullmatch(part) for part in text.split(".")) else None


def ip(text: str) -> str | None:
    """The text when it is an address."""
    return as_ip(text)


def mac(text: str) -> str | None:
    """The text, in memory form, when it is a MAC address."""
    return as_mac(text)


def local_mac(address: str) -> bool:
    """Whether the locally-administered bit is set, as in the random addresses of phones."""
    return address[1] in "2367ABEF"


def ipver(address: str) -> str:
    """`ipv6` when there is a colon, else `ipv4`."""
    return "ipv6" if ":" in address else "ipv4"


PRIVATE_4 = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
)
PRIVATE_6 = ("::1/128", "fe80::/10", "fc00::/7")
"""Networks whose addresses are `private`; generators write them out."""
_PRIVATE = tuple(map(ipaddress.ip_network, (*PRIVATE_4, *PRIVATE_6)))


def scope(address: str) -> str | None:
    """`private` (RFC 1918, 100.64/10, loopback, link-local, fc00::/7) or `public`."""
    return _scopes[address]


def _scope(address: str) -> str | None:
    if ":" not in address and as_ip(address) is not None:
        first, second, _ = address.split(".", 2)
        return "private" if _is_private(int(first), int(second)) else "public"
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    inside = any(parsed.version == block.version and parsed in block for block in _PRIVATE)
    return "private" if inside else "public"


def _is_private(first: int, second: int) -> bool:
    """The same of an IPv4 address by its first two numbers, at a tenth of the price."""
    return (
        first in (10, 127)
        or (first == 172 and 16 <= second < 32)
        or (first == 192 and second == 168)
        or (first == 100 and 64 <= second < 128)
        or (first == 169 and second == 254)
    )


_scopes: Memo[str, str | None] = Memo(_scope, _CACHE_SIZE)


def minus(left: int | None, right: int | None) -> int | None:
    """The difference in milliseconds; absent when either is, or when it would be negative."""
    if left is None or right is None or left < right:
        return None
    return left - right


def seconds(duration: int) -> int:
    """Whole seconds of a duration."""
    return duration // 1000


def distinct(items: Iterable[object]) -> list[object] | None:
    """Distinct present values in order, inner lists flattened; absent when nothing is left."""
    found: dict[object, None] = {}
    for item in items:
        if item is None:
            continue
        if isinstance(item, (list, tuple)):
            found.update(dict.fromkeys(inner for inner in item if inner is not None))
        else:
            found[item] = None
    return list(found) or None


def join(value: object, separator: str) -> str | None:
    """A list as text."""
    if isinstance(value, (list, tuple)):
        return separator.join(text(item) for item in value) or None
    return None if value is None else text(value)


def head(value: object) -> object:
    """The first item of a list."""
    if isinstance(value, (list, tuple)):
        return value[0] if value else None
    return value


def text(value: object) -> str:
    """A value as text: decimal numbers, `true` and `false`."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value if isinstance(value, str) else str(value)


def fold(value: object) -> str:
    """A lookup's key: lower-case text."""
    return text(value).lower()


def community_id(
    source: str | None,
    source_port: int | None,
    destination: str | None,
    destination_port: int | None,
    protocol: int | None,
) -> str | None:
    """Community ID version 1 (seed 0) of a flow with ports; absent when any part is.

    Source: the Community ID specification, https://github.com/corelight/community-id-spec.
    """
    if source is None or source_port is None or destination is None or destination_port is None:
        return None
    one, two = _packed[source], _packed[destination]
    if protocol not in (6, 17, 132) or len(one) != len(two) or not one:
        return None
    ports = source_port << 16 | destination_port
    if (one, source_port) > (two, destination_port):
        one, two, ports = two, one, destination_port << 16 | source_port
    data = b"\0\0%b%b%c\0%b" % (one, two, protocol, ports.to_bytes(4, "big"))
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return "1:" + binascii.b2a_base64(digest, newline=False).decode()


def _pack(address: str) -> bytes:
    try:
        if ":" not in address:  # a tenth of the price
            packed = b"".join(map(_octet, address.split(".")))
            return packed if len(packed) == 4 else b""
        return ipaddress.ip_address(address).packed
    except (KeyError, ValueError):
        return b""


_octet = {str(number): bytes([number]) for number in range(256)}.__getitem__
_packed: Memo[str, bytes] = Memo(_pack, _CACHE_SIZE)


def mac_hyphen(address: str) -> str:
    """Upper case with hyphens (ECS)."""
    return address.replace(":", "-")


def mac_lower(address: str) -> str:
    """Lower case with colons (Splunk CIM)."""
    return address.lower()


def same(value: object) -> object:
    """The memory form is the written form."""
    return value


def nanoseconds(milliseconds: int) -> int:
    """Milliseconds as nanoseconds (ECS `event.duration`)."""
    return milliseconds * 1_000_000


def in_seconds(milliseconds: int) -> int | float:
    """Milliseconds as seconds, whole when they are whole (Splunk)."""
    return milliseconds / 1000 if milliseconds % 1000 else milliseconds // 1000


FORMATS: Mapping[tuple[str, str], Callable[..., object]] = {
    ("mac", "upper-colon"): same,
    ("mac", "upper-hyphen"): mac_hyphen,
    ("mac", "lower-colon"): mac_lower,
    ("time", "milliseconds"): same,
    ("time", "iso8601"): iso,
    ("time", "seconds"): in_seconds,
    ("duration", "milliseconds"): same,
    ("duration", "nanoseconds"): nanoseconds,
    ("duration", "seconds"): in_seconds,
}
"""(type, style) -> how a target's `formats` write a value of that type."""

SINGLE: Mapping[str, Callable[..., object]] = {
    "lower": str.lower,
    "upper": str.upper,
    "slug": slug,
    "ip": ip,
    "mac": mac,
    "label": label,
    "fqdn": fqdn,
    "ipver": ipver,
    "scope": scope,
    "seconds": seconds,
    "head": head,
    "other": same,
    "local_mac": local_mac,
    "text": text,
}
"""Operators of one value: name -> function."""
