"""Faults put into an overlay are told with file and line; the shipped tables have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from datto_siem.converters import Converter, TableErrors
from datto_siem.converters.check import check
from datto_siem.converters.tables.load import load

FIXTURES = Path(__file__).parents[2] / "fixtures"

# (file, text of the overlay, what must be told, line of the fault)
FAULTS = [
    # shape
    ("targets/ecs.yaml", "rowz: {}", "'rowz' was unexpected", 1),
    ("sources/switch.yaml", "events:\n  port/up: {activty: unknown}", "activty", 2),
    ("sources/switch.yaml", "fields:\n  rt: {as: time, colour: red}", "colour", 2),
    ("lookups/severity.yaml", "rows:\n  11: high", "'high' is not of type 'object'", 2),
    ("targets/ecs.yaml", "formats: {mac: pretty}", "'pretty' is not one of", 1),
    ("vocabulary.yaml", "fields:\n  a.b: {type: txt, doc: x}", "'txt' is not one of", 2),
    # names
    ("vocabulary.yaml", "derived:\n  a.b: {type: text, is: $no.such}", "no field 'no.such'", 2),
    ("vocabulary.yaml", "given:\n  moon: {type: text, doc: x}", "nothing fills the given", 2),
    ("vocabulary.yaml", "fields:\n  a.b: {type: text, doc: x}", "no source fills 'a.b'", 2),
    (
        "vocabulary.yaml",
        "activities:\n  device.boot: {message: $ap.mac}",
        "a message must not be able to be absent",
        2,
    ),
    (
        "vocabulary.yaml",
        "activities:\n  a.b: {title: x, message: x}",
        "activity 'a.b' has no row under activities",
        1,
    ),
    ("sources/switch.yaml", "fields:\n  a: {as: colour}", "no cast 'colour'", 2),
    ("sources/switch.yaml", "fields:\n  a: {as: int, is: wifi.ssid}", "gives int, 'wifi.ssid'", 2),
    ("sources/switch.yaml", "fields:\n  a: {as: text, is: wifi.sid}", "no field 'wifi.sid'", 2),
    (
        "sources/switch.yaml",
        "fields:\n  a: {as: uid, is: {half: client.uid}}",
        "has no part 'half'",
        2,
    ),
    ("sources/switch.yaml", "events:\n  a/b: {activity: nap}", "no activity 'nap'", 2),
    (
        "sources/switch.yaml",
        "events:\n  a/b: {activity: unknown, keys: [zz]}",
        "key 'zz' has no row under fields",
        2,
    ),
    (
        "sources/switch.yaml",
        "events:\n  a/b: {activity: unknown, fields: {zz: ~}}",
        "`~` for 'zz' removes nothing",
        2,
    ),
    (
        "sources/access_point.yaml",
        "events:\n  wifi/probe: {also: [wifi/auth]}",
        "is also a name of",
        1,
    ),
    ("sources/switch.yaml", "time: [when]", "time key 'when' has no row", 1),
    ("sources/switch.yaml", "samples: {a/b: text}", "samples: no event 'a/b'", 1),
    ("lookups/severity.yaml", "rows:\n  11: {colour: red}", "no column 'colour'", 1),
    # targets
    ("targets/ecs.yaml", "rows:\n  source.colour: red", "'source.colour' is not in the schema", 2),
    ("targets/ecs.yaml", "rows:\n  event.severity: high", "text does not fit", 2),
    ("targets/ecs.yaml", "rows:\n  observer.mac: $ap.mac", "wants a list", 2),
    ("targets/ecs.yaml", "rows:\n  event.kind: evnt", "'evnt' is none of", 2),
    ("targets/ecs.yaml", "rows:\n  labels.x: {fold: $ap.mac}", "expected one operator", 2),
    ("targets/ecs.yaml", "rows:\n  labels.x: {lookup: $ap.mac, in: nope, get: x}", "no lookup", 2),
    ("targets/ecs.yaml", "rows:\n  event.zone: ~", "removes nothing", 2),
    ("targets/ecs.yaml", "blocks:\n  lone: {event.reason: x}", "no activity uses block", 2),
    ("targets/ecs.yaml", "activities:\n  nap: {}", "no activity 'nap'", 2),
    ("targets/ecs.yaml", "activities:\n  dns.block: {use: [nap]}", "no block 'nap'", 2),
    ("targets/ecs.yaml", "activities:\n  dns.block: {type: [indicator]}", "is not expected of", 2),
    ("targets/ecs.yaml", "rows:\n  organization.id: ~", "'org.id' has no row in ecs", 1),
    ("targets/ecs.yaml", "leave:\n  user.id: why", "is left out, and a row reads it", 2),
    (
        "targets/cim.yaml",
        "activities:\n  dhcp.assign: {src_ip: $client.ip}",
        "src_ip: forbidden in Network_Sessions.DHCP",
        2,
    ),
    ("targets/cim.yaml", "blocks:\n  dns: {message_type: Shout}", "'Shout' is none of", 2),
    ("targets/cim.yaml", "blocks:\n  dns: {query: ~}", "requires 'query'", 1),
    ("targets/cim.yaml", "blocks:\n  dns: {waive.colour: x}", "does not require it", 1),
    ("targets/cim.yaml", "activities:\n  dns.block: {dataset: No.Such}", "no data set", 2),
    ("targets/ocsf.yaml", "activities:\n  dns.block: {disposition: Eaten}", "no caption", 2),
    ("targets/ocsf.yaml", "activities:\n  dns.block: {action: 2}", "no caption", 2),
    ("targets/ocsf.yaml", "rows:\n  device.colour: red", "'device.colour' is not in", 2),
    ("targets/ocsf.yaml", "blocks:\n  dns: {class: no_class}", "no class 'no_class'", 1),
    (
        "targets/ocsf.yaml",
        "activities:\n  device.boot:\n  - {until: 1.5.0, use: [lifecycle], activity: Start}",
        "has 0 variants",
        1,
    ),
    ("targets/asim.yaml", "rows:\n  Colour: red", "'Colour' is not in the schema", 2),
    ("targets/asim.yaml", "blocks:\n  dhcp: {SrcHostname: ~}", "demands 'SrcHostname'", 1),
    ("targets/asim.yaml", "activities:\n  app.block: {DvcAction: Eat}", "'Eat' is none of", 2),
    ("targets/asim.yaml", "rows:\n  EventCount: many", "text does not fit", 2),
    ("targets/csl.yaml", "rows:\n  Moon: full", "'Moon' is not in the schema", 2),
]


def overlay(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


def test_the_shipped_tables_have_no_fault() -> None:
    assert check(load(), FIXTURES) == []


@pytest.mark.parametrize(
    ("name", "text", "told", "line"), FAULTS, ids=[f"{row[0]}-{row[2]}" for row in FAULTS]
)
def test_a_fault_is_told_with_its_file(
    tmp_path: Path, name: str, text: str, told: str, line: int
) -> None:
    faults = check(load(overlay(tmp_path, name, text)))
    found = [fault for fault in faults if told in fault.problem]
    assert found, [str(fault) for fault in faults]
    if line > 1:
        assert any(fault.where == f"{tmp_path}/{name}:{line}" for fault in found), found


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    overlay(tmp_path, "targets/asim.yaml", "rows:\n  Colour: red\n  Shape: round\n")
    overlay(tmp_path, "targets/ecs.yaml", "rows:\n  event.kind: evnt\n")
    with pytest.raises(TableErrors) as raised:
        Converter("ecs", overlay=tmp_path)
    assert len(raised.value.exceptions) == 3
    assert f"{tmp_path}/targets/ecs.yaml:2: event.kind: 'evnt'" in str(raised.value)


def test_a_duplicate_key_is_a_fault(tmp_path: Path) -> None:
    overlay(tmp_path, "targets/ecs.yaml", "rows:\n  message: a\n  message: b\n")
    with pytest.raises(TableErrors) as raised:
        load(tmp_path)
    assert "targets/ecs.yaml:3: duplicate key 'message'" in str(raised.value)


def test_what_is_no_yaml_is_a_fault_with_its_line(tmp_path: Path) -> None:
    overlay(tmp_path, "targets/ecs.yaml", "rows: {a: b\nx: [}\n")
    with pytest.raises(TableErrors) as raised:
        load(tmp_path)
    assert "targets/ecs.yaml:2: not YAML" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows:\n  a: &x b\n  c: d\n", "targets/ecs.yaml:2: no anchors and aliases here"),
        ("rows: &x {a: b}\nmore: *x\n", "targets/ecs.yaml:2: no anchors and aliases here"),
        ("rows: {a: b}\n---\nrows: {c: d}\n", "targets/ecs.yaml:2: one YAML document only"),
        ("rows: {[a]: b}\n", "targets/ecs.yaml:1: a key must be text"),
    ],
)
def test_yaml_that_says_a_row_elsewhere_is_a_fault(tmp_path: Path, text: str, said: str) -> None:
    overlay(tmp_path, "targets/ecs.yaml", text)
    with pytest.raises(TableErrors) as raised:
        load(tmp_path)
    assert said in str(raised.value)


def test_an_event_without_fixture_is_a_fault(tmp_path: Path) -> None:
    faults = check(load(), tmp_path)
    assert "no fixture access_point/wifi_probe/event.log" in [f.problem for f in faults]


def test_an_overlay_row_replaces_adds_and_takes_away(tmp_path: Path) -> None:
    text = "rows:\n  data_stream.namespace: acme\n  datto.site: north\n"
    overlay(tmp_path, "targets/ecs.yaml", text)
    overlay(tmp_path, "lookups/dot11_status.yaml", "default: ~\n")
    converter = Converter("ecs", overlay=tmp_path)
    line = "CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|rt=1795514300412 reason:200"
    event = converter.decoder.decode(line, received=1_795_514_400_000)
    document = converter(event)
    assert document["data_stream"]["namespace"] == "acme"
    assert document["datto"]["site"] == "north"
    assert document["event"]["outcome"] == "unknown"  # the overlay took the default "failure" away


def test_an_overlay_can_name_a_new_event(tmp_path: Path) -> None:
    text = "events:\n  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac, cs2, dmac]}\n"
    converter = Converter("ecs", overlay=overlay(tmp_path, "sources/access_point.yaml", text))
    line = "CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300412 cs2:Guest"
    document = converter(converter.decoder.decode(line, received=1_795_514_400_000))
    assert document["event"]["action"] == "wifi-reassociation"
    assert document["network"]["name"] == "Guest"
