"""What switches write: plain syslog text, as nobody documents anything better; and the unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.simulator.stage import Line
from datto_siem.plugins.simulator.undocumented import GARBAGE, UNKNOWN, unknown

if TYPE_CHECKING:
    from datto_siem.plugins.simulator.stage import Stage

TEXTS = (  # syslog priority (facility local7), text
    (188, "LINK: Interface gi{port} link is down"),
    (189, "LINK: Interface gi{port} link is up, 1000 Mb/s full duplex"),
    (189, "STP[211]: Port {port} entered forwarding state"),
    (187, "POE: PoE budget exceeded on port {port}"),
    (190, "CLI: Configuration saved by admin from 192.0.2.9"),
    (188, "AUTH: login failed for root from 192.0.2.{port}"),
    (190, "AUTH: login of admin from 192.0.2.9 accepted"),
)


def text(stage: Stage) -> Line:
    """A switch's line of plain text."""
    switch = stage.rng.choice(stage.switches)
    priority, body = stage.rng.choice(TEXTS)
    own = "3164" if stage.draw() < 0.8 else "5424"
    body = body.format(port=1 + int(stage.draw() * 24))
    return stage.text("switch:text", switch.host, priority, body, own)


def undocumented(stage: Stage, product: str | None = None) -> Line:
    """A Datto event that no table has a row for."""
    product = product or stage.rng.choice(tuple(UNKNOWN))
    draft = unknown(stage.rng, product)
    draft.sent = stage.now // 1000
    for key in (*draft.times, "query_time"):
        if pair := draft.pair(key):
            pair.text = str(stage.now)
    ap = stage.rng.choice(stage.access_points)
    if mac := draft.pair("smac"):
        mac.text = ap.mac
    hosts = {"access_point": ap.host, "switch": stage.switches[0].host}
    return stage.write(draft, hosts.get(product, stage.subscribers[0].gateway))


def garbage(stage: Stage) -> Line:
    """What is sent to a syslog port by mistake."""
    return Line("other:undecodable", stage.rng.choice(GARBAGE).encode())
