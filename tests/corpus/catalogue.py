"""Which events are documented: read from the source tables as plain YAML, for drafts of each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from datto_siem.plugins.simulator import values
from datto_siem.plugins.simulator.draft import Draft, Pair
from datto_siem.plugins.simulator.undocumented import PRODUCTS, VENDOR

if TYPE_CHECKING:
    from random import Random

SOURCES = Path(__file__).parents[2] / "mappings" / "sources"
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
TEXTS = (  # what a switch may send when it does not speak CEF
    "<188>Nov 24 09:58:12 sw-core-1 LINK: Interface gi12 link is down",
    "<189>Nov  4 09:58:12 192.0.2.30 STP[211]: Port 7 entered forwarding state",
    "<131>1 2026-11-24T09:58:12.044Z sw-core-1 poed 88 POE - PoE budget exceeded on port 3",
    "<190>Nov 24 09:58:12 sw-core-1 Configuration saved by admin from 192.0.2.9",
    '<187>1 2026-11-24T09:58:12Z sw-2 cli - - [meta sequenceId="7"] login failed for "root"',
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
