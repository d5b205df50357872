"""Standard CEF keys of events no source row names reach their natural place in every target."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lines import RECEIVED

from datto_siem.converters import Converter
from datto_siem.converters.schemas import ocsf_versions
from datto_siem.converters.tables.load import load
from datto_siem.converters.validators import validator

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parents[2] / "fixtures"
TABLES = load()
DICTIONARY = TABLES.dictionary
TARGETS = [
    *(("ecs", None), ("cim", None), ("asim", None), ("csl", None)),
    *(("ocsf", version) for version in ocsf_versions()),
]
FIREWALL = (
    "<134>Nov 24 09:58:20 fw-1 CEF:0|Example Networks|Firewall|9.2|TRAFFIC|session denied|5|"
    "rt=1795514300412 src=192.0.2.10 spt=50544 dst=198.51.100.80 dpt=443 proto=TCP act=deny "
    "app=SSL deviceDirection=1 outcome=failure reason=policy msg=no way out suser=kim in=7 out=412 "
    "cs1Label=Rule cs1=block-out threatActor=bear"
)
ACCESS_POINT = (
    "CEF:1|Datto|AccessPoint|9.0.0|firewall|client-blocked|4|rt=1795514300412 "
    "smac=02:00:5E:10:00:03 dmac=DA:A1:19:4C:07:22 src=10.0.0.7 dst=198.51.100.80 dpt=53 proto=17"
)
# Columns that hold the whole record: what is said only there is not told in its place.
WHOLE = frozenset({"event.original", "raw_data", "RawEvent", "Extensions"})


@cache
def converter(target: str, version: str | None = None) -> Converter:
    return Converter(target, version)


def document(line: str, target: str, version: str | None = None) -> dict[str, Any]:
    made = converter(target, version)
    return made(made.decoder.decode(line, received=RECEIVED))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if path in WHOLE:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from flat(inner, path)
    else:
        yield path, value


ENDS = {
    "ecs": ("source.ip", "source.port", "destination.ip", "destination.port", "network.transport"),
    "cim": ("src_ip", "src_port", "dest_ip", "dest_port", "transport"),
    "asim": ("SrcIp", "SrcPort", "DstIp", "DstPort", "Transport"),
    "csl": ("SourceIP", "SourcePort", "DestinationIP", "DestinationPort", "Protocol"),
    "ocsf": (
        *("src_endpoint.ip", "src_endpoint.port", "dst_endpoint.ip", "dst_endpoint.port"),
        "connection_info.protocol_name",
    ),
}


@pytest.mark.parametrize(("target", "version"), TARGETS)
def test_the_ends_of_a_foreign_flow_stand_where_each_target_has_them(
    target: str, version: str | None
) -> None:
    found = dict(flat(document(FIREWALL, target, version)))
    source, source_port, destination, destination_port, transport = ENDS[target]
    assert found[source] == "192.0.2.10"
    assert found[source_port] == 50544
    assert found[destination] == "198.51.100.80"
    assert found[destination_port] == 443
    assert found[transport] == ("TCP" if target == "csl" else "tcp")


@pytest.mark.parametrize(("target", "version"), TARGETS)
def test_a_future_access_point_event_may_use_standard_keys(
    target: str, version: str | None
) -> None:
    found = dict(flat(document(ACCESS_POINT, target, version)))
    source, _, destination, destination_port, transport = ENDS[target]
    assert (found[source], found[destination]) == ("10.0.0.7", "198.51.100.80")
    assert found[destination_port] == 53
    assert found[transport] == ("17" if target == "csl" else "udp")


def test_datto_s_own_keys_keep_datto_s_meaning_beside_standard_ones() -> None:
    made = document(ACCESS_POINT, "ecs")
    assert made["observer"]["mac"] == ["02-00-5E-10-00-03"]
    assert made["source"]["mac"] == "DA-A1-19-4C-07-22"  # CEF's smac and dmac say otherwise
    assert "mac" not in made["destination"]
    assert made["observer"]["vendor"] == "Datto"


def test_a_foreign_device_is_not_called_datto() -> None:
    assert document(FIREWALL, "ecs")["observer"]["vendor"] == "Example Networks"
    cim = document(FIREWALL, "cim")
    assert (cim["vendor"], cim["vendor_product"]) == (
        "Example Networks",
        "Example Networks Firewall",
    )
    ocsf = document(FIREWALL, "ocsf")
    assert ocsf["metadata"]["product"]["vendor_name"] == "Example Networks"
    assert ocsf["device"]["vendor_name"] == "Example Networks"


def test_what_the_device_did_and_how_it_ended_are_told_in_each_schema_s_words() -> None:
    ecs = document(FIREWALL, "ecs")
    assert ecs["event"]["action"] == "deny"
    assert ecs["event"]["type"] == ["denied", "info"]
    assert ecs["event"]["outcome"] == "failure"
    assert ecs["event"]["reason"] == "policy"
    assert ecs["network"]["direction"] == "outbound"
    cim = document(FIREWALL, "cim")
    assert (cim["action"], cim["vendor_action"], cim["result"]) == ("blocked", "deny", "failure")
    ocsf = document(FIREWALL, "ocsf")
    assert (ocsf["action"], ocsf["disposition"], ocsf["status"]) == (
        "Denied",
        "Blocked",
        "Failure",
    )
    assert ocsf["status_detail"] == "policy"
    assert ocsf["connection_info"]["direction"] == "Outbound"
    assert document(FIREWALL, "asim")["Action"] == "deny"


def test_an_action_or_outcome_of_other_words_is_kept_as_written() -> None:
    line = "CEF:0|Example|Box|1|1|x|1|src=192.0.2.1 dst=192.0.2.2 act=quarantine outcome=maybe"
    ecs = document(line, "ecs")
    assert ecs["event"]["action"] == "quarantine"
    assert ecs["event"]["type"] == ["info"]
    assert "outcome" not in ecs["event"]
    assert ecs["datto"]["extensions"] == {"outcome": "maybe"}
    assert document(line, "cim")["action"] == "quarantine"
    ocsf = document(line, "ocsf")
    assert (ocsf["action_id"], ocsf["action"]) == (99, "quarantine")
    assert (ocsf["status_id"], ocsf["status"]) == (99, "maybe")


def test_an_event_without_an_action_keeps_its_name_as_action() -> None:
    made = document("CEF:0|Datto|SIRIS|4.0|backup|Job failed|6|msg=disk full", "ecs")
    assert made["event"]["action"] == "backup-job-failed"
    assert made["message"] == "disk full"


@pytest.mark.parametrize("version", ocsf_versions())
def test_one_end_alone_is_traffic_only_where_the_version_allows_it(version: str) -> None:
    line = "CEF:0|Example|Proxy|1|URL|page|3|src=192.0.2.10 spt=7 request=https://www.example.com/"
    made = document(line, "ocsf", version)
    older = version in ("1.1.0", "1.2.0", "1.3.0")
    assert made["class_uid"] == (0 if older else 4001)
    if older:
        assert made["unmapped"]["src"] == "192.0.2.10"
        assert made["unmapped"]["spt"] == "7"
    else:
        assert made["src_endpoint"] == {"ip": "192.0.2.10", "port": 7}
        assert made["url"]["url_string"] == "https://www.example.com/"


def test_without_an_address_the_event_stays_a_base_event() -> None:
    made = document("CEF:0|Datto|SIRIS|4.0|backup|failed|6|msg=disk full dpt=80", "ocsf")
    assert (made["class_uid"], made["message"]) == (0, "disk full")
    assert made["unmapped"]["dpt"] == "80"


def test_texts_and_undecodable_records_are_no_traffic() -> None:
    for line in ("hello src=192.0.2.1 dst=192.0.2.2", "CEF:0|x src=192.0.2.1"):
        assert document(line, "ocsf")["class_uid"] == 0
        assert "source" not in document(line, "ecs")


@pytest.mark.parametrize(
    ("target", "place"),
    [("ecs", "datto.extensions"), ("cim", ""), ("ocsf", "unmapped")],
)
def test_keys_without_a_home_go_to_the_leftovers(target: str, place: str) -> None:
    found: Any = document(FIREWALL, target)
    for part in filter(None, place.split(".")):
        found = found[part]
    prefix = "" if place else "datto_"
    assert found[f"{prefix}cs1"] == "block-out"
    assert found[f"{prefix}cs1Label"] == "Rule"
    assert found[f"{prefix}threatActor"] == "bear"


@pytest.mark.parametrize(("target", "version"), TARGETS)
def test_a_value_of_the_wrong_type_is_left_over_with_a_note(
    target: str, version: str | None
) -> None:
    line = "CEF:0|Example|Box|1|1|x|1|src=abc dst=198.51.100.80 dpt=99999"
    made = converter(target, version)
    event = made.decoder.decode(line, received=RECEIVED)
    assert [(note.kind, note.key) for note in event.notes] == [
        ("bad_type", "src"),
        ("bad_type", "dpt"),
    ]
    found = made(event)
    if target == "csl":  # the vendor's literal side: a text column takes any text
        assert found["SourceIP"] == "abc"
        return
    left = {
        "ecs": lambda: found["datto"]["extensions"],
        "cim": lambda: {key.removeprefix("datto_"): value for key, value in found.items()},
        "ocsf": lambda: found["unmapped"],
        "asim": lambda: found["Extensions"],
    }[target]()
    assert (left["src"], left["dpt"]) == ("abc", "99999")
    assert ENDS[target][0] not in dict(flat(found))


def test_start_and_end_stand_in_for_a_missing_receipt_time() -> None:
    head = "CEF:0|Example|Box|1|1|x|1|start=1795514100000"
    assert document(head, "ecs")["@timestamp"] == "2026-11-24T09:55:00.000Z"
    made = document(f"{head} end=1795514200000", "ecs")
    assert made["@timestamp"] == "2026-11-24T09:56:40.000Z"
    assert made["event"]["start"] == "2026-11-24T09:55:00.000Z"
    made = document(f"{head} end=1795514200000 rt=1795514300000", "cim")
    assert (made["_time"], made["start_time"], made["end_time"]) == (
        1795514300,
        1795514100,
        1795514200,
    )


VALUES = {
    "ip": lambda at: f"192.0.2.{at}" if at < 250 else f"198.51.100.{at - 249}",
    "port": lambda at: str(20000 + at),
    "int": lambda at: str(700000 + at),
    "float": lambda at: f"{at}.25",
    "mac": lambda at: f"02:00:5E:00:10:{at:02X}",
    "time": lambda at: str(1795400000000 + at * 1000),
    "text": lambda at: f"value{at}",
}
VALUE = {key: VALUES[row.cast](at) for at, (key, row) in enumerate(DICTIONARY.items(), 1)}
HEADS = {
    "other": "CEF:0|Example Networks|Firewall|9.2|T|n|5|",
    "access_point": "CEF:1|Datto|AccessPoint|9.0|future|event|5|",
    "secure_edge": "CEF:1|Datto|Secure Edge|9.0|future|event|5|",
    "switch": "CEF:1|Datto|Switch|9.0|future|event|5|",
}


def beside(source: str) -> list[str]:
    """Keys that may stand on one line: a stranger-chosen text takes in what follows it."""
    rules = TABLES.sources[source].keys
    return sorted(key for key in VALUE if key not in rules or not rules[key].free)


def spellings(key: str) -> set[str]:
    """A key's value in all the ways a target may write it."""
    text = VALUE[key].lower()
    found = {text, text.replace(":", "-")}
    if DICTIONARY[key].cast == "time":
        seconds = int(text) // 1000
        iso = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        found |= {str(seconds), iso.lower()}
    return found


@pytest.mark.parametrize("source", HEADS)
@pytest.mark.parametrize(("target", "version"), [each for each in TARGETS if each[0] != "asim"])
def test_no_value_of_a_standard_key_is_lost_whatever_stands_beside_it(
    source: str, target: str, version: str | None
) -> None:
    rng = random.Random(7)  # noqa: S311 - a reproducible choice, no secret
    times = {"rt", "start", "end"}
    for count in (1, 2, 3, 5, 8, 20, 60, 170) * 3:
        keys = rng.sample(beside(source), count)
        line = HEADS[source] + " ".join(f"{key}={VALUE[key]}" for key in keys)
        made = document(line, target, version)
        values = [str(value).lower() for _, value in flat(made)]
        pairs = set(str(made.get("AdditionalExtensions", "")).lower().split(";"))
        for key in keys:
            if source != "other" and key in times:
                continue
            shown = spellings(key) & set(values)
            assert shown or f"{key.lower()}={VALUE[key].lower()}" in pairs, (key, line)


@pytest.mark.parametrize("source", HEADS)
@pytest.mark.parametrize(("target", "version"), TARGETS)
def test_any_choice_of_standard_keys_makes_a_valid_document_on_both_paths(
    source: str, target: str, version: str | None
) -> None:
    rng = random.Random(11)  # noqa: S311 - a reproducible choice, no secret
    check = validator(target, version if target == "ocsf" else None)
    made = converter(target, version)
    for count in (1, 2, 4, 8, 30, len(VALUE)) * 2:
        keys = rng.sample(sorted(VALUE), count)
        line = HEADS[source] + " ".join(f"{key}={VALUE[key]}" for key in keys)
        event = made.decoder.decode(line, received=RECEIVED)
        found = made(event)
        assert check(found) == [], line
        assert found == made.run(event).document


FOREIGN = [
    *(
        vector["line"]
        for name in ("vendors", "values", "keys")
        for vector in json.loads((FIXTURES / "foreign" / f"{name}.json").read_text("utf-8"))
    ),
    *(
        line
        for name in ("other/foreign", "switch/unknown", "secure_edge/unknown")
        for line in (FIXTURES / name / "event.log").read_text("utf-8").splitlines()
    ),
]


@pytest.mark.parametrize(("target", "version"), TARGETS)
def test_foreign_records_become_valid_documents(target: str, version: str | None) -> None:
    assert len(FOREIGN) > 60
    check = validator(target, version if target == "ocsf" else None)
    found = {line: check(document(line, target, version)) for line in FOREIGN}
    assert {line: findings for line, findings in found.items() if findings} == {}


@pytest.mark.parametrize(
    ("mac", "local"), [("DA:A1:19:4C:07:22", True), ("00:00:5E:00:53:01", False)]
)
def test_a_station_s_locally_administered_address_is_flagged(mac: str, local: bool) -> None:
    line = f"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|rt=1795514300412 dmac:{mac} reason:0"
    assert document(line, "ecs")["datto"]["wifi"]["station_mac_local"] is local
    assert document(line, "cim")["datto_src_mac_local"] is local
    assert document(line, "ocsf")["unmapped"]["station_mac_local"] is local
    assert document(line, "asim")["AdditionalFields"]["StationMacLocal"] is local


def test_without_a_station_there_is_no_flag() -> None:
    line = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|2|rt=1795514300412 smac=02:00:5E:10:00:03"
    assert "datto_src_mac_local" not in document(line, "cim")


def test_an_unknown_severity_is_no_vendor_severity() -> None:
    head = "CEF:0|Datto|SIRIS|4.0|backup|failed|"
    assert "vendor_severity" not in document(f"{head}Unknown|msg=x", "cim")
    assert document(f"{head}Very-High|msg=x", "cim")["vendor_severity"] == "Very-High"
