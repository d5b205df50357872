"""What subscribers do behind a Secure Edge gateway: sessions, DNS questions, traffic, blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import values
from datto_siem.plugins.simulator.shapes import listed

if TYPE_CHECKING:
    from datto_siem.plugins.simulator.network import Subscriber
    from datto_siem.plugins.simulator.stage import Line, Stage, Story

NAMES = tuple(
    f"{host}.{domain}"
    for domain in ("example.com", "example.net", "example.org", "corp.test", "shop.example")
    for host in ("www", "api", "cdn-3.static", "mail", "login", "img", "updates", "ntp", "files")
)
BLOCKED = ("ads.example.net", "track.example.org", "coins.example", "bet.example", "malware.test")
FLOWS = (  # class, application, transport, port, priority
    ("web", "tls", "tcp", "443", "normal"), ("web", "quic", "udp", "443", "normal"),
    ("web", "http", "tcp", "80", "low"), ("voice", "rtp", "udp", "5004", "high"),
    ("video", "tls", "tcp", "443", "high"), ("business", "tls", "tcp", "8443", "high"),
    ("Bulk Transfer", "ssh", "tcp", "22", "low"), ("default", "ntp", "udp", "123", "normal"),
    ("default", "dns", "udp", "53", "normal"),
)  # fmt: skip
SERVERS = tuple(
    f"{net}.{host}" for net in ("192.0.2", "198.51.100", "203.0.113") for host in range(2, 250, 9)
)
TRIGGERS = ("dpi", "sni", "user policy")


def allow(stage: Stage) -> Line | None:
    """A DNS question that is answered."""
    who = stage.pick_subscriber(connected=True)
    return None if who is None else answered(stage, who, NAMES[int(stage.draw() * len(NAMES))])


def answered(stage: Stage, who: Subscriber, name: str) -> Line:
    """An answered question for one name."""
    return stage.say("coredns/allow", who.gateway, _question(stage, who, name, "allow"))


def block(stage: Stage) -> Line | None:
    """A DNS question that is dropped."""
    who = stage.pick_subscriber(connected=True)
    if who is None:
        return None
    said = _question(stage, who, stage.rng.choice(BLOCKED), "drop")
    said["groups.*"] = listed(stage.rng.sample(values.GROUPS, 1 + int(stage.draw() * 3)))
    return stage.say("coredns/drop", who.gateway, said)


def _question(stage: Stage, who: Subscriber, name: str, action: str) -> dict[str, object]:
    draw, inside = stage.draw, who.fixed["client_ip"]
    port = 1024 + int(draw() * 64_000)
    kind = draw()
    return {
        **who.fixed,
        "domain": name,
        "action": action,
        "query_time": stage.now,
        "response_time": stage.now + 1 + int(draw() * draw() * 300),
        "src_addr": f"[{inside}]:{port}" if ":" in inside else f"{inside}:{port}",
        "socket_protocol": "UDP" if kind < 0.85 else "TCP" if kind < 0.95 else "DOH",
    }


def flow(stage: Stage) -> Line | None:
    """Traffic of the last moments, added up."""
    who = stage.pick_subscriber(connected=True)
    if who is None:
        return None
    kind = FLOWS[int(stage.draw() * len(FLOWS))]
    return carried(stage, who, kind, SERVERS[int(stage.draw() * len(SERVERS))])


def carried(
    stage: Stage, who: Subscriber, kind: tuple[str, ...], server: str, upload: bool | None = None
) -> Line:
    """Traffic of one kind to one server."""
    draw = stage.draw
    named, app, transport, port, priority = kind
    up = draw() < 0.4 if upload is None else upload
    said = {
        **who.fixed,
        "class": named,
        "proto": app,
        "ip_proto": transport,
        "port_dst": port,
        "priority": priority,
        "port_src": 1024 + int(draw() * 64_000),
        "agg_ts": stage.now,
        "flow_type": "UL" if up else "DL",
        "packets": 1 + int(draw() ** 4 * 50_000),
        "resource_ip": server,
    }
    return stage.say("telemeterd/*", who.gateway, said)


def app_block(stage: Stage) -> Line | None:
    """An application that the policy forbids."""
    who = stage.pick_subscriber(connected=True)
    if who is None:
        return None
    said = {
        **who.fixed,
        "groups.*": listed([stage.rng.choice(values.APPLICATIONS)]),
        "event_time": stage.now,
        "action": "drop",
        "event_type": "app_control",
        "trigger": stage.rng.choice(TRIGGERS),
    }
    return stage.say("traffigatord/drop", who.gateway, said)


def connect(stage: Stage) -> Story:
    """A subscriber connects."""
    who = stage.pick_subscriber(connected=False)
    if who is not None:
        who.since = stage.now
        yield _session(stage, who, "connected", 0)


def disconnect(stage: Stage) -> Story:
    """A subscriber disconnects."""
    who = stage.pick_subscriber(connected=True)
    if who is not None and who.since is not None:
        length = (stage.now - who.since) // 1000
        who.since = None
        yield _session(stage, who, "disconnected", length)


def _session(stage: Stage, who: Subscriber, event: str, length: int) -> Line:
    said = {**who.fixed, "client_event": event, "duration": length, "timestamp": stage.now}
    return stage.say(f"instance-agent/{event}", who.gateway, said)
