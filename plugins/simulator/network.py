"""The network that is simulated: sites with access points, stations, subscribers and switches.

Every address is one that no real network can have on the Internet: documentation ranges (RFC 5737,
3849), private ones, MACs with the locally administered bit, reserved domain names (RFC 2606).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.simulator import values

if TYPE_CHECKING:
    from random import Random

PREFIXES = ("AE:86:74", "FA:D9:B8")  # the vendor's two, with the locally administered bit set
PLACES = ("north", "harbour", "old-town", "airport", "mill", "campus", "depot", "station")
ROOMS = ("lobby", "floor-1", "floor-2", "cafe", "hall", "office", "yard", "meeting", "store")
HOSTS = (
    "Annas-iPhone", "Galaxy-S23", "Pixel-8", "DESKTOP-{hex}", "LAPTOP-{hex}", "android-{low}",
    "iPad", "MacBook-Pro-{n}", "EPSON{hex}", "Chromecast", "sonos-{n}", "thermostat-{n}",
)  # fmt: skip
PEOPLE = ("kim", "ana.lopez", "j.doe", "sam", "m.berg", "priya", "t.okoye", "lee", "e.novak")
COMPANIES = ("example.com", "example.org", "example.net", "corp.test")
_PRIVATE = 10 << 24
_SHARED = (100 << 24) + (64 << 16)  # 100.64.0.0/10: inside tunnels


class Size(NamedTuple):
    """How large the network is: access points and stations are for each site."""

    sites: int = 2
    access_points: int = 4
    stations: int = 40


@dataclass(slots=True)
class AccessPoint:
    """One access point."""

    mac: str
    host: str
    site: Site
    up: bool = True


@dataclass(slots=True)
class Station:
    """A device that uses the Wi-Fi.

    Attributes:
        at: The access point it is on, or None.
        busy: It is in the middle of something, so nothing else may happen to it.
    """

    mac: str
    ip: str
    host: str
    ssid: str
    site: Site
    private: bool  # takes another MAC for each stay
    at: AccessPoint | None = None
    busy: bool = False


@dataclass(slots=True)
class Subscriber:
    """A Secure Edge user's client, or an appliance.

    Attributes:
        fixed: Wire key -> text, for what is the same in all its events.
        since: When it connected, in milliseconds; None while it is not.
    """

    fixed: dict[str, str]
    gateway: str
    since: int | None = None


@dataclass(slots=True)
class Switch:
    """A switch: it only writes plain text."""

    host: str
    site: Site


@dataclass(slots=True)
class Site:
    """One place."""

    name: str
    ssids: tuple[str, ...]
    access_points: list[AccessPoint] = field(default_factory=list)
    stations: list[Station] = field(default_factory=list)
    subscribers: list[Subscriber] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)


def build(rng: Random, size: Size, now: int) -> list[Site]:
    """A network in the middle of its day: most devices are connected already."""
    return [_site(rng, size, number, now) for number in range(size.sites)]


def station_mac(rng: Random) -> str:
    """A randomised MAC as phones make them."""
    return f"{rng.getrandbits(8) & 0xFC | 2:02X}:" + _tail(rng, 5)


def access_point_mac(rng: Random) -> str:
    """A MAC of an access point."""
    return f"{rng.choice(PREFIXES)}:{_tail(rng, 3)}"


def address(base: int, offset: int) -> str:
    """The address that far into a range."""
    return ".".join(str((base + offset) >> shift & 255) for shift in (24, 16, 8, 0))


def _tail(rng: Random, octets: int) -> str:
    return ":".join(f"{rng.getrandbits(8):02X}" for _ in range(octets))


def _site(rng: Random, size: Size, number: int, now: int) -> Site:
    name = PLACES[number % len(PLACES)] + (f"-{number}" if number >= len(PLACES) else "")
    site = Site(name, tuple(rng.sample(values.SSIDS, 3)))
    for at in range(size.access_points):
        room = ROOMS[at % len(ROOMS)] + (f"-{at}" if at >= len(ROOMS) else "")
        site.access_points.append(AccessPoint(access_point_mac(rng), f"ap-{name}-{room}", site))
    for at in range(size.stations):
        site.stations.append(_station(rng, site, number, at))
        if rng.random() < 0.6:
            site.stations[-1].at = rng.choice(site.access_points)
    for at in range(max(2, size.stations // 2)):
        site.subscribers.append(_subscriber(rng, number, at))
        if at == 0 or rng.random() < 0.8:
            site.subscribers[-1].since = now - rng.randrange(60_000, 8 * 3_600_000)
    site.switches = [Switch(f"sw-{name}-{at + 1}", site) for at in range(1 + size.stations // 100)]
    return site


def _station(rng: Random, site: Site, number: int, at: int) -> Station:
    low = f"{rng.getrandbits(28):07x}"
    host = rng.choice(HOSTS).format(hex=low.upper(), low=low, n=at)
    return Station(
        station_mac(rng),
        address(_PRIVATE, number * 8192 + 100 + at),
        host,
        rng.choice(site.ssids),
        site,
        private=rng.random() < 0.5,
    )


def _subscriber(rng: Random, number: int, at: int) -> Subscriber:
    inside = address(_SHARED, number * 4096 + 10 + at)
    if rng.random() < 0.1:
        inside = f"2001:db8:{number:x}::{at + 10:x}"
    appliance = rng.random() < 0.15
    client = access_point_mac(rng) if appliance else values.uuid(rng)
    return Subscriber(
        {
            "client_ip": inside,
            "cloud_ip": inside,
            "wan_ip": values.public_ip(rng),
            "external_id": client,
            "external_type": "appliance" if appliance else "software",
            "peer_id": str(10_000 + number * 1024 + at),
            "user_id": str(1_000 + number * 1024 + at),
            "subscriber": f"{PEOPLE[at % len(PEOPLE)]}{at or ''}@{COMPANIES[number % 4]}",
            "identification_code": f"ORG-{1000 + number}",
            "network_id": str(20_000 + number),
            "service_instance_id": f"si-{number:08x}",
            "policy_id": str(100 + at % 7),
            "socket_family": "INET6" if ":" in inside else "INET",
        },
        gateway=f"se-gateway-{number + 1}",
    )
