"""The casts the source tables name with `as:`; owns their names, parts, failures and examples.

`scalars` and `compounds` own what is accepted; their functions are offered here under one roof,
since generated code and the decoder call them directly. The examples are run as tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.converters.compounds import email, hostport, is_uid, span, uid
from datto_siem.converters.scalars import (
    dns_name,
    integer,
    ip,
    lower,
    mac,
    mac_bits,
    number,
    plain,
    port,
    time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Single = str | int | float
    Value = Single | dict[str, Single] | None

__all__ = [
    "CASTS",
    "Cast",
    "dns_name",
    "email",
    "hostport",
    "integer",
    "ip",
    "is_uid",
    "lower",
    "mac",
    "mac_bits",
    "number",
    "plain",
    "port",
    "span",
    "time",
    "uid",
]

_NOW = 1_795_514_400_000  # receive time of the examples: 2026-11-24T10:00:00Z


@dataclass(frozen=True)
class Cast:
    """One `as:` name of the source tables.

    Attributes:
        name: The name.
        read: Takes the text and the receive time (epoch milliseconds); gives the value, a dict of
            the parts that are there, or `None`.
        parts: Part name to vocabulary type; a cast of one value has the one part `""`.
        doc: What it reads.
        fails: When it gives `None`.
        examples: Texts and what becomes of them when received at 2026-11-24T10:00:00Z.
    """

    name: str
    read: Callable[[str, int], Value]
    parts: Mapping[str, str]
    doc: str
    fails: tuple[str, ...]
    examples: tuple[tuple[str, Value], ...]


def _timeless(read: Callable[[str], Value]) -> Callable[[str, int], Value]:
    def with_received(text: str, received: int) -> Value:
        del received
        return read(text)

    return with_received


_UUID = "8d6f2c1e-5b7a-4c3d-9e2f-0a1b2c3d4e5f"
_ALL = (
    Cast(
        "text",
        _timeless(plain),
        {"": "text"},
        "The text as it is.",
        ("empty",),
        (("Starbucks WiFi", "Starbucks WiFi"), ("0", "0"), ("", None)),
    ),
    Cast(
        "lower",
        _timeless(lower),
        {"": "text"},
        "The text in lower case.",
        ("empty",),
        (("Software", "software"), ("SOFTAWRE_DOMAIN", "softawre_domain"), ("", None)),
    ),
    Cast(
        "dns_name",
        _timeless(dns_name),
        {"": "text"},
        "A domain name in lower case, without one final dot.",
        ("empty", "nothing but the dot"),
        (("WWW.Example.COM.", "www.example.com"), ("a..", "a."), (".", None), ("", None)),
    ),
    Cast(
        "int",
        _timeless(integer),
        {"": "int"},
        "A whole number.",
        ("anything but 1 to 18 ASCII digits after an optional minus",),
        (
            ("17", 17),
            ("-1", -1),
            ("010", 10),
            ("999999999999999999", 999_999_999_999_999_999),
            ("1000000000000000000", None),
            ("+1", None),
            ("1_0", None),
            ("0x11", None),
            ("1.0", None),
            ("\u0661", None),
            ("\u00b2", None),
            ("-", None),
            ("REASON_CODE", None),
            ("", None),
        ),
    ),
    Cast(
        "float",
        _timeless(number),
        {"": "float"},
        "A number with an optional fraction and exponent.",
        ("infinities, NaN, and whatever is not decimal",),
        (
            ("1.5", 1.5),
            ("-2", -2.0),
            ("1e3", 1000.0),
            ("inf", None),
            ("nan", None),
            ("1e999", None),
            ("1_0.0", None),
            (".5", None),
            ("", None),
        ),
    ),
    Cast(
        "port",
        _timeless(port),
        {"": "int"},
        "A port.",
        ("not 1 to 5 digits", "above 65535"),
        (("53", 53), ("0", 0), ("65535", 65_535), ("65536", None), ("-1", None), ("", None)),
    ),
    Cast(
        "mac",
        _timeless(mac),
        {"": "mac"},
        "A MAC address: colons, dashes, Cisco's dots, or bare digits.",
        ("any other spelling, mixed separators included",),
        (
            ("02:00:5e:10:00:0a", "02:00:5E:10:00:0A"),
            ("02-00-5E-10-00-0A", "02:00:5E:10:00:0A"),
            ("0200.5e10.000a", "02:00:5E:10:00:0A"),
            ("02005E10000A", "02:00:5E:10:00:0A"),
            ("00:00:00:00:00:00", "00:00:00:00:00:00"),
            ("ff:ff:ff:ff:ff:ff", "FF:FF:FF:FF:FF:FF"),
            ("02:00-5e:10:00:0a", None),
            ("2:0:5e:10:0:a", None),
            ("02:00:5e:10:00:0g", None),
            ("02:00:5e:10:00:0a ", None),
            ("STATION_MAC_ADDR", None),
            ("", None),
        ),
    ),
    Cast(
        "ip",
        _timeless(ip),
        {"": "ip"},
        "An IP address, as written but in lower case.",
        ("leading zeros", "fewer than four numbers", "a zone after IPv6", "a port"),
        (
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8:0:0::1", "2001:db8:0:0::1"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
            ("192.0.2.07", None),
            ("192.0.2", None),
            ("192.0.2.256", None),
            ("fe80::1%eth0", None),
            ("192.0.2.7:53", None),
            ("2001:db8::1::2", None),
            ("IP_ADDR", None),
            ("", None),
        ),
    ),
    Cast(
        "time",
        time,
        {"": "time"},
        "A time: epoch number with the unit told by its size, RFC 3339, or a CEF date text.",
        ("before 2015", "more than a day after receipt", "an unknown or ambiguous zone name"),
        (
            ("1795514400", _NOW),
            ("1795514400.123", _NOW + 123),
            ("1795514400123", _NOW + 123),
            ("1795514400123456", _NOW + 123),
            ("1795514400123456789", _NOW + 123),
            ("2026-11-24T10:00:00.123456789Z", _NOW + 123),
            ("2026-11-24T11:00:00+01:00", _NOW),
            ("Nov 24 2026 10:00:00", _NOW),
            ("17", None),
            ("0", None),
            ("1795600801", None),
            ("TIME_SINCE_EPOCH", None),
            ("", None),
        ),
    ),
    Cast(
        "hostport",
        _timeless(hostport),
        {"ip": "ip", "port": "int"},
        "An address and its port, in the spellings of Go, of the seed and of name servers.",
        ("no address", "a port that is none", "a name for an address"),
        (
            ("100.64.1.2:53124", {"ip": "100.64.1.2", "port": 53_124}),
            ("[2001:db8::1]:53124", {"ip": "2001:db8::1", "port": 53_124}),
            ("100.64.1.2 & 53124", {"ip": "100.64.1.2", "port": 53_124}),
            ("100.64.1.2,53124", {"ip": "100.64.1.2", "port": 53_124}),
            ("100.64.1.2 53124", {"ip": "100.64.1.2", "port": 53_124}),
            ("2001:db8::1#53124", {"ip": "2001:db8::1", "port": 53_124}),
            ("[2001:db8::1] & 53124", {"ip": "2001:db8::1", "port": 53_124}),
            ("100.64.1.2", {"ip": "100.64.1.2"}),
            ("2001:db8::1:53", {"ip": "2001:db8::1:53"}),
            ("[2001:db8::1]", {"ip": "2001:db8::1"}),
            ("100.64.1.2:65536", None),
            ("100.64.1.2:", None),
            (":53", None),
            ("[]:53", None),
            ("a.example:53", None),
            ("CLIENT_CLOUD_IP & SOURCE_PORT", None),
            ("", None),
        ),
    ),
    Cast(
        "uid",
        _timeless(uid),
        {"all": "text", "mac": "mac"},
        "An identifier, and the MAC address it may be.",
        ("empty",),
        (
            (_UUID, {"all": _UUID}),
            ("02-00-5e-10-00-0a", {"all": "02-00-5e-10-00-0a", "mac": "02:00:5E:10:00:0A"}),
            ("", None),
        ),
    ),
    Cast(
        "email",
        _timeless(email),
        {"all": "text", "email": "text", "name": "text", "domain": "text"},
        "A subscriber, usually a mail address, in lower case.",
        ("empty",),
        (
            (
                "Jo@Example.COM",
                {
                    "all": "jo@example.com",
                    "email": "jo@example.com",
                    "name": "jo",
                    "domain": "example.com",
                },
            ),
            ("Jo", {"all": "jo", "name": "jo"}),
            ("jo@", {"all": "jo@", "name": "jo@"}),
            ("a@b@example.com", {"all": "a@b@example.com", "name": "a@b@example.com"}),
            ("jo x@example.com", {"all": "jo x@example.com", "name": "jo x@example.com"}),
            ("", None),
        ),
    ),
    Cast(
        "span",
        span,
        {"all": "text", "length": "duration", "end": "time"},
        "A length in seconds or as Go writes it, or the time of the end.",
        ("empty",),
        (
            ("0", {"all": "0", "length": 0}),
            ("3723.5", {"all": "3723.5", "length": 3_723_500}),
            ("1795514400", {"all": "1795514400", "end": _NOW}),
            ("1795514400123", {"all": "1795514400123", "end": _NOW + 123}),
            ("2026-11-24T10:00:00Z", {"all": "2026-11-24T10:00:00Z", "end": _NOW}),
            ("1000000000", {"all": "1000000000"}),
            ("1h2m3.5s", {"all": "1h2m3.5s", "length": 3_723_500}),
            ("250ms", {"all": "250ms", "length": 250}),
            ("1.5h", {"all": "1.5h", "length": 5_400_000}),
            ("-5s", {"all": "-5s"}),
            ("5 minutes", {"all": "5 minutes"}),
            ("", None),
        ),
    ),
)
CASTS: Mapping[str, Cast] = {cast.name: cast for cast in _ALL}
