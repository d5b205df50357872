"""Simulated traffic: repeatable, coherent, readable, of every event; scenarios keep their word."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from itertools import islice

import pytest

from datto_siem.converters.decoder import Decoder
from datto_siem.converters.tables.load import load
from datto_siem.plugins.simulator.network import Size
from datto_siem.plugins.simulator.scenarios import HOSTILE, SCENARIOS
from datto_siem.plugins.simulator.stage import Options
from datto_siem.plugins.simulator.traffic import traffic

START = 1_795_514_400_000  # 2026-11-24T10:00:00Z
SWITCHES = ("sw-north-1", "sw-harbour-1", "datto")
ALLOWED = [
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "100.64.0.0/10")
]


def made(count: int, **options):
    return list(islice(traffic(Options(start=START, **options)), count))


def decoded(lines):
    decode = Decoder(switches=SWITCHES).decode
    return [(line, decode(line.record, START + 3_600_000)) for line in lines]


def test_a_seed_gives_the_same_bytes_and_another_seed_others():
    for quirks in ("none", "real", "all"):
        one = made(500, seed=7, quirks=quirks)
        assert one == made(500, seed=7, quirks=quirks)
        assert one != made(500, seed=8, quirks=quirks)


def test_every_documented_event_comes_in_little_more_than_a_deck():
    wanted = {
        f"{source.name}:{name}"
        for source in load().sources.values()
        for name, event in source.events.items()
        if event.keys
    }
    assert len(wanted) == 17
    for seed in range(3):
        assert wanted - {line.label for line in made(1500, seed=seed)} == set()


def test_lines_without_quirks_decode_to_their_event_with_nothing_repaired():
    for line, event in decoded(made(4000, quirks="none")):
        assert f"{event.reading.source}:{event.reading.event}" == line.label, line
        if event.header and event.reading.event not in ("*/*", "wifi/deauth"):
            assert event.note_kinds in (None, ["colon_pairs"]), (line, event.notes)
            keys = load().sources[event.reading.source].events[event.reading.event].keys
            assert [key for key in keys if "*" not in key] == [
                key for key in event.extension if not key.startswith("groups.")
            ] or "groups.*" in keys


def test_lines_with_real_quirks_decode_to_their_event():
    events = decoded(made(6000, quirks="real"))
    for line, event in events:
        assert f"{event.reading.source}:{event.reading.event}" == line.label, line
    kinds = Counter(kind for _, event in events for kind in event.note_kinds or ())
    assert len(kinds) > 5
    noted = sum(bool(set(event.note_kinds or ()) - {"inferred"}) for _, event in events)
    assert noted < 0.5 * len(events)


def test_all_quirks_never_break_a_record_in_two_and_are_mostly_read_as_what_they_are():
    events = decoded(made(3000, quirks="all"))
    right = sum(
        f"{event.reading.source}:{event.reading.event}" == line.label for line, event in events
    )
    assert right > 0.9 * len(events)
    assert not [line for line, _ in events if b"\n" in line.record]


@pytest.mark.parametrize("header", ["3164", "5424", "none"])
def test_the_syslog_header_has_the_event_time(header):
    for line, event in decoded(made(300, quirks="none", header=header)):
        if line.label.startswith("switch"):
            continue
        assert (event.header_time is None) == (header == "none")
        if event.header_time is not None:
            assert 0 <= event.time - event.header_time < 1000, line


def test_event_times_advance_at_the_rate():
    times = [event.time for line, event in decoded(made(400, quirks="none", rate=200.0)) if
             line.label.split(":")[0] != "switch"]  # fmt: skip
    assert times == sorted(times)
    assert times[0] - START < 100
    assert 1900 <= times[-1] - START <= 2000


def test_the_size_is_as_asked():
    lines = made(4000, quirks="none", size=Size(sites=3, access_points=5, stations=7))
    macs = {m for line in lines for m in re.findall(rb"smac=(\S+)", line.record)}
    assert len(macs) == 15


def test_stations_arrive_roam_and_leave_in_order():
    at: dict[str, str] = {}  # station -> access point, once it was seen to join
    last: dict[str, str] = {}
    joined = roamed = left = 0
    for line, event in decoded(made(20_000, quirks="none")):
        name, pairs = line.label.partition(":")[2], event.extension
        station, ap = pairs.get("dmac"), pairs.get("smac")
        if name == "wifi/assoc":
            assert last[station] == "wifi/auth"
        elif name == "dhcp/up":
            assert last[station] == "wifi/assoc"
            at[station], joined = ap, joined + 1
        elif name == "wifi/reassoc":
            assert last[station] == "wifi/auth"
            assert pairs["dattoDevicePreviousAP"] == at.get(station, pairs["dattoDevicePreviousAP"])
            assert pairs["dattoDevicePreviousAP"] != ap
            at[station], roamed = ap, roamed + 1
        elif name == "dhcp/down":
            assert last[station] in ("wifi/disassoc", "wifi/deauth")
            assert at.pop(station, ap) == ap
            left += 1
        if name.startswith(("wifi", "dhcp")) and name != "wifi/probe":
            last[station] = name
    assert min(joined, roamed, left) > 100


def test_subscribers_connect_before_they_do_anything_and_durations_fit():
    gone: dict[str, int] = {}
    since: dict[str, int] = {}
    checked = 0
    for line, event in decoded(made(20_000, quirks="none")):
        name, who = line.label.partition(":")[2], event.extension.get("external_id")
        if not line.label.startswith("secure_edge") or who is None:
            continue
        if name == "instance-agent/connected":
            gone.pop(who, None)
            since[who] = event.time
            continue
        assert who not in gone, line
        if name == "instance-agent/disconnected":
            gone[who] = event.time
            if who in since:
                length = (event.time - since.pop(who)) // 1000
                assert int(event.extension["duration"]) == length
                checked += 1
    assert checked > 10


@pytest.mark.parametrize("quirks", ["real", "all"])
def test_only_documentation_and_private_addresses_are_used(quirks):
    for line in made(3000, quirks=quirks):
        text = line.record.decode("utf-8", "replace")
        keys = re.findall(r"(?:[ |])(\w+)[=:]", text)
        if quirks == "all" and len(keys) != len(set(keys)):
            continue  # `duplicate_other` writes one more digit after an address
        for found in re.findall(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])", text):
            assert any(ipaddress.ip_address(found) in net for net in ALLOWED), text
        bare = re.sub(r"[A-Za-z]{3,}:", " ", text)
        for found in re.findall(r"(?<![0-9A-Fa-f:])[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}", bare):
            assert found[1] in "26AEae", text
        for found in re.findall(r"@([\w.-]+)", text):
            assert re.search(r"(^|\.)(example\.(com|net|org)|\w+\.test)$|^32473$", found), text


def per_key(lines, window, key, events):
    """The most events of one key in any window of so many milliseconds."""
    times = defaultdict(list)
    for line, event in lines:
        if line.label.partition(":")[2] in events:
            times[key(event.extension)].append(event.time)
    most = 0
    for found in times.values():
        first = 0
        for at, when in enumerate(found):
            while found[first] <= when - window:
                first += 1
            most = max(most, at - first + 1)
    return most


@pytest.mark.parametrize("rate", [1.0, None, 500.0])
def test_a_password_guess_is_forty_mismatches_in_five_minutes_then_success(rate):
    lines = decoded(made(3000, quirks="none", scenario="wifi-password-guess", rate=rate))
    key = lambda pairs: (pairs["smac"], pairs["cs2"], pairs["dmac"])  # noqa: E731
    assert per_key(lines, 300_000, key, {"wifi/key-mismatch"}) >= 40
    counts = Counter(
        event.extension["dmac"] for line, event in lines if line.label.endswith("key-mismatch")
    )
    guesser = counts.most_common(1)[0][0]
    labels = [line.label for line, event in lines if event.extension.get("dmac") == guesser]
    assert labels[-1] == "access_point:dhcp/up"


def test_ordinary_traffic_holds_no_password_guess():
    lines = decoded(made(5000, quirks="none"))
    assert per_key(lines, 300_000, lambda p: p["dmac"], {"wifi/key-mismatch"}) < 20


@pytest.mark.parametrize("rate", [1.0, None])
def test_a_deauth_flood_is_fifty_a_minute_on_one_access_point(rate):
    lines = decoded(made(1500, quirks="none", scenario="deauth-flood", rate=rate))
    gone = {"wifi/deauth", "wifi/disassoc"}
    # at one line a second the scenario's share of lines is a draw: a few fewer are its nature
    assert per_key(lines, 60_000, lambda p: p["smac"], gone) >= 50
    ordinary = decoded(made(1500, quirks="none", rate=rate))
    assert per_key(ordinary, 60_000, lambda p: p["smac"], gone) < 50


@pytest.mark.parametrize("rate", [1.0, None])
def test_a_dns_tunnel_is_many_long_names_of_one_subscriber(rate):
    names = defaultdict(set)
    for _, event in decoded(made(2000, quirks="none", scenario="dns-tunnel", rate=rate)):
        name = event.extension.get("domain", "")
        if name.endswith(".t.exfil.example") and event.time - START < 600_000:
            assert len(name) >= 100
            assert max(map(len, name.split("."))) <= 63
            names[event.extension["subscriber"]].add(name)
    assert len(names) == 1
    assert len(next(iter(names.values()))) >= 150


def test_a_reboot_loop_is_one_access_point_again_and_again():
    lines = decoded(made(2000, quirks="none", scenario="ap-reboot-loop"))
    loops = [
        event.extension["smac"]
        for line, event in lines
        if line.label.endswith("system/reboot") and event.extension["reason"] == "watchdog"
    ]
    smac, count = Counter(loops).most_common(1)[0]
    assert count >= 3
    both = [
        line.label
        for line, event in lines
        if "system/" in line.label and event.extension["smac"] == smac
    ]
    assert both[:4] == ["access_point:system/reboot", "access_point:system/boot"] * 2


def test_injection_holds_every_hostile_text_and_stays_the_event_it_is():
    lines = decoded(made(3000, quirks="none", scenario="injection"))
    whole = b"\n".join(line.record for line, _ in lines)
    for text in HOSTILE:
        assert text.encode("utf-8", "surrogateescape") in whole, text
    for line, event in lines:
        assert f"{event.reading.source}:{event.reading.event}" == line.label, line


@pytest.mark.parametrize(
    ("name", "row"), [("unknown-events", r".*:\*/\*"), ("switch-syslog", r"switch:.*")]
)
def test_other_scenarios_are_what_they_are_called(name, row):
    lines = decoded(made(1000, quirks="none", scenario=name))
    assert sum(bool(re.fullmatch(row, line.label)) for line, _ in lines) > 200
    for line, event in lines:
        assert f"{event.reading.source}:{event.reading.event}" == line.label, line


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_run_on_the_smallest_network(name):
    tiny = Size(sites=1, access_points=1, stations=1)
    assert len(made(1500, scenario=name, size=tiny)) == 1500
