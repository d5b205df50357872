from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from datto_siem.converters import targets
from datto_siem.converters.tables.load import load
from datto_siem.plugins.shown import Paint, escaped, paint, quoted

FIXTURES = Path(__file__).parents[3] / "fixtures"
AT = ("--received-at", "2026-11-24T10:00:00Z")
REASSOC = (
    "<134>Nov 24 09:58:20 ap-lobby-3 CEF:1|Datto|AccessPoint|7.1.0|wifi|reassoc|0|"
    "rt=1795514300412 smac=02:00:5E:10:00:03 cs2:Guest dmac:7E:10:9B:55:D0:3A"
    " dattoDevicePreviousAP:0200.5e10.0005 colour=red"
)


def explain(cli, line, *options):
    done = cli("explain", *AT, *options, "--", line)
    assert done.code == 0
    return done.out.decode()


def test_envelope_header_and_row_are_shown(cli):
    text = explain(cli, REASSOC)
    envelope = 'RFC3164, priority 134 (facility 16, severity 6), time "Nov 24 09:58:20"'
    assert f'envelope   {envelope}, host "ap-lobby-3"\n' in text
    assert 'class "wifi", name "reassoc", severity "0"\n' in text
    assert re.search(
        r"read by    access_point/wifi/reassoc sources/\S+:\d+, activity wifi.reassoc\n", text
    )
    assert "event time 2026-11-24T09:58:20.412Z from rt\n" in text


def test_each_pair_is_shown_with_its_offset_and_field(cli):
    text = explain(cli, REASSOC)
    for key, value in (("rt", "1795514300412"), ("cs2", "Guest"), ("colour", "red")):
        assert re.search(rf"^  @{REASSOC.index(value)} +{key} = \"{value}\"  ", text, re.MULTILINE)
    assert re.search(r'cs2 = "Guest"  text -> wifi.ssid = "Guest" sources/\S+:\d+\n', text)
    assert re.search(r'-> ap.previous_mac = "02:00:5E:10:00:05" sources/\S+:\d+, inferred\n', text)
    assert 'colour = "red"  no table row: left over\n' in text


def test_notes_say_where_and_what_they_mean(cli):
    at = REASSOC.index("red")
    assert (
        f"  @{at}   unexpected_key colour: a key the vendor does not document for this event\n"
    ) in explain(cli, REASSOC)


def test_documented_keys_that_are_missing_are_listed(cli):
    assert "  documented but missing: reason\n" in explain(cli, REASSOC)


def test_each_output_field_names_its_fields_keys_and_row(cli):
    text = explain(cli, REASSOC, "--to", "ecs")
    for field, origin in (
        ('source.mac = "7E-10-9B-55-D0-3A"', "station.mac (dmac)"),
        ('observer.mac = ["02-00-5E-10-00-03"]', "ap.mac (smac)"),
        ('network.name = "Guest"', "wifi.ssid (cs2)"),
        ('@timestamp = "2026-11-24T09:58:20.412Z"', "event.time (rt)"),
    ):
        assert re.search(
            rf"^  {re.escape(field)}  <- {re.escape(origin)}  targets/ecs.yaml:\d+$",
            text,
            re.MULTILINE,
        )


def test_leftovers_are_shown_with_their_home(cli):
    text = explain(cli, REASSOC, "--to", "ecs")
    assert text.endswith('left over, kept under datto.extensions\n  colour = "red"\n\n')


def test_columns_that_take_a_key_as_it_is_are_shown(cli):
    text = explain(cli, REASSOC, "--to", "csl")
    assert re.search(r'DestinationMACAddress = "7E:.*"  <- dmac  targets/csl.yaml:\d+\n', text)


def test_cef_shows_the_line(cli):
    assert "cs2=Guest dmac=7E:10:9B:55:D0:3A" in explain(cli, REASSOC, "--to", "cef")


def test_the_default_target_is_ecs(cli):
    assert explain(cli, REASSOC) == explain(cli, REASSOC, "--to", "ecs")


def test_duplicates_and_values_that_do_not_fit_are_told_apart(cli):
    line = REASSOC.replace("smac=", "smac=nonsense smac=") + " rt=17"
    text = explain(cli, line)
    assert 'smac = "nonsense"  mac: does not fit or does not count, left over' in text
    assert "a duplicate, left over" in text


def test_a_record_without_cef_shows_its_text(cli):
    text = explain(cli, "<134>Nov 24 09:58:20 sw-1 link: Port 7 down", "--switch", "sw-1")
    assert 'not CEF    "Port 7 down"' in text
    assert "switch/text" in text
    assert "pairs" not in text


def test_an_undecodable_record_says_why(cli):
    assert "undecodable: neither CEF nor syslog" in explain(cli, "hello")


def test_every_line_of_standard_input_is_explained(cli):
    done = cli("explain", stdin=f"{REASSOC}\n\n{REASSOC}\n".encode())
    assert done.out.count(b"read by") == 2
    assert b"record 2\n" in done.out


@pytest.mark.parametrize("target", targets(load()))
def test_nothing_from_the_wire_reaches_the_terminal_raw(cli, target):
    for path in sorted((FIXTURES / "hostile").glob("*.log")):
        content = path.read_bytes()[:20_000]
        done = cli("explain", "--to", target, stdin=content)
        assert done.code == 0, path.name
        text = done.out.decode()
        raw = {char for char in text if not char.isprintable() and char != "\n"}
        assert raw == set(), path.name


def test_escape_sequences_and_direction_marks_are_spelled(cli):
    line = REASSOC.replace("Guest", "\x1b[31mGu\u202eest")
    text = explain(cli, line)
    assert r'cs2 = "\x1b[31mGu\u202eest"' in text


def test_bytes_of_the_argument_that_are_no_utf_8_are_kept(cli):
    assert r"G\\xffst" in explain(cli, REASSOC.replace("Guest", "G\udcffst"))


def test_text_is_escaped_so_that_it_can_be_told_exactly():
    assert escaped("a\\b\n\x9b\U000e0001") == r"a\b\x0a\x9b\U000e0001"
    assert quoted('a\\n"\n') == r'"a\\n\"\x0a"'
    assert quoted("Café") == '"Café"'


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("choice", "stream", "environment", "expected"),
    [
        ("auto", Terminal(), {}, True),
        ("auto", io.StringIO(), {}, False),
        ("auto", Terminal(), {"NO_COLOR": "1"}, False),
        ("auto", Terminal(), {"NO_COLOR": ""}, True),
        ("auto", Terminal(), {"TERM": "dumb"}, False),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
        ("never", Terminal(), {}, False),
    ],
)
def test_colour_is_for_terminals(monkeypatch, choice, stream, environment, expected):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert paint(choice, stream).on is expected


def test_colour_adds_nothing_but_colour(cli):
    plain = explain(cli, REASSOC, "--color", "never")
    coloured = explain(cli, REASSOC, "--color", "always")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert Paint(True)("note", "") == ""


def test_an_unknown_target_lists_the_targets(cli):
    done = cli("explain", "--to", "leef", REASSOC)
    assert (done.code, done.out) == (2, b"")
    assert "there are asim, cim, csl, ecs, ocsf, cef" in done.err


def test_a_closed_standard_input_is_told(cli, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    from datto_siem.plugins.cli.main import main

    assert main(["explain"]) == 2
