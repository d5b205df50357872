"""Quirks around the pairs: the CEF header, the syslog prefix, the line's end, cuts in transit."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import values
from datto_siem.plugins.simulator.draft import LIMITS, Draft, Pair
from datto_siem.plugins.simulator.quirks import quirk

if TYPE_CHECKING:
    from random import Random

HOST = "ap-lobby-3"


def _header(name: str, index: int, *texts: str, group: str = "header") -> None:
    def change(draft: Draft, rng: Random) -> bool:
        draft.header[index] = rng.choice(texts)
        return True

    quirk(group, name)(change)


_header("severity_word", 5, "Low", "Medium", "High", "Very-High", "Unknown")
_header("severity_odd", 5, "", "Very High", "100", "-1", "INFO", "7.0")
_header("vendor_case", 0, "DATTO", "datto", group="vendor")
_header("device_version_odd", 2, "", "7.0.17", "7.1.0-rc1+build 5", group="device")


@quirk("product")
def product_case(draft: Draft, rng: Random) -> bool:
    """The product in other letters."""
    draft.header[1] = rng.choice((draft.header[1].upper(), draft.header[1].lower()))
    return True


@quirk("product")
def product_blank(draft: Draft, _rng: Random) -> bool:
    """The page writes one product with a blank and the other without: either may change."""
    other = {"AccessPoint": "Access Point", "Secure Edge": "SecureEdge"}
    draft.header[1] = other.get(draft.header[1], draft.header[1])
    return draft.product != "switch"


@quirk("name")
def escaped_header(draft: Draft, _rng: Random) -> bool:
    """A traffic class is free text, so it may need the header's escapes."""
    if draft.header[3] != "telemeterd":
        return False
    draft.header[4] = "web|media\\cdn"
    return True


@quirk("version")
def cef_blank(draft: Draft, _rng: Random) -> bool:
    """A syslog daemon took `CEF:` for the tag and wrote a blank after it."""
    draft.tag = "CEF: "
    return True


@quirk("version")
def cef_missing(draft: Draft, _rng: Random) -> bool:
    """A syslog daemon ate `CEF:`."""
    draft.tag = ""
    return True


@quirk("version")
def cef_zero(draft: Draft, _rng: Random) -> bool:
    """The common version instead of 1."""
    draft.version = "0"
    return True


@quirk("version")
def cef_decimal(draft: Draft, _rng: Random) -> bool:
    """A version with a minor part."""
    draft.version = "1.2"
    return True


def _prefix(name: str, *forms: str) -> None:
    """Register a prefix; `{t:..}` in a form is the time it was sent."""

    def change(draft: Draft, rng: Random) -> bool:
        sent = values.NOW - rng.randrange(values.MONTH)  # drawn always: a seed's other draws stay
        moment = datetime.fromtimestamp(sent if draft.sent is None else draft.sent, timezone.utc)
        priority = rng.choice((13, 134, 30, 165))
        draft.prefix = rng.choice(forms).format(t=moment, d=f"{moment.day:2d}", p=priority, h=HOST)
        return True

    quirk("prefix", name)(change)


_prefix("prefix_pri", "<{p}>")
_prefix("prefix_3164", "<{p}>{t:%b} {d} {t:%H:%M:%S} {h} ")
_prefix("prefix_3164_no_pri", "{t:%b} {d} {t:%H:%M:%S} {h} ")
_prefix("prefix_3164_no_host", "<{p}>{t:%b} {d} {t:%H:%M:%S} ")
_prefix("prefix_3164_ip_host", "<{p}>{t:%b} {d} {t:%H:%M:%S} 192.0.2.17 ")
_prefix("prefix_3164_ipv6_host", "<{p}>{t:%b} {d} {t:%H:%M:%S} 2001:db8::17 ")
_prefix("prefix_3164_tag", "<{p}>{t:%b} {d} {t:%H:%M:%S} {h} datto: ")
_prefix("prefix_3164_tag_pid", "<{p}>{t:%b} {d} {t:%H:%M:%S} {h} dattod[1241]: ")
_prefix("prefix_3164_padded_day", "<{p}>{t:%b}  4 {t:%H:%M:%S} {h} ")
_prefix("prefix_3164_year_after", "<{p}>{t:%b %d %Y %H:%M:%S} {h} ")
_prefix("prefix_3164_year_first", "<{p}>{t:%Y %b %d %H:%M:%S} {h} ")
_prefix("prefix_iso_time", "<{p}>{t:%Y-%m-%dT%H:%M:%S}Z {h} ")
_prefix("prefix_iso_time_tag", "<{p}>{t:%Y-%m-%dT%H:%M:%S}.250+00:00 {h} datto[7]: ")
_prefix("prefix_comma_milliseconds", "<{p}>{t:%Y-%m-%d %H:%M:%S},250 {h} ")
_prefix("prefix_5424", "<{p}>1 {t:%Y-%m-%dT%H:%M:%S}.250Z {h} datto 77 wifi - ")
_prefix("prefix_5424_nil", "<{p}>1 - - - - - - ")
_prefix(
    "prefix_5424_data",
    "<{p}>1 {t:%Y-%m-%dT%H:%M:%S}Z {h} datto - - "
    '[meta@32473 a="x \\] y" b="CEF:0|No|No|1|no|no|0|"][z@32473 c="1"] ',
)
_prefix("prefix_5424_bom", "<{p}>1 {t:%Y-%m-%dT%H:%M:%S}Z {h} datto - - - \ufeff")
_prefix("prefix_bom", "\ufeff")
_prefix(
    "prefix_relayed",
    "<{p}>{t:%b} {d} {t:%H:%M:%S} relay-1 <{p}>{t:%b} {d} {t:%H:%M:%S} {h} ",
    "<{p}>1 {t:%Y-%m-%dT%H:%M:%S}Z relay-1 - - - - <{p}>{t:%b} {d} {t:%H:%M:%S} {h} datto: ",
)


@quirk("suffix")
def trailing_cr(draft: Draft, _rng: Random) -> bool:
    """CR LF line ends."""
    draft.suffix = "\r"
    return True


@quirk("suffix")
def trailing_nul(draft: Draft, _rng: Random) -> bool:
    """A C string sent with its end."""
    draft.suffix = "\0"
    return True


@quirk("suffix")
def trailing_blanks(draft: Draft, _rng: Random) -> bool:
    """Padding at the end."""
    draft.suffix = "   "
    return True


for _limit in LIMITS[:3]:

    @quirk("cut", f"cut_{_limit}", wild=True)
    def _cut(draft: Draft, rng: Random, limit: int = _limit) -> bool:
        """A relay cuts the line; short lines first get a later firmware's keys to be cut in."""
        if not draft.pairs:
            return False
        place = 0 if draft.free(draft.pairs[0]) else 1
        number = 0
        while len(draft.render()) <= limit:
            pad = Pair(f"ext_{number}", f"{rng.getrandbits(160):040x}", misfit=True)
            draft.pairs.insert(place + number, pad)
            number += 1
        draft.cut = limit
        return True
