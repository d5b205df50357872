"""What Datto's page does not document: events no table has a row for, switch texts, garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import values
from datto_siem.plugins.simulator.draft import Draft, Pair

if TYPE_CHECKING:
    from random import Random

VENDOR = "Datto"
PRODUCTS = {  # source table -> product and device version of the vendor's examples
    "access_point": ("AccessPoint", "7.1.0"),
    "secure_edge": ("Secure Edge", "1.2.1"),
    "switch": ("DSW-24P", "2.0.4"),
}
UNKNOWN = {  # product -> (class, name, severity, pairs): Datto events no table has a row for
    "access_point": (
        ("wifi", "bss-transition-query", "0", {"rt": "", "smac": "", "cs2": "", "dmac": ""}),
        ("wifi", "radar-detected", "5", {"rt": "", "smac": "", "channel": "100"}),
        ("mesh", "link-lost", "4", {"rt": "", "smac": "", "reason": "peer silent for 30 s"}),
    ),
    "secure_edge": (
        ("policyd", "reload", "2", {"timestamp": "", "policy_id": "", "result": "ok"}),
        ("traffigatord", "throttle", "4", {"client_ip": "", "event_time": "", "groups.0": "ads"}),
        ("coredns", "rewrite", "3", {"query_time": "", "domain": "", "client_ip": ""}),
    ),
    "switch": (
        ("port", "link-down", "4", {"rt": "", "port": "12", "speed": "1000"}),
        ("auth", "login-failed", "6", {"rt": "", "suser": "admin", "src": "192.0.2.44"}),
    ),
}
GARBAGE = (
    "hello world",
    "<999>not a priority",
    "CEF:",
    "CEF:1|Datto",
    '{"message": "json, not CEF"}',
    "GET / HTTP/1.1",
    "|||||||",
    "\x16\x03\x01\x02\x00\x01",
    "CEF:x|Datto|AccessPoint|7.1.0|wifi|probe|0|",
)
TIMES = frozenset({"rt", "timestamp", "event_time"})


def unknown(rng: Random, product: str | None = None) -> Draft:
    """A Datto event without a row; of a switch, every event is one."""
    product = product or rng.choice(tuple(UNKNOWN))
    class_id, name, severity, pairs = rng.choice(UNKNOWN[product])
    shown, version = PRODUCTS[product]
    draft = Draft(product, "*/*", [VENDOR, shown, version, class_id, name, severity])
    for key, text in pairs.items():
        draft.pairs.append(Pair(key, text or values.MAKERS[key](rng)))
    draft.times = tuple(key for key in pairs if key in TIMES)
    return draft
