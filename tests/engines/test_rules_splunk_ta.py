"""The Splunk add-on equals the converter, field by field, in an emulator with real PCRE2.

The emulator reads the generated package only. AppInspect, Splunk's own checker, inspects it too;
what that does not notice (settings, targets, columns, patterns, expressions) is checked here.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cases import PEER, RECEIVED, SWITCHES
from engine import ENGINES, needed
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_corpus import Case, corpus, fixtures, hostile, simulated
from splunk_addon import CONDITIONS, PACKAGE, Sender, addon, compared, known, shown
from splunk_eval import Program
from splunk_search_time import PROPS, TRANSFORMS, Search, Splunk, configuration, expression

from datto_siem.converters import Converter
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._splunk_differences import KNOWN_DIFFERENCES
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine
APPINSPECT = ENGINES / "appinspect" / "inspect"
MODELS = ENGINES / "pytest_splunk_addon"
DEFAULT_FIELDS = {"_raw", "_time", "_indextime", "host", "source", "sourcetype", "datto_event_id"}
HEAD = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"
EDGE = b"CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|"
UUID = b"3f0a7c52-9b1d-4e8a-a6c4-51d27be90f13"
LONG = {
    "pairs": HEAD + b"k=v " * 16_384,
    "one word": HEAD + b"cs2:" + b"a" * 65_500,
    "words": HEAD + b"cs2:" + b"a " * 32_700,
    "blanks": HEAD + b"cs2:x" + b" " * 65_500,
    "backslashes": HEAD + b"cs2:x" + b"\\" * 4_000,
    "pipes": b"CEF:1|Datto|AccessPoint|" + b"|" * 65_500,
    "equals signs": EDGE + b"policy_id=" + b"=" * 65_500,
    "glued pairs": EDGE + b"policy_id=" + (b"7external_id=" + UUID) * 1_300,
    "colon pairs": HEAD + b"dmac:02:00:5E:10:00:03 " * 2_800,
    "misfits after free text": HEAD + b"cs2:" + b"dmac:x " * 9_300,
    "an address": EDGE + b"src_addr=" + b"a:" * 32_700,
    "digits": HEAD + b"rt=" + b"1" * 65_500,
    "numbered keys": EDGE + b"".join(b"groups.%d=x " % number for number in range(5_000)),
    "priorities": b"<1>" * 21_800,
    "structured data": b'<13>1 - - - - - [a b="' + b'\\"' * 32_700,
    "dates": b"<13>" + b"Nov 24 2026 10:00:00 " * 3_100,
    "starts of headers": b"CEF:" * 16_384,
    "a dotted host": b"<13>Nov 24 10:00:00 " + b"a." * 32_700,
    "no CEF": b"C" * 65_536,
}


@pytest.fixture(scope="module")
def splunk() -> Splunk:
    return addon()


def explained(
    splunk: Splunk, cases: Iterable[Case], form: str, switches: tuple[str, ...] = ()
) -> tuple[list[str], set[int]]:
    """Differences no row explains, and the rows that explain the others."""
    converter = Converter("cim", switches=switches)
    sender = Sender(splunk, form, switches=switches)
    wrong, rows = [], set()
    for case in cases:
        for name, expected, got in compared(converter, case, sender.fields(case)):
            row = known(converter, case, name, got) if form == "raw" else None
            if row is None:
                wrong.append(f"{case.origin}: {name}: {expected!r}, not {got!r}: {case.line!r}")
            else:
                rows.add(row)
    return wrong, rows


def test_the_raw_form_equals_the_converter(splunk: Splunk) -> None:
    before = len(splunk.limited)
    wrong, rows = explained(splunk, corpus(), "raw")
    assert wrong == []
    assert rows == set(range(len(KNOWN_DIFFERENCES))), "a row that no record needs"
    assert len(splunk.limited) == before, "a record of the corpus needs too many steps"
    assert {row.when for row in KNOWN_DIFFERENCES} == set(CONDITIONS)


def test_records_of_known_switches_equal_the_converter(splunk: Splunk) -> None:
    cases = [case for case in fixtures() if case.origin.startswith("switch/")]
    assert len(cases) > 4
    assert explained(splunk, cases, "raw", SWITCHES)[0] == []
    assert explained(splunk, cases, "cim", SWITCHES)[0] == []


def test_the_json_form_has_the_same_fields(splunk: Splunk) -> None:
    cases = (*fixtures(), *hostile(), *simulated()[:300])
    assert explained(splunk, cases, "cim")[0] == []


def test_patterns_do_not_depend_on_going_back_into_calls(splunk: Splunk) -> None:
    """PCRE before 10.30 takes what a called group matched first, or nothing."""
    atomic = addon(atomic=True)
    cases = (*fixtures(), *hostile(), *simulated()[:300])
    one, other = Sender(splunk, "raw"), Sender(atomic, "raw")
    assert [case.line for case in cases if one.fields(case) != other.fields(case)] == []


@pytest.mark.parametrize("form", ["raw", "cim"])
def test_tags_are_those_of_the_event_s_data_set(splunk: Splunk, form: str) -> None:
    converter, sender = Converter("cim"), Sender(splunk, form)
    seen = set()
    for case in (*fixtures(), *hostile(), *simulated()[:600]):
        event = converter.decoder.decode(case.line, RECEIVED, PEER, None, case.ordinal)
        facts = converter.run(event).plan.facts
        types = splunk.event_types(sender.fields(case))
        if form == "raw" and not case.line.isascii() and len(case.line) in (480, 1024, 2048):
            continue  # a cut told by bytes: one of the differences
        assert splunk.tags_of(types) == set(facts.get("tags", ())), case
        assert len(types) <= 1, case
        seen.update(types)
    assert seen == set(splunk.eventtypes)


def test_each_set_of_tags_is_one_data_model(splunk: Splunk) -> None:
    needed(MODELS.is_dir(), "pytest-splunk-addon's data models")
    models: dict[str, list[set[str]]] = {}
    for path in (MODELS / "data_models").glob("*.json"):
        model = json.loads(path.read_text())
        root = model["objects"][0]
        models[model["model_name"]] = [set(tags) for tags in root["tags"]]
    for stanza, row in splunk.tags.items():
        tags = set(row)
        found = [name for name, roots in models.items() if any(root <= tags for root in roots)]
        assert len(found) == 1, (stanza, tags, found)


def test_no_field_is_set_that_an_add_on_must_leave_alone(splunk: Splunk) -> None:
    needed(MODELS.is_dir(), "pytest-splunk-addon's data models")
    common = json.loads((MODELS / "cim_tests" / "CommonFields.json").read_text())
    forbidden = {row["name"] for row in common["fields"]}
    assert {"dest_bunit", "src_priority", "user_category"} <= forbidden
    for sourcetype in splunk.props:
        assert not forbidden & set(written(splunk, sourcetype))


@pytest.mark.parametrize(
    "prefix", [b"CEF: ", b"traffigatord: ", b"<134>Nov 24 09:58:20 gw-1 ", b"Nov 24 09:58:20 gw-1 "]
)
def test_what_a_collector_leaves_of_the_header_does_not_matter(
    splunk: Splunk, prefix: bytes
) -> None:
    """SC4S keeps the message, its tag before it or not."""
    sender = Sender(splunk, "raw")
    for case in fixtures():
        start = case.line.find(b"CEF:")
        if start < 0:
            continue
        bare = sender.fields(Case(0, "", case.line[start:]))
        found = sender.fields(Case(0, "", prefix + case.line[start:]))
        own = {"_raw", "_time", "datto_event_id", "dvc", "dest", "severity", "object", "object_id"}
        for name in {*bare, *found} - own:
            if not name.startswith(("line_", "part_")):
                assert found.get(name) == bare.get(name), (name, case.line)


@pytest.mark.parametrize("name", LONG)
def test_a_long_record_does_not_stall_the_patterns(splunk: Splunk, name: str) -> None:
    """It comes out, with fields or without: a pattern that needs too many steps gives none."""
    fields = shown(Sender(splunk, "raw").fields(Case(0, name, LONG[name])))
    assert fields["datto_event_id"]
    assert fields["dvc_ip"] == "192.0.2.10"


# -- overlays ---------------------------------------------------------------------------------

NASTY = 'it\'s "5" ${x} \\ """ `id` %0A | * é\u2028 end'
BRACKETS = "[[x]] ]] $result.x$ (?i) \\1"


def overlay(folder: Path, name: str, content: dict[str, Any]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML


def test_a_new_event_of_an_overlay_is_in_the_add_on(tmp_path: Path) -> None:
    roam = {"activity": "wifi.reassoc", "keys": ["rt", "smac", "cs2", "dmac", "roam_id"]}
    key = {"as": "int", "is": "wifi.status_code", "colon": True}
    content = {"events": {"wifi/roam": roam}, "fields": {"roam_id": key}}
    overlay(tmp_path, "sources/access_point.yaml", content)
    line = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300412 smac=02:00:5E:10:00:03 "
    cases = [
        Case(0, "plain", line + b"cs2=Guest dmac=DA:A1:19:4C:07:22 roam_id=17"),
        Case(1, "colons", line + b"cs2:A b=c dmac:DA:A1:19:4C:07:22 roam_id:0"),
        Case(2, "misfit", line + b"dmac:DA:A1:19:4C:07:22 roam_id=x1"),
    ]
    splunk = addon(tmp_path)
    converter, sender = Converter("cim", overlay=tmp_path), Sender(splunk, "raw", tmp_path)
    for case in cases:
        fields = sender.fields(case)
        assert [row for row in compared(converter, case, fields) if row[0] != "datto_notes"] == []
        assert fields["signature_id"] == "wifi:roam"
        assert splunk.event_types(fields) == ["datto_access_point_wifi_roam"]
        assert splunk.tags_of(["datto_access_point_wifi_roam"]) == {"network", "session", "start"}


UNUSED = {  # what the shipped table has no use for
    "datto_ended": "$session.ended",
    "datto_start": "$event.start",
    "datto_end": "$event.end",
    "datto_aggregated": "$flow.aggregated",
    "datto_received": "$received",
    "datto_mail": "$user.email",
    "datto_name": "$user.name",
    "datto_realm": "$user.domain",
    "datto_uid_mac": "$client.mac",
    "datto_scope": {"scope": "$server.ip"},
    "datto_wan_scope": {"scope": "$client.wan_ip"},
    "datto_slug": {"slug": "$header.product"},
    "datto_upper": {"upper": "$user.label"},
    "datto_joined": {"join": "$policy.groups", "with": ", "},
    "datto_both": ["$client.ip", "$tunnel.ip", "$server.ip", "fixed"],
    "datto_whole": {"seconds": "$session.length"},
    "datto_length": "$session.length",
    "datto_is_ip": {"ip": "$client.host"},
    "datto_is_mac": {"mac": "$client.uid"},
    "datto_facility": "$syslog.facility",
    "datto_priority": "$syslog.priority",
    "datto_severity": "$severity",
    "datto_unless": {"unless": "$user.label", "then": "no user", "else": "a user"},
    "datto_text": "${syslog.host}[ (${wifi.ssid}[, ${ap.mac}])][ ${flow.packets}]",
    "datto_number": "$net.protocol_number",
    "datto_version": "$header.cef_version",
}


def test_fields_and_operators_the_shipped_table_does_not_use(tmp_path: Path) -> None:
    used = ["flow.aggregated", "client.uid", "user.email", "user.name", "user.domain"]
    leave = dict.fromkeys([*used, "session.ended"])
    overlay(tmp_path, "targets/cim.yaml", {"rows": UNUSED, "leave": leave})
    converter = Converter("cim", overlay=tmp_path)
    sender = Sender(addon(tmp_path), "raw", tmp_path)
    wrong, seen = [], set()
    uncut = (case for case in simulated()[:400] if "cut_" not in case.origin)
    for case in (*fixtures(), *uncut):
        fields = sender.fields(case)
        seen |= set(fields)
        for name, expected, got in compared(converter, case, fields):
            if name in UNUSED or known(converter, case, name, got) is None:
                wrong.append((name, expected, got, case.line))
    assert wrong == []
    assert set(UNUSED) - seen <= {"datto_is_ip"}


def test_what_an_overlay_writes_stays_data(tmp_path: Path) -> None:
    """Texts, lookup keys, names of events and of keys with all that means something somewhere."""
    words = {"lookup": "$wifi.ssid", "in": {"guest": BRACKETS, 'a|b"c': "x"}, "else": "no\nway"}
    rows: dict[str, Any] = {
        "datto_site": NASTY.replace("${", "$${"),
        "datto_place": BRACKETS,
        "datto_where": "${wifi.ssid} " + NASTY.replace("${", "$${"),
        "datto_words": words,
    }
    overlay(tmp_path, "targets/cim.yaml", {"rows": rows})
    event = {"activity": "wifi.probe", "keys": ["rt", "cs2", "x-(a+).b[0]"]}
    fields = {"x-(a+).b[0]": {"as": "text", "is": "policy.trigger"}}
    overlay(
        tmp_path,
        "sources/access_point.yaml",
        {"events": {"wifi/a.b (c)*d": event}, "fields": fields},
    )
    splunk = addon(tmp_path)
    converter, sender = Converter("cim", overlay=tmp_path), Sender(splunk, "raw", tmp_path)
    for number, line in enumerate(
        [
            b'CEF:1|Datto|AccessPoint|7.1.0|wifi|a.b (c)*d|0|rt=1795514300412 cs2=a|b"c',
            b"CEF:1|Datto|AccessPoint|7.1.0|wifi|a.b (c)*d|0|cs2=Guest x-(a+).b[0]=y",
            b"CEF:1|Datto|AccessPoint|7.1.0|wifi|axb (c)*d|0|rt=1795514300412 cs2=Guest",
        ]
    ):
        case = Case(number, "overlay", line)
        found = sender.fields(case)
        assert [row for row in compared(converter, case, found) if row[0] != "datto_notes"] == []
        assert (found["datto_site"], found["datto_place"]) == (NASTY, BRACKETS)


# -- literals ---------------------------------------------------------------------------------

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0")
    | st.sampled_from(list("\"'\\[]${}|*\n\r%"))
)


@settings(deadline=None)
@given(TEXTS)
def test_a_text_comes_back_out_of_eval(value: str) -> None:
    assert Program(_spl.text(value)).run({}) == value


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_a_literal_pattern_matches_its_text_alone(value: str, other: str) -> None:
    found = expression(f"^(?:{_spl.literal(value)})\\z")
    assert found.search(value) is not None
    assert (found.search(other) is not None) == (value == other)
    assert Program(f"match(x,{_spl.pattern(f'^{_spl.literal(value)}$')})").run({"x": value})


@settings(deadline=None)
@given(TEXTS)
def test_a_setting_is_one_line_or_refused(value: str) -> None:
    literal = _spl.text(value)
    assert configuration(_spl.stanza("a", {"EVAL-x": literal})) == {"a": {"EVAL-x": literal}}
    if re.search(r"[\x01-\x1f\x7f]", value):
        with pytest.raises(ValueError, match="more than one line"):
            _spl.stanza("a", {"EVAL-x": f'"{value}"'})


@settings(deadline=None)
@given(TEXTS)
def test_a_term_matches_its_text(value: str) -> None:
    assert Search(_spl.term("signature", value)).matches({"signature": value})
    assert not Search(_spl.term("signature", value)).matches({"other": value})


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1))
def test_a_lookup_keeps_its_cells(cells: list[str]) -> None:
    content = _spl.table(["key"], [[cell] for cell in cells]).decode()
    assert [row["key"] for row in csv.DictReader(io.StringIO(content, newline=""))] == [
        cell for cell in cells if cell
    ] or "" in cells


@pytest.mark.parametrize("value", ["a\0b", "half \ud83d"])
def test_what_no_file_can_hold_is_refused(value: str) -> None:
    for write in (_spl.text, _spl.literal, lambda text: _spl.term("a", text)):
        with pytest.raises(ValueError, match=r"NUL|surrogates"):
            write(value)


# -- what AppInspect does not notice ------------------------------------------------------------


def extracted(splunk: Splunk, sourcetype: str) -> set[str]:
    """Names that the transforms of a sourcetype may fill."""
    found = set()
    for name in splunk.props[sourcetype].get("REPORT-datto", "").split(", "):
        row = splunk.transforms.get(name, {})
        found |= set(expression(row["REGEX"]).groupindex) if row else set()
        found |= {row["FORMAT"].split("::")[0]} if "FORMAT" in row else set()
    return found


def test_settings_are_known_and_name_what_exists(splunk: Splunk) -> None:
    used = set()
    for sourcetype, settings_ in splunk.props.items():
        assert sourcetype in {*SOURCETYPES["raw"].values(), SOURCETYPES["cim"][""]}
        for key, value in settings_.items():
            assert PROPS.fullmatch(key), key
            if key.startswith(("REPORT-", "TRANSFORMS-")):
                names = value.split(", ")
                assert set(names) <= set(splunk.transforms)
                used |= set(names)
            elif key.startswith("LOOKUP-"):
                used.add(value.split()[0])
                columns(splunk, value)
    assert used == set(splunk.transforms)
    for name, row in splunk.transforms.items():
        assert set(row) <= TRANSFORMS, name
        if "filename" in row:
            assert f"lookups/{row['filename']}" in splunk.files


def columns(splunk: Splunk, setting: str) -> None:
    """A lookup's columns exist in its file."""
    name, rest = setting.split(" ", 1)
    content = splunk.files[f"lookups/{splunk.transforms[name]['filename']}"].decode()
    header = next(csv.reader(io.StringIO(content)))
    given_, out = rest.split(" OUTPUTNEW ")
    words = [re.sub(r" AS \S+", "", part) for part in (given_, out)]
    assert set(" ".join(words).split()) <= set(header), setting


def test_patterns_compile_and_their_names_fit(splunk: Splunk) -> None:
    for name, row in splunk.transforms.items():
        if "REGEX" in row:
            for group in expression(row["REGEX"]).groupindex:
                assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,31}", group), (name, group)


def test_expressions_read_fields_that_something_gives(splunk: Splunk) -> None:
    for sourcetype, settings_ in splunk.props.items():
        raw = settings_["KV_MODE"] == "none"
        given_ = DEFAULT_FIELDS | extracted(splunk, sourcetype)
        for key, value in settings_.items():
            if key.startswith("EVAL-") and raw:
                assert Program(value).names <= given_, key


def written(splunk: Splunk, sourcetype: str) -> Iterator[str]:
    for key, value in splunk.props[sourcetype].items():
        if key.startswith("EVAL-"):
            yield key[5:]
        elif key.startswith("LOOKUP-"):
            yield from value.split(" OUTPUTNEW ")[1].replace(" AS ", " ").split()


def test_event_types_ask_for_fields_that_exist_and_tags_for_event_types(splunk: Splunk) -> None:
    for name, row in splunk.eventtypes.items():
        search = Search(row["search"])
        sourcetype = next(
            each for each in SOURCETYPES["raw"].values() if f'sourcetype="{each}"' in row["search"]
        )
        assert search.fields() <= {"sourcetype", *written(splunk, sourcetype)}, name
    assert {stanza.removeprefix("eventtype=") for stanza in splunk.tags} <= set(splunk.eventtypes)


@pytest.mark.parametrize(
    ("line", "sourcetype"),
    [
        ("<134>Nov 24 09:58:20 ap CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|", "access_point"),
        ("CEF: 1|DATTO|access point|7.1.0|wifi|probe|0|", "access_point"),
        ("CEF:1|Datto|SecureEdge|1.2.1|coredns|drop|7|", "secure_edge"),
        ("1|Datto | Secure Edge|1.2.1|coredns|drop|7|", "secure_edge"),
        ("CEF:0|Datto|DSW-24P|2.0.4|port|link-down|4|", "switch"),
        ("CEF:0|Datto|Smart Switch 24|2.0.4|port|link-down|4|", "switch"),
        ("CEF:0|Datto|SIRIS|4.0|backup|failed|6|", ""),
        ("CEF:0|Example|AccessPoint|4.0|backup|failed|6|", ""),
        ("<134>Nov 24 09:58:20 ap hostapd: associated", ""),
    ],
)
def test_records_that_come_straight_from_devices_are_routed(
    splunk: Splunk, line: str, sourcetype: str
) -> None:
    general = SOURCETYPES["raw"][""]
    routes = splunk.props[general]["TRANSFORMS-datto_route"].split(", ")
    found = general
    for row in (splunk.transforms[name] for name in routes):
        assert row["DEST_KEY"] == "MetaData:Sourcetype"
        if expression(row["REGEX"]).search(line):
            found = row["FORMAT"].removeprefix("sourcetype::")
    assert found == SOURCETYPES["raw"][sourcetype]


@settings(deadline=None)
@given(st.integers(1_420_070_400_000, 1_795_600_799_999))
def test_the_time_prefix_finds_the_time_of_the_event(when: int) -> None:
    row = configuration(addon_props())[SOURCETYPES["raw"][""]]
    line = f"{HEAD.decode()}rt={when} smac=02:00:5E:10:00:03"
    match = expression(row["TIME_PREFIX"]).search(line)
    assert line[match.end() :].startswith(f"{when} ")


_PROPS: list[str] = []


def addon_props() -> str:
    if not _PROPS:
        _PROPS.append(addon().files["default/props.conf"].decode())
    return _PROPS[0]


def test_appinspect_finds_nothing(tmp_path: Path) -> None:
    needed(APPINSPECT.is_file(), "splunk-appinspect")
    package, report = tmp_path / PACKAGE, tmp_path / "report.json"
    package.write_bytes(generate("splunk-ta")[PACKAGE])
    subprocess.run(  # noqa: S603  ours
        [
            APPINSPECT,
            package,
            "--mode",
            "precert",
            "--data-format",
            "json",
            "--output-file",
            report,
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    found = json.loads(report.read_text())
    summary = found["summary"]
    bad = ("error", "failure", "future_failure", "warning", "skipped")
    assert {kind: summary[kind] for kind in bad} == dict.fromkeys(bad, 0)
    assert summary["success"] > 50
