"""What stations and access points do, each as a story in the order in which it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import network, values

if TYPE_CHECKING:
    from datto_siem.plugins.simulator.network import AccessPoint, Station
    from datto_siem.plugins.simulator.stage import Line, Stage, Story

TRIES = 4  # key mismatches of one wrong password: the handshake message is sent again


def frame(stage: Stage, event: str, ap: AccessPoint, station: Station, reason: int = 0) -> Line:
    """A line about a station; keys that the event has not are left out by its shape."""
    return stage.say(
        event,
        ap.host,
        {"rt": stage.now, "smac": ap.mac, "cs2": station.ssid, "dmac": station.mac,
         "reason": reason, "dvc": station.ip, "dvchost": station.host},
    )  # fmt: skip


def probe(stage: Stage) -> Line | None:
    """An access point answers a probe, of a station or of a passer-by."""
    ap = stage.access_points[int(stage.draw() * len(stage.access_points))]
    if not ap.up:
        return None
    station = ap.site.stations[int(stage.draw() * len(ap.site.stations))]
    mac = station.mac if stage.draw() < 0.5 else network.station_mac(stage.rng)
    said = {"rt": stage.now, "smac": ap.mac, "cs2": station.ssid, "dmac": mac}
    return stage.say("wifi/probe", ap.host, said)


def arrive(stage: Stage) -> Story:
    """A station comes: authentication, association, address."""
    station = stage.pick_station(present=False)
    ap = stage.pick_access_point(station) if station else None
    if station is None or ap is None:
        return
    if station.private:
        station.mac = network.station_mac(stage.rng)
    yield from join(stage, station, ap)


def join(stage: Stage, station: Station, ap: AccessPoint) -> Story:
    """A station joins an access point."""
    station.busy = True
    yield frame(stage, "wifi/probe", ap, station)
    yield frame(stage, "wifi/auth", ap, station)
    yield frame(stage, "wifi/assoc", ap, station)
    station.at = ap
    yield frame(stage, "dhcp/up", ap, station)
    station.busy = False


def leave(stage: Stage) -> Story:
    """A station goes: by itself, or the access point finds it gone."""
    station = stage.pick_station(present=True)
    if station is None or station.at is None:
        return
    ap, station.busy = station.at, True
    silent = stage.draw() < 0.35
    if silent:
        yield frame(stage, "wifi/deauth", ap, station, 4 if stage.draw() < 0.6 else 2)
    else:
        for _ in range(1 + (stage.draw() < 0.6)):  # on the frame, and when it loses its rights
            yield frame(stage, "wifi/disassoc", ap, station, 8)
    station.at = None
    yield frame(stage, "dhcp/down", ap, station)
    station.busy = False


def roam(stage: Stage) -> Story:
    """A station moves to another access point of its site."""
    station = stage.pick_station(present=True)
    ap = stage.pick_access_point(station) if station else None
    if station is None or ap is None or station.at is None:
        return
    before, station.busy = station.at, True
    yield frame(stage, "wifi/auth", ap, station)
    yield reassociation(stage, station, ap, before.mac)
    station.at = ap
    yield frame(stage, "wifi/disassoc", before, station, 3)
    station.busy = False


def reassociation(stage: Stage, station: Station, ap: AccessPoint, previous: str) -> Line:
    """A station names the access point it says it comes from."""
    return stage.say(
        "wifi/reassoc",
        ap.host,
        {"rt": stage.now, "smac": ap.mac, "cs2": station.ssid, "dmac": station.mac,
         "reason": 0, "dattoDevicePreviousAP": previous},
    )  # fmt: skip


def mistype(stage: Stage) -> Story:
    """Somebody mistypes the password once, then gets it right."""
    station = stage.pick_station(present=False)
    ap = stage.pick_access_point(station) if station else None
    if station is None or ap is None:
        return
    yield from wrong_password(stage, station, ap)
    yield from join(stage, station, ap)


def wrong_password(stage: Stage, station: Station, ap: AccessPoint) -> Story:
    """One try with a wrong password."""
    station.busy = True
    yield frame(stage, "wifi/auth", ap, station)
    yield frame(stage, "wifi/assoc", ap, station)
    for _ in range(TRIES):
        yield frame(stage, "wifi/key-mismatch", ap, station)
    yield frame(stage, "wifi/disassoc", ap, station, 15)
    station.busy = False


def restart(stage: Stage) -> Story:
    """An access point restarts; its stations are gone until they come again."""
    up = [each for each in stage.access_points if each.up]
    if len(up) > 1:
        ap = up[int(stage.draw() * len(up))]
        yield from reboot(stage, ap, stage.rng.choice(values.REBOOTS))


def reboot(stage: Stage, ap: AccessPoint, reason: str) -> Story:
    """One access point goes down and comes up."""
    ap.up = False
    said = {"rt": stage.now, "smac": ap.mac, "reason": reason}
    yield stage.say("system/reboot", ap.host, said)
    for station in ap.site.stations:
        if station.at is ap and not station.busy:
            station.at = None
    yield stage.say("system/boot", ap.host, {"rt": stage.now, "smac": ap.mac})
    ap.up = True
