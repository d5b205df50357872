"""Records made by someone who means harm, or by a relay that cuts them: never a raise, never a
lost byte, never a forged value in place of a true one."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus.long_records import LONG
from lines import RECEIVED, with_quirk

from datto_siem.converters import decode
from datto_siem.converters.cef import encode

HOSTILE = Path(__file__).parents[2] / "fixtures" / "hostile"
HEADER = "CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"
AP, STATION = "02:00:5E:10:00:03", "DA:A1:19:4C:07:22"


def record(name: str) -> bytes:
    return (HOSTILE / f"{name}.log").read_bytes()


SHORT = sorted(path.stem for path in HOSTILE.glob("*.log"))


@pytest.mark.parametrize("name", SHORT)
def test_a_hostile_record_gives_one_event_and_keeps_its_bytes(name: str) -> None:
    raw = record(name)
    event = decode(raw, received=RECEIVED)
    assert event.original == raw
    assert all(isinstance(note.kind, str) for note in event.notes)


@pytest.mark.parametrize("name", sorted(LONG))
def test_a_record_of_64_kib_gives_one_event_and_keeps_its_bytes(name: str) -> None:
    event = decode(LONG[name], received=RECEIVED)
    assert event.original == LONG[name]
    assert sum(key not in {"_rest", "_text"} for key, _ in event.pairs) <= 512
    assert len(event.notes) <= 1024


@pytest.mark.parametrize(
    ("name", "key", "true"),
    [
        ("forged_by_ssid", "station.mac", STATION),
        ("forged_by_ssid", "ap.mac", AP),
        ("forged_by_ssid", "wifi.ssid", "Free"),
        ("forged_by_ssid_equals", "station.mac", STATION),
        ("forged_by_ssid_equals", "ap.mac", AP),
        ("forged_by_ssid_equals", "wifi.status_code", 17),
        ("forged_by_host", "station.mac", STATION),
        ("forged_by_host", "client.ip", "10.20.4.117"),
        ("forged_by_host", "ap.mac", AP),
        ("forged_by_host", "client.host", "tablet"),
        ("forged_by_host", "wifi.ssid", "Guest"),
        ("forged_by_host_equals", "station.mac", STATION),
        ("forged_by_host_equals", "client.ip", "10.20.4.117"),
        ("forged_by_domain", "verdict.action", "drop"),
        ("forged_by_domain", "user.email", "kim@example.com"),
        ("forged_by_domain_first", "verdict.action", "drop"),
        ("forged_by_domain_first", "user.email", "kim@example.com"),
        ("forged_by_domain_first", "client.ip", "100.64.12.7"),
        ("duplicate_keys", "station.mac", STATION),
        ("duplicate_keys", "ap.mac", AP),
        ("duplicate_keys", "wifi.status_code", 17),
    ],
)
def test_a_forged_value_never_wins_over_the_true_one(name: str, key: str, true: object) -> None:
    event = decode(record(name), received=RECEIVED)
    assert event.fields[key] == true
    assert "duplicate_key" in {note.kind for note in event.notes}


def test_a_whole_record_inside_an_ssid_stays_inside_it() -> None:
    event = decode(record("forged_by_ssid_header"), received=RECEIVED)
    assert event.header is not None
    assert event.header.name == "probe"
    assert (event.fields["ap.mac"], event.fields["station.mac"]) == (AP, STATION)
    assert event.extension["cs2"].startswith("CEF:1|Datto|")


@pytest.mark.parametrize("name", ["forged_by_ssid", "forged_by_host_equals", "duplicate_keys"])
def test_a_forged_time_does_not_move_the_event(name: str) -> None:
    event = decode(record(name), received=RECEIVED)
    assert event.time == 1_795_514_300_412


def test_all_values_of_a_duplicate_key_are_kept_in_order() -> None:
    event = decode(record("duplicate_keys"), received=RECEIVED)
    assert [text for key, text in event.pairs if key == "reason"] == ["17", "0"]
    assert [text for key, text in event.pairs if key == "dmac"] == [STATION, "66:66:66:66:66:66"]


@pytest.mark.parametrize("quirk", ["inject_ssid", "inject_host", "inject_domain"])
def test_generated_forgeries_do_not_win(quirk: str) -> None:
    expectations = {
        "dmac": ("station.mac", str.upper),
        "smac": ("ap.mac", str.upper),
        "dvc": ("client.ip", str),
        "action": ("verdict.action", str),
        "subscriber": ("user.label", str.lower),
    }
    for line in with_quirk(quirk, 40):
        event = decode(line.raw, received=RECEIVED)
        for key, (canonical, form) in expectations.items():
            if key in line.expected:
                assert event.fields[canonical] == form(line.expected[key]), line.raw


def test_the_verdict_is_the_header_name_whatever_action_says() -> None:
    event = decode(record("forged_by_domain_first"), received=RECEIVED)
    assert event.header is not None
    assert event.header.name == "drop"
    assert event.reading.activity == "dns.block"


@pytest.mark.parametrize("limit", [480, 1024, 2048])
def test_a_line_that_ends_at_a_relay_limit_is_noted_and_its_last_value_not_typed(
    limit: int,
) -> None:
    event = decode(record(f"cut_{limit}"), received=RECEIVED)
    assert "truncated" in {note.kind for note in event.notes}
    assert event.fields["client.ip"] == "100.64.12.7"
    last_key, last_text = event.pairs[-1]
    assert last_key.startswith("groups.")
    assert last_text not in event.fields["policy.groups"]
    assert event.fields["policy.groups"][0] == "category-name-0"


@pytest.mark.parametrize("quirk", ["cut_480", "cut_1024", "cut_2048"])
def test_what_stands_before_a_cut_is_read(quirk: str) -> None:
    for line in with_quirk(quirk, 40):
        event = decode(line.raw, received=RECEIVED)
        assert "truncated" in {note.kind for note in event.notes}
        assert {key: event.extension.get(key) for key in line.expected} == line.expected


def test_a_line_that_ends_inside_an_escape_is_noted_as_cut() -> None:
    event = decode(record("cut_in_escape"), received=RECEIVED)
    assert "truncated" in {note.kind for note in event.notes}
    assert event.extension["reason"].startswith("config a=b and")


def test_a_line_that_ends_inside_a_character_keeps_its_bytes() -> None:
    event = decode(record("cut_in_utf8"), received=RECEIVED)
    assert "bad_utf8" in {note.kind for note in event.notes}
    assert event.extension["cs2"].startswith("\u041a\u0430")
    assert event.fields["station.mac"] == STATION


def test_controls_inside_a_value_are_data() -> None:
    event = decode(record("nul"), received=RECEIVED)
    assert event.extension["cs2"] == "a\0b"
    assert event.fields["station.mac"] == STATION
    event = decode(record("escape_codes"), received=RECEIVED)
    assert event.extension["dvchost"].startswith("\x1b]0;owned\x07\x1b[2J")
    assert event.extension["cs2"] == "Guest"


def test_a_newline_inside_a_record_does_not_make_a_second_event() -> None:
    event = decode(record("newline_then_record"), received=RECEIVED)
    assert event.header is not None
    assert (event.header.class_id, event.header.name) == ("dhcp", "up")
    assert event.fields["ap.mac"] == AP
    event = decode(record("newline"), received=RECEIVED)
    assert event.extension["cs2"] == "Guest"
    assert {"one", "two", "three"} <= set(event.extension["dvchost"].split())


def test_unicode_line_separators_and_blanks_do_not_part_pairs() -> None:
    event = decode(record("line_separators"), received=RECEIVED)
    assert event.fields["station.mac"] == STATION
    assert event.extension["cs2"] == "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
    event = decode(record("unicode_blanks"), received=RECEIVED)
    assert event.fields["station.mac"] == STATION
    assert event.fields["ap.mac"] == AP


def test_a_tab_parts_pairs_only_before_a_key() -> None:
    event = decode(record("tab"), received=RECEIVED)
    assert event.fields["ap.mac"] == AP
    assert event.fields["station.mac"] == STATION
    assert event.extension["cs2"] == "a\tb"


def test_bidirectional_controls_are_kept_as_sent() -> None:
    event = decode(record("bidi"), received=RECEIVED)
    assert event.extension["dvchost"] == "abc\u202egpj.exe\u2066x"


def test_invalid_utf8_costs_only_the_value_it_is_in() -> None:
    event = decode(record("invalid_utf8"), received=RECEIVED)
    assert "bad_utf8" in {note.kind for note in event.notes}
    assert event.fields["station.mac"] == STATION
    assert event.extension["cs2"].endswith(" ok")


def test_digits_of_other_scripts_are_no_numbers() -> None:
    event = decode(record("unicode_digits"), received=RECEIVED)
    assert "wifi.status_code" not in event.fields
    assert {"bad_time", "bad_type"} & {note.kind for note in event.notes}


def test_a_key_after_a_strangers_text_counts_though_its_clock_is_wrong() -> None:
    head = "CEF:1|Datto|Secure Edge|1.2.1|coredns|allow|1|domain=www.example.com"
    for clock in ("29462", "1420070399", "1795700000000"):
        event = decode(f"{head} query_time={clock} client_ip=100.64.1.1", received=RECEIVED)
        assert event.fields["dns.name"] == "www.example.com"
        assert event.extension["query_time"] == clock
        assert "bad_time" in {note.kind for note in event.notes}


def test_a_key_glued_to_a_colon_key_leaves_no_half_pair_behind() -> None:
    line = f"{HEADER}smac={AP} dmac:rt=1795514300412 cs2:Guest"
    event = decode(line, received=RECEIVED)
    assert decode(encode(event), received=RECEIVED).pairs == event.pairs


def test_only_blanks_and_framing_are_trimmed_from_the_end_of_a_value() -> None:
    event = decode(f"{HEADER}rt=1795514300412 cs2=a\u00a0 dmac={STATION}  \0\r", received=RECEIVED)
    assert event.extension["cs2"] == "a\u00a0"
    assert event.extension["dmac"] == STATION
    event = decode(f"{HEADER}cs2=a\0\u2028", received=RECEIVED)
    assert decode(encode(event), received=RECEIVED).pairs == event.pairs


def test_numbers_out_of_range_stay_text() -> None:
    event = decode(record("numbers"), received=RECEIVED)
    for key in ("flow.packets", "client.port", "server.port", "client.ip", "server.ip"):
        assert key not in event.fields
    assert event.extension["packets"] == "9" * 26
    noted = {note.key for note in event.notes if note.kind == "bad_type"}
    assert {"packets", "port_src", "port_dst", "client_ip", "resource_ip"} <= noted


def test_group_numbers_are_bounded() -> None:
    event = decode(record("groups_huge"), received=RECEIVED)
    assert event.fields["policy.groups"][-1] == "h"
    assert not {"a", "b", "c", "d", "g"} & set(event.fields["policy.groups"])


def test_names_that_mean_something_to_a_target_are_plain_keys() -> None:
    event = decode(record("field_names"), received=RECEIVED)
    assert event.extension["__proto__"] == "3"
    assert event.extension["index"] == "main"
    assert event.extension["event.kind"] == "alert"
    assert "event.kind" not in event.fields


@pytest.mark.parametrize("name", ["empty", "blank", "blob", "utf16"])
def test_what_is_no_cef_has_no_header(name: str) -> None:
    assert decode(record(name), received=RECEIVED).header is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("header_without_end", "no_final_pipe"),
        ("header_six_fields", "header_short"),
        ("header_three_fields", "header_short"),
        ("text_before_keys", "text_before_key"),
    ],
)
def test_a_broken_header_is_noted_and_read_as_far_as_it_goes(name: str, kind: str) -> None:
    event = decode(record(name), received=RECEIVED)
    assert kind in {note.kind for note in event.notes}


def test_an_equals_sign_in_the_severity_does_not_shorten_the_header() -> None:
    line = "CEF:0|Datto|AccessPoint|7.1.0|wifi|probe|a/b=c|rt=1795514300412"
    event = decode(line, received=RECEIVED)
    assert event.header is not None
    assert event.header.severity == "a/b=c"
    assert "header_short" not in {note.kind for note in event.notes}


def test_the_caps_are_noted() -> None:
    event = decode(LONG["ten_thousand_keys"], received=RECEIVED)
    assert "too_many_pairs" in {note.kind for note in event.notes}
    event = decode(LONG["beyond_the_cap"], received=RECEIVED)
    assert "line_too_long" in {note.kind for note in event.notes}
    assert event.time == 1_795_514_300_412
