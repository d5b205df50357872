"""Which events exist: read from the source tables as plain YAML, plus events no table names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml
from corpus import values
from corpus.draft import Draft, Pair

if TYPE_CHECKING:
    from random import Random

SOURCES = Path(__file__).parents[2] / "mappings" / "sources"
VENDOR = "Datto"
SEVERITIES = {  # the severities of the vendor's examples
    "system/reboot": "2",
    "wifi/key-mismatch": "7",
    "traffigatord/drop": "7",
    "coredns/drop": "7",
    "coredns/allow": "1",
    "instance-agent/connected": "3",
    "instance-agent/disconnected": "3",
    "telemeterd/*": "3",
}
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
TEXTS = (  # what a switch may send when it does not speak CEF
    "<188>Nov 24 09:58:12 sw-core-1 LINK: Interface gi12 link is down",
    "<189>Nov  4 09:58:12 192.0.2.30 STP[211]: Port 7 entered forwarding state",
    "<131>1 2026-11-24T09:58:12.044Z sw-core-1 poed 88 POE - PoE budget exceeded on port 3",
    "<190>Nov 24 09:58:12 sw-core-1 Configuration saved by admin from 192.0.2.9",
    '<187>1 2026-11-24T09:58:12Z sw-2 cli - - [meta sequenceId="7"] login failed for "root"',
)
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


class Event(NamedTuple):
    """One documented event, or one alias of it."""

    product: str
    event: str  # class/name as the table has it; an alias keeps the row's
    spelling: str  # class/name as the line has it
    keys: tuple[str, ...]
    colon: frozenset[str]  # keys the vendor writes with a colon
    times: tuple[str, ...]


@cache
def events() -> tuple[Event, ...]:
    """Every documented event of the tables, aliases after their row."""
    found: list[Event] = []
    for product in ("access_point", "secure_edge"):
        table = yaml.safe_load((SOURCES / f"{product}.yaml").read_text("utf-8"))
        fields = table["fields"]
        colon = frozenset(key for key, row in fields.items() if row.get("colon"))
        for name, row in table["events"].items():
            if name == "*/*":
                continue
            times = tuple(key for key in row["keys"] if fields[key]["as"] == "time")
            for spelling in (name, *row.get("also", ())):
                found.append(Event(product, name, spelling, tuple(row["keys"]), colon, times))
    return tuple(found)


@cache
def samples() -> dict[str, str]:
    """The vendor's own example lines, `product:class/name` -> line."""
    return {
        f"{path.stem}:{event}": line
        for path in sorted(SOURCES.glob("*.yaml"))
        for event, line in (yaml.safe_load(path.read_text("utf-8")).get("samples") or {}).items()
    }


def documented(event: Event, rng: Random) -> Draft:
    """A line as the vendor's page writes it: its keys, its order, its separators, ms times."""
    class_id, _, name = event.spelling.partition("/")
    name = rng.choice(values.CLASSES) if name == "*" else name
    product, version = PRODUCTS[event.product]
    severity = SEVERITIES.get(event.event, "0")
    draft = Draft(event.product, event.event, [VENDOR, product, version, class_id, name, severity])
    draft.times = event.times
    for key in event.keys:
        if key == "groups.*":
            _add_groups(draft, rng)
            continue
        text = values.MAKERS[key](rng).replace("{name}", name)
        draft.pairs.append(Pair(key, text, ":" if key in event.colon else "="))
    _agree(draft, rng)
    return draft


def unknown(rng: Random, product: str | None = None) -> Draft:
    """A Datto event without a row; of a switch, every event is one."""
    product = product or rng.choice(tuple(UNKNOWN))
    class_id, name, severity, pairs = rng.choice(UNKNOWN[product])
    shown, version = PRODUCTS[product]
    draft = Draft(product, "*/*", [VENDOR, shown, version, class_id, name, severity])
    for key, text in pairs.items():
        draft.pairs.append(Pair(key, text or values.MAKERS[key](rng)))
    draft.times = tuple(key for key in pairs if key in {"rt", "timestamp", "event_time"})
    return draft


def _add_groups(draft: Draft, rng: Random) -> None:
    if draft.header[3] == "traffigatord":
        chosen = [rng.choice(values.APPLICATIONS)]
    else:
        chosen = rng.sample(values.GROUPS, rng.randrange(1, 4))
    draft.pairs += [Pair(f"groups.{index}", text) for index, text in enumerate(chosen)]


def _agree(draft: Draft, rng: Random) -> None:
    """Make the values that repeat one another agree, as they would on a real line."""
    client, address = draft.pair("client_ip"), draft.pair("src_addr")
    if client and address:
        address.text = f"{client.text}:{rng.randrange(1024, 65536)}"
    asked, answered = draft.pair("query_time"), draft.pair("response_time")
    if asked and answered:
        answered.text = str(int(asked.text) + rng.randrange(1, 400))
    if draft.header[4] == "connected" and (duration := draft.pair("duration")):
        duration.text = "0"
    if draft.event in {"wifi/disassoc", "wifi/deauth"} and (reason := draft.pair("reason")):
        reason.text = str(rng.choice((1, 2, 3, 4, 7, 8, 12)))
    if draft.event == "system/reboot" and (reason := draft.pair("reason")):
        reason.text = rng.choice(values.REBOOTS)
