"""Times: what is read, what is refused, and how it is written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.converters import times
from datto_siem.converters.memo import Memo

NOW = 1_795_514_400_000  # 2026-11-24T10:00:00Z


def moment(*parts: int) -> int:
    """Epoch milliseconds worked out by the standard library, not by the code under test."""
    year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
    whole = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    return int(whole.timestamp()) * 1_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1795514400", NOW),
        ("99999999999", 99_999_999_999_000),
        ("100000000000", 100_000_000_000),
        ("1795514400123", NOW + 123),
        ("99999999999999", 99_999_999_999_999),
        ("100000000000000", 100_000_000_000),
        ("1795514400123999", NOW + 123),
        ("99999999999999999", 99_999_999_999_999),
        ("100000000000000000", 100_000_000_000),
        ("1795514400123999999", NOW + 123),
    ],
)
def test_the_size_of_a_number_tells_its_unit(text: str, expected: int) -> None:
    assert times.epoch(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1732406400.123", 1_732_406_400_123),
        ("1732406400.1", 1_732_406_400_100),
        ("1732406400.0009", 1_732_406_400_000),
        ("1732406400.999999999", 1_732_406_400_999),
        ("1732406400123.9", 1_732_406_400_123),
        ("1732406400.29", 1_732_406_400_290),
    ],
)
def test_decimals_are_cut_to_milliseconds_without_float_error(text: str, expected: int) -> None:
    assert times.epoch(text) == expected


def test_a_leading_zero_is_not_octal() -> None:
    assert times.epoch("010") == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e9",
        "1_0",
        "0x1",
        " 1",
        "1 ",
        ".5",
        "5.",
        "1.2.3",
        "1.-2",
        "1,5",
        "12345678901234567890",
        "1." + "0" * 19,
        "\u0661\u0662",
        "1\u00b2",
        "9" * 5_000,
        "now",
    ],
)
def test_what_is_not_a_plain_number_is_refused(text: str) -> None:
    assert times.epoch(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T10:00:00Z", NOW),
        ("2026-11-24t10:00:00z", NOW),
        ("2026-11-24 10:00:00", NOW),
        ("2026-11-24T10:00:00.1Z", NOW + 100),
        ("2026-11-24T10:00:00,123", NOW + 123),
        ("2026-11-24T10:00:00.123456789Z", NOW + 123),
        ("2026-11-24T11:00:00+01:00", NOW),
        ("2026-11-24T04:30:00-0530", NOW),
        ("2026-11-24T10:00:00-00:00", NOW),
        ("2024-02-29T00:00:00Z", moment(2024, 2, 29)),
        ("1970-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_rfc_3339_and_its_relatives_are_read(text: str, expected: int) -> None:
    assert times.rfc3339(text) == expected


def test_a_leap_second_stays_in_its_own_minute() -> None:
    assert times.rfc3339("2016-12-31T23:59:60Z") == moment(2016, 12, 31, 23, 59, 59) + 999
    assert times.rfc3339("2016-12-31T23:59:60.5Z") == moment(2016, 12, 31, 23, 59, 59) + 999


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T10:60:00Z",
        "2026-11-24T10:00:61Z",
        "2026-11-24T10:00:00+24:00",
        "2026-11-24T10:00:00+01:60",
        "2026-11-24T10:00:00.1234567890Z",
        "2026-11-24T10:00:00.Z",
        "2026-11-24T10:00Z",
        "2026-11-24",
        "2026-11-24T10:00:00 Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00Z",
        "2026-11-2\u0664T10:00:00Z",
        "",
    ],
)
def test_an_impossible_date_is_refused(text: str) -> None:
    assert times.rfc3339(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # the eight forms of the CEF standard
        ("Nov 24 09:59:58", NOW - 2_000),
        ("Nov 24 09:59:58.123", NOW - 1_877),
        ("Nov 24 09:59:58 UTC", NOW - 2_000),
        ("Nov 24 09:59:58.123 UTC", NOW - 1_877),
        ("Nov 24 2026 09:59:58", NOW - 2_000),
        ("Nov 24 2026 09:59:58.123", NOW - 1_877),
        ("Nov 24 2026 09:59:58 GMT+01:00", NOW - 2_000 - times.HOUR),
        ("Nov 24 2026 09:59:58.123 GMT-01:00", NOW - 1_877 + times.HOUR),
    ],
)
def test_the_eight_forms_of_the_standard_are_read(text: str, expected: int) -> None:
    assert times.cef_text(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov  4 10:00:00", moment(2026, 11, 4, 10)),
        ("Nov 4 10:00:00", moment(2026, 11, 4, 10)),
        ("Nov 04 10:00:00", moment(2026, 11, 4, 10)),
        ("nov 24 10:00:00", NOW),
        ("NOV 24 10:00:00", NOW),
        ("Nov 24 10:00:00,123", NOW + 123),
        ("Nov 24 10:00:00Z", NOW),
        ("Nov 19, 2014 18:21:13 EST", moment(2014, 11, 19, 23, 21, 13)),
        ("Jul 24 2019 12:47:36", moment(2019, 7, 24, 12, 47, 36)),
        ("2019 Jul 24 12:47:36", moment(2019, 7, 24, 12, 47, 36)),
        ("Tue Nov 24 10:00:00 2026", NOW),
        ("Tue Nov 24 11:00:00 CET 2026", NOW),
        ("3/30/2022 10:55:34 AM", moment(2022, 3, 30, 10, 55, 34)),
        ("3/30/2022 12:00:00 AM", moment(2022, 3, 30)),
        ("3/30/2022 12:00:00 PM", moment(2022, 3, 30, 12)),
        ("03/30/2022 1:00:00 pm CEST", moment(2022, 3, 30, 11)),
    ],
)
def test_what_is_met_beside_the_standard_is_read(text: str, expected: int) -> None:
    assert times.cef_text(text, NOW) == expected


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Z", 0),
        ("UTC", 0),
        ("EST", -5),
        ("PDT", -7),
        ("CET", 1),
        ("CEST", 2),
        ("BST", 1),
        ("JST", 9),
        ("ACST", 9.5),
        ("+0530", 5.5),
        ("-05:00", -5),
        ("GMT+5", 5),
        ("UTC-03:30", -3.5),
    ],
)
def test_a_zone_is_a_name_or_an_offset(zone: str, hours: float) -> None:
    expected = NOW - int(hours * times.HOUR)
    assert times.cef_text(f"Nov 24 2026 10:00:00 {zone}", NOW) == expected
    assert times.cef_text("Nov 24 2026 10:00:00", NOW, zone) == expected


def test_a_zone_in_the_text_wins_over_the_zone_of_the_caller() -> None:
    assert times.cef_text("Nov 24 2026 11:00:00 CET", NOW, "JST") == NOW


@pytest.mark.parametrize("zone", ["IST", "AST", "XYZ", "GMT+24", "GMT+01:60", "+99:00"])
def test_an_unknown_or_ambiguous_zone_gives_no_time(zone: str) -> None:
    assert times.cef_text(f"Nov 24 2026 10:00:00 {zone}", NOW) is None
    assert times.cef_text("Nov 24 2026 10:00:00", NOW, zone) is None


@pytest.mark.parametrize(
    ("text", "received", "expected"),
    [
        ("Dec 31 23:59:59", moment(2027, 1, 1), moment(2026, 12, 31, 23, 59, 59)),
        ("Jan  1 00:00:05", moment(2026, 12, 31, 23, 59), moment(2027, 1, 1, 0, 0, 5)),
        ("Nov 25 10:00:00", NOW, NOW + times.DAY),
        ("Nov 25 10:00:01", NOW, moment(2025, 11, 25, 10, 0, 1)),
        ("Feb 29 12:00:00", moment(2025, 1, 10), moment(2024, 2, 29, 12)),
        ("Jan  1 00:30:00 JST", moment(2026, 12, 31, 15, 31), moment(2026, 12, 31, 15, 30)),
        ("Dec 31 23:30:00 PST", moment(2027, 1, 1, 7, 31), moment(2027, 1, 1, 7, 30)),
    ],
)
def test_a_date_without_a_year_gets_the_nearest_one(
    text: str, received: int, expected: int
) -> None:
    assert times.cef_text(text, received) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nov",
        "Foo 24 10:00:00",
        "Nov 31 10:00:00",
        "Nov 0 10:00:00",
        "Feb 29 2026 10:00:00",
        "Nov 24 24:00:00",
        "Nov 24 10:00",
        "24 Nov 10:00:00",
        "3/30/2022 10:55:34",
        "Feb 29 10:00:00",
        "30/3/2022 10:55:34 AM",
        "3/30/2022 13:55:34 AM",
        "3/30/2022 0:55:34 AM",
        "3/30/2022",
        "Nov 24 1969 10:00:00",
        "Nov 24 10:00:00 " + "A" * 70_000,
        "TIME_SINCE_EPOCH",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    assert times.cef_text(text, NOW) is None


@pytest.mark.parametrize(
    "text", ["1795514400", "1795514400000", "2026-11-24T10:00:00Z", "Nov 24 10:00:00"]
)
def test_read_takes_every_form(text: str) -> None:
    assert times.read(text, NOW) == NOW


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (moment(2015, 1, 1) - 1, False),
        (moment(2015, 1, 1), True),
        (NOW + times.DAY, True),
        (NOW + times.DAY + 1, False),
        (0, False),
    ],
)
def test_the_sanity_window_is_2015_to_a_day_ahead(when: int, expected: bool) -> None:
    assert times.plausible(when, NOW) is expected


def test_a_time_is_written_with_three_decimals() -> None:
    assert times.iso(NOW + 7) == "2026-11-24T10:00:00.007Z"
    assert times.iso(0) == "1970-01-01T00:00:00.000Z"


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_read_back(when: int) -> None:
    text = times.iso(when)
    whole = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=when)
    assert text == whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert times.rfc3339(text) == when


@given(st.text(alphabet=st.sampled_from("0123456789 :-+.,/TZANovJan\u0663"), max_size=40))
def test_no_text_raises_or_leaves_the_years_that_can_be_written(text: str) -> None:
    when = times.read(text, NOW)
    assert when is None or len(times.iso(when)) == 24


def test_a_memo_is_emptied_when_full_and_still_right() -> None:
    asked: list[int] = []

    def double(key: int) -> int:
        asked.append(key)
        return key * 2

    memo = Memo(double, 3)
    assert [memo[key] for key in (1, 2, 1, 3, 4, 1)] == [2, 4, 2, 6, 8, 2]
    assert asked == [1, 2, 3, 4, 1]
    assert len(memo) == 2
