"""The syslog header: every form met in the field, and where the CEF text begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.converters import syslog
from datto_siem.converters.syslog import NO_ENVELOPE, Envelope, cef_start, prefix, record

NOW = 1_795_514_400_000  # 2026-11-24T10:00:00Z
STAMP = "Nov 24 10:00:00"
ISO = "2026-11-24T10:00:00.123Z"


def old(
    priority: int | None = 134,
    time_text: str | None = STAMP,
    host: str | None = None,
    app: str | None = None,
    pid: str | None = None,
) -> Envelope:
    """An RFC 3164 envelope."""
    return Envelope("RFC3164", priority, time_text, host, app, pid)


@pytest.mark.parametrize("text", ["", " ", "\ufeff", '"', "- ", "ap-1 ", "free text before it "])
def test_without_a_header_nothing_is_read(text: str) -> None:
    assert prefix(text) == NO_ENVELOPE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<134>", old(time_text=None)),
        ("<0>", old(0, None)),
        ("<191>", old(191, None)),
        ("<134>ap-1 ", old(time_text=None, host="ap-1")),
        ("<134>hostapd: ", old(time_text=None, app="hostapd")),
        ("<134>ap-1 hostapd[7]: ", old(time_text=None, host="ap-1", app="hostapd", pid="7")),
        ("<134>some words first ", old(time_text=None)),
    ],
)
def test_a_priority_alone_is_read(text: str, expected: Envelope) -> None:
    assert prefix(text) == expected


@pytest.mark.parametrize("text", ["<192>", "<999>", "<>", "<-1>", "<1234>", "<1a>", "<\u0661>"])
def test_a_priority_out_of_range_stays_unread(text: str) -> None:
    assert prefix(text) == NO_ENVELOPE


def test_a_priority_out_of_range_is_stepped_over_when_a_header_follows() -> None:
    assert prefix(f"<999>{STAMP} ap-1 ") == old(None, host="ap-1")


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", old()),
        (" ", old()),
        (" ap-1 ", old(host="ap-1")),
        (" ap-1.example.test ", old(host="ap-1.example.test")),
        (" AP-1 ", old(host="AP-1")),
        (" 192.0.2.7 ", old(host="192.0.2.7")),
        (" 2001:db8::7 ", old(host="2001:db8::7")),
        (" 2001:db8:: ", old(host="2001:db8::")),
        (" ap-1 hostapd: ", old(host="ap-1", app="hostapd")),
        (" ap-1 hostapd[12]: ", old(host="ap-1", app="hostapd", pid="12")),
        (" ap-1 hostapd[]: ", old(host="ap-1", app="hostapd")),
        (" ap-1 CEF: ", old(host="ap-1", app="CEF")),
        (" ap-1 datto ", old(host="ap-1", app="datto")),
        (" ap-1 - ", old(host="ap-1")),
        (" - ", old()),
        (" - hostapd: ", old(app="hostapd")),
    ],
)
def test_host_and_tag_follow_the_time(rest: str, expected: Envelope) -> None:
    assert prefix(f"<134>{STAMP}{rest}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<134>{STAMP} hostapd: ", old(app="hostapd")),
        (f"<134>{STAMP} hostapd[12]: ", old(app="hostapd", pid="12")),
        (f"<134>{STAMP} 192.0.2.7: ", old(host="192.0.2.7")),
        (f"<134>{STAMP} 2001:db8::7: ", old(host="2001:db8::7")),
        (f"<134>{STAMP} gw.example.test: ", old(host="gw.example.test")),
        (f"<134>{STAMP} gw-1 : ", old(host="gw-1")),
        ("<134>Nov 24 2026 10:00:00 gw-1: ", old(time_text="Nov 24 2026 10:00:00", host="gw-1")),
        ("<134>Nov 24 2026 10:00:00: ", old(time_text="Nov 24 2026 10:00:00")),
        (
            "<189>45: gw-1: *Nov 24 10:00:00.123 UTC: ",
            old(189, "Nov 24 10:00:00.123 UTC", "gw-1"),
        ),
        ("<189>000045: .Nov 24 10:00:00: ", old(189, "Nov 24 10:00:00")),
    ],
)
def test_one_word_with_a_colon_is_the_tag_or_a_host_in_the_manner_of_cisco(
    text: str, expected: Envelope
) -> None:
    assert prefix(text) == expected


@pytest.mark.parametrize(
    ("stamp", "when"),
    [
        ("Nov  4 10:00:00", 1_793_786_400_000),
        ("Nov 4 10:00:00", 1_793_786_400_000),
        ("Nov 24 10:00:00.123", NOW + 123),
        ("Nov 24 10:00:00,123", NOW + 123),
        ("Nov 24 10:00:00Z", NOW),
        ("Nov 24 10:00:00 UTC", NOW),
        ("Nov 24 11:00:00 CET", NOW),
        ("Nov 24 11:00:00 +01:00", NOW),
        ("Nov 24 10:00:00 IST", None),
        ("Nov 24 10:00:00 2026", NOW),
        ("Jul 24 2019 12:47:36", 1_563_972_456_000),
        ("2019 Jul 24 12:47:36", 1_563_972_456_000),
        (ISO, NOW + 123),
        ("2026-11-24T11:00:00+01:00", NOW),
        ("2026-11-24 10:00:00,123", NOW + 123),
        ("Dec 31 23:59:59", 1_767_225_599_000),
    ],
)
@pytest.mark.parametrize("priority", ["", "<134>", "<134> "])
def test_every_spelling_of_the_time_is_read(priority: str, stamp: str, when: int | None) -> None:
    envelope = prefix(f"{priority}{stamp} ap-1 ")
    assert (envelope.format, envelope.time_text, envelope.host) == ("RFC3164", stamp, "ap-1")
    assert envelope.time(NOW) == when


@pytest.mark.parametrize("lead", ["\ufeff", '"', " ", "\ufeff ", "123 ", '"123 '])
def test_a_mark_quote_or_octet_count_before_the_header_is_stepped_over(lead: str) -> None:
    assert prefix(f"{lead}<134>{STAMP} ap-1 ") == old(host="ap-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"<134>1 {ISO} ap-1 datto 12 ID7 - ",
            Envelope("RFC5424", 134, ISO, "ap-1", "datto", "12", "ID7"),
        ),
        (f"<134>1 {ISO} ap-1 datto - - - \ufeff", Envelope("RFC5424", 134, ISO, "ap-1", "datto")),
        ("<134>1 - - - - - - ", Envelope("RFC5424", 134)),
        (f"1 {ISO} ap-1 datto - - - ", Envelope("RFC5424", None, ISO, "ap-1", "datto")),
        (
            f'<134>1 {ISO} ap-1 d - - [a@1 x="\\]\\"" y="]"][b@1] ',
            Envelope("RFC5424", 134, ISO, "ap-1", "d", None, None, '[a@1 x="\\]\\"" y="]"][b@1]'),
        ),
    ],
)
def test_rfc_5424_is_read_and_its_nil_is_absent(text: str, expected: Envelope) -> None:
    assert prefix(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<134>1 {ISO} ", Envelope("RFC5424", 134, ISO)),
        (f"<134>1 {ISO} ap-1 ", Envelope("RFC5424", 134, ISO, "ap-1")),
        (f"<134>1 {ISO} ap-1 datto ", Envelope("RFC5424", 134, ISO, "ap-1", "datto")),
        (f"<134>1 {ISO} ap-1 datto: ", Envelope("RFC5424", 134, ISO, "ap-1", "datto")),
        (f"<134>1 {ISO} ap-1 d 1 m ", Envelope("RFC5424", 134, ISO, "ap-1", "d", "1", "m")),
        (f'<134>1 {ISO} ap-1 d 1 m [a@1 x="cut ', Envelope("RFC5424", 134, ISO, "ap-1")),
    ],
)
def test_an_rfc_5424_header_with_fields_left_out_is_read_as_far_as_it_goes(
    text: str, expected: Envelope
) -> None:
    assert prefix(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"<134>{STAMP} relay <13>Nov 24 09:59:59 ap-1 hostapd: ",
            old(13, "Nov 24 09:59:59", "ap-1", "hostapd"),
        ),
        (f"<134>{STAMP} relay Nov 24 09:59:59 ap-1 ", old(134, "Nov 24 09:59:59", "ap-1")),
        (f"<134>{STAMP} relay fwd: <13>ap-1 ", old(13, STAMP, "ap-1")),
        (f"<134>{STAMP} relay <13>Nov 24 09:59:59 ", old(13, "Nov 24 09:59:59", "relay")),
        (f"<134>{STAMP} Nov 24 09:59:59 ap-1 ", old(134, "Nov 24 09:59:59", "ap-1")),
        (
            f"<134>1 {ISO} relay fwd 1 - - <13>Nov 24 09:59:59 ap-1 ",
            old(13, "Nov 24 09:59:59", "ap-1"),
        ),
        (
            f"<134>{STAMP} relay <13>1 {ISO} ap-1 datto - - - ",
            Envelope("RFC5424", 13, ISO, "ap-1", "datto"),
        ),
    ],
)
def test_the_innermost_header_of_a_relayed_line_describes_the_device(
    text: str, expected: Envelope
) -> None:
    assert prefix(text) == expected


@pytest.mark.parametrize(
    ("text", "app", "pid"), [("hostapd: ", "hostapd", None), ("hostapd[12]: ", "hostapd", "12")]
)
def test_a_tag_alone_is_the_app(text: str, app: str, pid: str | None) -> None:
    assert prefix(text) == Envelope(app=app, pid=pid)


def test_facility_and_severity_are_the_two_parts_of_the_priority() -> None:
    assert (prefix("<134>").facility, prefix("<134>").severity) == (16, 6)
    assert (NO_ENVELOPE.facility, NO_ENVELOPE.severity) == (None, None)
    assert NO_ENVELOPE.time(NOW) is None


@pytest.mark.parametrize(
    ("text", "expected", "body"),
    [
        ("", NO_ENVELOPE, ""),
        ("plain text: here", NO_ENVELOPE, "plain text: here"),
        ("<999>something", NO_ENVELOPE, "<999>something"),
        ("<134>Link is up", old(time_text=None), "Link is up"),
        ("<30>hostapd: wlan0: up", old(30, None, app="hostapd"), "wlan0: up"),
        (
            f"<134>{STAMP} sw-1 link[9]: port 1 up",
            old(134, STAMP, "sw-1", "link", "9"),
            "port 1 up",
        ),
        (f"<134>{STAMP} sw-1 port 1 up", old(host="sw-1"), "port 1 up"),
        (
            f"<134>{STAMP} sw-1 %LINK-3-UPDOWN: port 1 up",
            old(host="sw-1"),
            "%LINK-3-UPDOWN: port 1 up",
        ),
        (f"<134>{STAMP} sw-1 {ISO} port 1 up", old(host="sw-1"), f"{ISO} port 1 up"),
        (
            f"<134>{STAMP} relay <13>Nov 24 09:59:59 sw-1 link: up",
            old(13, "Nov 24 09:59:59", "sw-1", "link"),
            "up",
        ),
        (
            f'<134>1 {ISO} sw-1 d 1 m [a@1 x="y"] \ufeff"quoted" text',
            Envelope("RFC5424", 134, ISO, "sw-1", "d", "1", "m", '[a@1 x="y"]'),
            '"quoted" text',
        ),
        (f"<134>1 {ISO} sw-1 link is down", Envelope("RFC5424", 134, ISO, "sw-1"), "link is down"),
    ],
)
def test_a_record_that_is_not_cef_is_split_into_header_and_body(
    text: str, expected: Envelope, body: str
) -> None:
    assert record(text) == (expected, body)


@pytest.mark.parametrize(
    ("before", "header"),
    [
        ("", "CEF:1|Datto|"),
        ("", "CEF: 1|Datto|"),
        ("", "CEF:\t1|Datto|"),
        ("", "CEF:1.2|Datto|"),
        ("", "CEF:26|Datto|"),
        ("<134>", "CEF:0|Other|"),
        (f"<134>{STAMP} ap-1 ", "CEF:1|Datto|AccessPoint| msg=CEF:0|x|"),
        (f"<134>{STAMP} CEF: ", "CEF:1|Datto|"),
        ("CEF:x CEF:|", "CEF:1|Datto|"),
        (f'<134>1 {ISO} h a - - [a@1 x="CEF:1|Datto|\\]"] ', "CEF:1|Datto|"),
        (f'<134>1 {ISO} h a - - [a@1 x="CEF:1|Datto|\\]"] ', "CEF: 1.0|Datto|"),
        (f'<134>{STAMP} r <134>1 {ISO} h a - - [a@1 x="CEF:1|D|"] ', "CEF:1|Datto|"),
        ('key="value" ', "CEF:1|Datto|"),
    ],
)
def test_the_cef_header_is_found(before: str, header: str) -> None:
    assert cef_start(before + header) == len(before)


def test_structured_data_that_never_close_hide_nothing() -> None:
    before = f'<134>1 {ISO} h a - - [a@1 x="'
    assert cef_start(before + "CEF:1|Datto|") == len(before)


@pytest.mark.parametrize("header", ["1|Datto|", "0|datto|AccessPoint|", "1.0|DATTO|Secure Edge|"])
@pytest.mark.parametrize(
    "before",
    [
        "",
        "<134>",
        f"<134>{STAMP} ",
        f"<134>{STAMP} ap-1 ",
        f"<134>{STAMP} ap-1 cef[1]: ",
        "\ufeff",
        f"<134>1 {ISO} ap-1 a - - - ",
        f'<134>1 {ISO} ap-1 a - - [a@1 x="CEF:1|D|"] ',
    ],
)
def test_a_datto_header_whose_cef_was_eaten_counts(before: str, header: str) -> None:
    assert cef_start(before + header) == len(before)
    assert prefix(before).format in ("", "RFC3164", "RFC5424")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CEF:",
        "CEF:1",
        "CEF:x|",
        "CEF:  1|",
        "CEF:1.|",
        "cef:1|Datto|",
        "1|Other|",
        "|Datto|",
        "said 1|Datto|",
        f"<134>{STAMP} sw-1 said 1|Datto|",
        f"<134>{STAMP} sw-1 port 1 up",
        "CEF:\u0661|Datto|",
        f'<134>1 {ISO} h a - - [a@1 x="CEF:1|D|"] no',
    ],
)
def test_what_is_not_cef_has_no_start(text: str) -> None:
    assert cef_start(text) == -1


PIECES = st.sampled_from(
    [
        "<134>",
        "<13>",
        "<999>",
        "1 ",
        STAMP,
        "Nov  4 10:00:00",
        ISO,
        " ",
        "-",
        "- ",
        "ap-1",
        "UTC",
        "2026",
        "192.0.2.7",
        "2001:db8::7",
        "tag:",
        "tag[1]:",
        ":",
        "[a@1 ",
        'x="',
        '"',
        "]",
        "\\",
        "CEF:",
        "CEF:1|",
        "1|Datto|",
        "|",
        "\ufeff",
        "\n",
        "45: ",
        "Nov",
        "\u00e9",
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=60))
def test_no_text_raises_and_no_body_is_invented(text: str) -> None:
    envelope, body = record(text)
    assert text.endswith(body)
    assert envelope.priority is None or 0 <= envelope.priority <= 191
    start = cef_start(text)
    assert start < 0 or text[start : start + 1] in "C0123456789"
    prefix(text[:start] if start >= 0 else text).time(NOW)


@given(
    st.sampled_from(["<134>", "<999>", ""]),
    st.sampled_from([STAMP, "Nov  4 10:00:00", ISO]),
    st.sampled_from(
        ["ap-1", "AP1", "UTC", "IST", "2026", "192.0.2.7", "a_b.test", "-x", "x-", "é"]
    ),
    st.sampled_from([" ", "", "  ", ": "]),
)
def test_the_short_way_reads_what_the_long_way_reads(
    priority: str, stamp: str, host: str, tail: str
) -> None:
    text = f"{priority}{stamp} {host}{tail}"
    assert syslog._read_prefix(text) == syslog._scan(text, True)[0]


def test_a_flood_of_headers_is_read_to_a_bounded_depth() -> None:
    envelope, body = record("<1>" * 20_000)
    assert envelope == old(1, None)
    assert len(body) == 3 * (20_000 - 8)
