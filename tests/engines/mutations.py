"""Lines nobody sent yet: realistic ones with headers, keys, values and characters changed.

Beside the fixed corpus they look for what nobody thought of. The same for a seed.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from lines import generate
from rule_corpus import Case, fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADS = (
    "<134>Nov 24 09:58:20 ap1 ",
    "<134>1 2026-11-24T09:58:20.123+01:00 host app 12 - - ",
    "<13>2026 Nov 24 09:58:20 UTC: ap ",
    "<189>123: sw: *Nov  4 09:58:20.123 CET: ",
    "Nov 24 2026 09:58:20 10.0.0.1 : ",
    "<999>Nov 24 09:58:20 a ",
    "<1>",
    "ap1[3]: ",
    '<34>1 - h a [x y="CEF:0|a|b\\"]"] ',
    "12 <13>Nov 24, 2026, 09:58:20 -0500 tag[9]: ",
    "<14>host: ",
    "<14>Nov 24 09:58:20 GMT 2026 hostd ",
    "<14>Nov 24 09:58:20 <15>Nov 25 09:58:20 b c: ",
    "<14>1 2026-11-24T09:58:20 - app:",
    '\ufeff"<13>2026-11-24 09:58:20,5Z x - ',
    "Jan  1 00:00:00 IST dev ",
)
_VALUES = (
    "Nov 24 2026 10:00:00", "Tue, Nov 24 10:00:00.5 EST", "11/24/2026 9:00:00 PM",
    "2026-11-24t10:00:00,123+0530", "1795514300.999", "0001795514300", "24 Nov",
    "Nov 24 10:00:00 UTC+1 2026", "Nov 24 10:00:60 +100", "2026 Nov 24 10:00:00", "1h2m3.5s",
    "999999999", "1000000000", "fe80::1%e", "::ffff:1.2.3.4", "1::2:3:4:5:6:7:8", "::", "[::1]:53",
    "[::1] & 53", "1.2.3.4#5", "1.2.3.4 , 9", "10.0.0.1:70000", "a@b", "A@B.C", "a@b c",
    "02-00-5E-10-00-03", "0200.5e10.0003", "02005e100003", "x=y", "CLIENT_IP", "a\\=b", "a\\nb",
    "\\", "07", "-5", "3.5e2", "UDP", "INET6", "ul", "DL", "6", "tcp", "\u00a0", "\u2003x",
    "\U0001f600", "x\u2028y", "\u0130stanbul.", "WWW.X.", "", ":", "2026-11-24T10:00:00+24:00",
    "groups.3=a groups.01=b groups.1=c groups.1000=d", "1500000us1.5\u00b5s",
    "Feb 29 10:00:00", "1/2/2026, 12:30:00 AM EST",
)  # fmt: skip
_KEYS = (
    "rt", "smac", "dmac", "DMAC", "cs2", "dvc", "dvchost", "reason", "client_ip", "src_addr",
    "Src", "port_src", "subscriber", "external_id", "policy_id", "domain", "duration",
    "event_time", "timestamp", "agg_ts", "query_time", "response_time", "groups.0", "groups.1",
    "proto", "ip_proto", "spt", "dpt", "src", "dst", "act", "outcome", "end", "start",
    "deviceDirection", "socket_family", "socket_protocol", "flow_type", "class", "action",
    "newKey", "a.b[1]", "wan_ip", "resource_ip", "port_dst", "packets", "msg", "externalId",
    "request",
)  # fmt: skip
_PIECES = '|=\\ :\t"[]<\0-0,'
_SIZES = (480, 1024)  # at which relays cut


def mutated(count: int, seed: int) -> Iterator[Case]:
    """Draw lines."""
    random = Random(seed)  # noqa: S311  the same on every machine
    lines = [line.raw for line in generate(count // 2, seed=seed)]
    lines += [case.line for case in fixtures()]
    for ordinal in range(count):
        text = random.choice(lines).decode("utf-8", "replace").replace("\n", " ")
        for _ in range(random.randint(0, 3)):
            text = _changed(text, random)
        if text.strip():
            yield Case(ordinal, "mutated", text.encode())


def _changed(text: str, random: Random) -> str:
    """One change; a text that became empty stays so."""
    at = random.randrange(len(text) + 1)
    way = random.randrange(8)
    if way <= 1:
        return random.choice(_HEADS) + text
    if way <= 3:
        pair = random.choice(_KEYS) + random.choice("==:") + random.choice(_VALUES)
        return text + random.choice((" ", "")) + pair
    if way == 4:
        return text[:at] + random.choice((*_PIECES, "CEF:0|")) + text[at:]
    if way == 5:
        return text[:at] + text[at + random.randint(1, 6) :]
    if way == 6:
        words = text.split(" ")
        place = random.randrange(len(words))
        key, equals, _ = words[place].partition("=")
        words[place] = key + equals + (random.choice(_VALUES) if equals else "")
        return " ".join(words)
    return random.choice((text.replace("CEF:", "", 1), text[:at], text[: random.choice(_SIZES)]))
