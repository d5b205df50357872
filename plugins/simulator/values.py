"""Believable values for every documented wire key: invented, documentation addresses only.

`MAKERS` draws one value at a time, on its own; a network's values that belong together are
`network`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

NOW = 1_795_514_400  # 2026-11-24T10:00:00Z, used where nobody says when, in seconds
MONTH = 30 * 86_400

SSIDS = ("Guest", "Starbucks WiFi", "office-5G", "Lobby", "Cafe Nord", "iot", "Warehouse 2")
HOSTS = ("laptop-17", "Johns-iPhone", "DESKTOP-7Q2KD", "android-dhcp-14", "printer.example.net")
DOMAINS = ("www.example.com", "ads.example.net", "cdn-7.static.example.org", "login.corp.test")
GROUPS = ("ads", "basic", "crypto", "malware", "social", "streaming", "gambling", "adult")
APPLICATIONS = ("soundcloud", "dropbox", "tor", "teamviewer", "netflix")
CLASSES = ("web", "voice", "video", "Bulk Transfer", "business", "default")
REBOOTS = (
    "Reboot requested by the cloud",
    "firmware upgrade",
    "Configuration change; restart needed",
    "watchdog",
)


def epoch(rng: Random) -> int:
    """A time within the month before `NOW`, in milliseconds."""
    return (NOW - rng.randrange(MONTH)) * 1000 - rng.randrange(1000)


def mac(rng: Random, first: str = "26AE") -> str:
    """A locally administered MAC, upper case with colons."""
    octets = [rng.choice("0123456789ABCDEF").replace("F", "E") + rng.choice(first)]
    octets += [f"{rng.randrange(256):02X}" for _ in range(5)]
    return ":".join(octets)


def access_point_mac(rng: Random) -> str:
    """One of a small fleet, so that events of one access point meet."""
    return f"02:00:5E:10:00:{rng.randrange(1, 9):02X}"


def lan_ip(rng: Random) -> str:
    """A station's address."""
    return f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def tunnel_ip(rng: Random) -> str:
    """An address inside the tunnel."""
    return f"100.{rng.randrange(64, 128)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def public_ip(rng: Random) -> str:
    """An address of the documentation ranges."""
    return f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{rng.randrange(1, 255)}"


def ipv6(rng: Random) -> str:
    """An IPv6 documentation address."""
    return f"2001:db8:{rng.randrange(65536):x}::{rng.randrange(1, 65536):x}"


def uuid(rng: Random) -> str:
    """UUID text of version 4."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def email(rng: Random) -> str:
    """A subscriber."""
    name = rng.choice(("kim", "ana.lopez", "j.doe", "sam+vpn", "o'neil"))
    return f"{name}@{rng.choice(('example.com', 'example.org', 'corp.test'))}"


def go_duration(rng: Random) -> str:
    """A length the way Go prints one."""
    hours, minutes = rng.randrange(1, 9), rng.randrange(60)
    return rng.choice((f"{hours}h{minutes}m3.5s", f"{minutes + 1}m0s", "250ms", "1.5h"))


# One maker for each documented key. `{name}` stands for the header's name.
MAKERS: dict[str, Callable[[Random], str]] = {
    "rt": lambda rng: str(epoch(rng)),
    "smac": access_point_mac,
    "dmac": mac,
    "cs2": lambda rng: rng.choice(SSIDS),
    "dvc": lan_ip,
    "dvchost": lambda rng: rng.choice(HOSTS),
    "reason": lambda rng: str(rng.choice((0, 0, 1, 2, 3, 7, 12, 37))),
    "dattoDevicePreviousAP": access_point_mac,
    "event_time": lambda rng: str(epoch(rng)),
    "timestamp": lambda rng: str(epoch(rng)),
    "agg_ts": lambda rng: str(epoch(rng)),
    "query_time": lambda rng: str(epoch(rng)),
    "response_time": lambda rng: str(epoch(rng)),
    "client_ip": tunnel_ip,
    "src_addr": lambda rng: f"{tunnel_ip(rng)}:{rng.randrange(1024, 65536)}",
    "port_src": lambda rng: str(rng.randrange(1024, 65536)),
    "cloud_ip": tunnel_ip,
    "wan_ip": public_ip,
    "external_id": uuid,
    "external_type": lambda _: "software",
    "peer_id": lambda rng: str(rng.randrange(1000, 99999)),
    "subscriber": email,
    "user_id": lambda rng: str(rng.randrange(100, 9999)),
    "identification_code": lambda rng: f"ORG-{rng.randrange(1000, 9999)}",
    "network_id": lambda rng: str(rng.randrange(10000, 99999)),
    "service_instance_id": lambda rng: f"si-{rng.getrandbits(32):08x}",
    "policy_id": lambda rng: str(rng.randrange(1, 500)),
    "event_type": lambda rng: rng.choice(("app_control", "policy", "1")),
    "trigger": lambda rng: rng.choice(("dpi", "sni", "user policy")),
    "action": lambda _: "{name}",
    "client_event": lambda _: "{name}",
    "domain": lambda rng: rng.choice(DOMAINS),
    "socket_family": lambda _: "INET",
    "socket_protocol": lambda rng: rng.choice(("UDP", "UDP", "TCP")),
    "resource_ip": public_ip,
    "port_dst": lambda rng: str(rng.choice((53, 80, 443, 443, 8443, 123))),
    "proto": lambda rng: rng.choice(("tls", "quic", "http", "dns", "ntp")),
    "ip_proto": lambda rng: rng.choice(("tcp", "udp")),
    "class": lambda _: "{name}",
    "priority": lambda rng: rng.choice(("high", "normal", "low", "3")),
    "flow_type": lambda rng: rng.choice(("UL", "DL")),
    "packets": lambda rng: str(rng.randrange(1, 250_000)),
    "duration": lambda rng: str(rng.randrange(1, 90_000)),
}
