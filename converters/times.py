"""Times: texts to epoch milliseconds and back. Owns every rule about dates, zones and units.

In memory a time is an `int`, milliseconds since 1970-01-01T00:00Z. No function here raises on a
text; what is not a time, or lies outside 1970 to 9999, is `None`. Finer parts than a millisecond
are cut off, never rounded, so that other languages can do the same with whole numbers.

Decisions:
    A leap second (`:60`) is read as `:59.999`: it stays in its own minute and day.
    A text without a zone is UTC, unless the caller knows better (`zone`).
    A zone name with several meanings (`IST`, `AST` ..) or none gives `None`, not a guess: the
    caller then falls back to the syslog or receive time, which is seconds off and not hours.
    US names are those of RFC 5322 section 4.3; `BST` is the British one.
"""

from __future__ import annotations

import re
from datetime import date

from datto_siem.converters.memo import Memo

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

FLOOR = 1_420_070_400_000  # 2015-01-01, before any of these products
_END = 253_402_300_800_000  # 10000-01-01
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_LONGEST = 64  # no form below comes near; keeps hostile texts away from the patterns
_MOST_DIGITS = 19  # epoch nanoseconds until 2286

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}

_NAMES_BY_HOURS = {
    -10.0: "HST",
    -9.0: "AKST",
    -8.0: "PST AKDT",
    -7.0: "MST PDT",
    -6.0: "CST MDT",
    -5.0: "EST CDT",
    -4.0: "EDT",
    -3.5: "NST",
    -3.0: "ADT",
    -2.5: "NDT",
    0.0: "Z UTC GMT UT WET",
    1.0: "BST CET WEST",
    2.0: "CEST EET SAST",
    3.0: "EEST MSK",
    8.0: "AWST HKT SGT",
    9.0: "JST KST",
    9.5: "ACST",
    10.0: "AEST",
    10.5: "ACDT",
    11.0: "AEDT",
    12.0: "NZST",
    13.0: "NZDT",
}
ZONES = {
    name: int(hours * HOUR) for hours, names in _NAMES_BY_HOURS.items() for name in names.split()
}  # name -> milliseconds ahead of UTC
AMBIGUOUS_ZONES = frozenset({"IST", "AST", "SST", "WST", "GST", "BDT"})  # known, never guessed

_CLOCK = r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
_ZONE = r"([A-Za-z]{1,5}(?:[+-][0-9]{1,2}(?::?[0-9]{2})?)?|[+-][0-9]{1,2}:?[0-9]{2})"
_rfc3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
).fullmatch
_named_month = re.compile(
    r"(?:[A-Z][a-z]{2},? +)?(?:([0-9]{4}) +)?([A-Za-z]{3}) +([0-9]{1,2}),? +(?:([0-9]{4}),? +)?"
    + _CLOCK
    + rf"(?: ?{_ZONE})?(?: +([0-9]{{4}}))?"
).fullmatch
_slashed = re.compile(
    rf"([0-9]{{1,2}})/([0-9]{{1,2}})/([0-9]{{4}}),? +{_CLOCK} ?([AaPp])[Mm](?: {_ZONE})?"
).fullmatch
_numeric_zone = re.compile(r"(?:GMT|UTC)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?").fullmatch


def epoch(text: str) -> int | None:
    """Read a number of seconds, milliseconds, microseconds or nanoseconds since 1970.

    The size of the whole part tells the unit: below 1e11 seconds, 1e14 milliseconds, 1e17
    microseconds, else nanoseconds (reference: CEF gives milliseconds, Datto gives no unit).

    Args:
        text: ASCII digits, up to 19, then an optional point and up to 18 decimals. No sign.

    Returns:
        Epoch milliseconds, or `None`.
    """
    if not text.isascii():
        return None
    if text.isdigit():
        fraction = ""
    else:
        text, point, fraction = text.partition(".")
        if not (point and text.isdigit() and fraction.isdigit() and len(fraction) < _MOST_DIGITS):
            return None
    if len(text) > _MOST_DIGITS:
        return None
    value = int(text)
    if value < 100_000_000_000:
        return value * SECOND + (_milliseconds(fraction) if fraction else 0)
    if value < 100_000_000_000_000:
        return value
    if value < 100_000_000_000_000_000:
        return value // 1_000
    return value // 1_000_000


def rfc3339(text: str) -> int | None:
    """Read `2026-11-24T10:00:00.123Z` and its near relatives.

    Takes a blank or a small `t` for the `T`, a small `z`, `+hhmm`, no zone (UTC), and a comma
    before 1 to 9 decimals (ISO 8601).

    Returns:
        Epoch milliseconds, or `None`.
    """
    match = _rfc3339(text)
    if match is None:
        return None
    day, hour, minute, second, fraction, zone = match.groups()
    start = _days[day]
    clock = _clock(hour, minute, second, fraction)
    if start is None or clock is None:
        return None
    if zone is None or zone in "Zz":
        return start + clock
    ahead = _offsets[zone]
    return None if ahead is None else _in_range(start + clock - ahead)


def cef_text(text: str, received: int, zone: str | None = None) -> int | None:
    """Read the textual forms of the CEF standard and what is met beside them.

    `MMM dd[ yyyy] HH:mm:ss[.SSS][ zzz]`, the day padded with a blank or not, a comma after day or
    year, a weekday before it all, the year first or last, a comma before the milliseconds; and
    `M/d/yyyy h:mm:ss AM`. Slashed dates without AM or PM are refused: half the world writes the
    day first.

    A text without a year gets the latest year that puts it at most one day after `received`.

    Args:
        text: The text.
        received: Receive time, epoch milliseconds.
        zone: Zone of a text that names none: a name or an offset as in the text (CEF `dtz`).

    Returns:
        Epoch milliseconds, or `None` also when the zone is unknown or has several meanings.
    """
    if len(text) > _LONGEST:
        return None
    match = _named_month(text)
    if match is None:
        return _read_slashed(text, zone)
    first, name, day, middle, hour, minute, second, fraction, named, last = match.groups()
    month = _MONTHS.get(name.title())
    clock = _clock(hour, minute, second, fraction)
    ahead = _ahead(named or zone)
    if month is None or clock is None or ahead is None:
        return None
    year = first or middle or last
    if year is None:
        return _nearest(month, int(day), clock - ahead, received)
    start = _day(int(year), month, int(day))
    return None if start is None else _in_range(start + clock - ahead)


def read(text: str, received: int, zone: str | None = None) -> int | None:
    """Read a time in any form this module knows; the arguments are those of `cef_text`."""
    when = epoch(text)
    if when is None:
        when = rfc3339(text)
        if when is None:
            when = cef_text(text, received, zone)
    return when


def plausible(when: int, received: int) -> bool:
    """Tell whether an event can have happened then: 2015 to one day after its receipt."""
    return FLOOR <= when <= received + DAY


def iso(when: int) -> str:
    """Write `2026-11-24T10:00:00.123Z`; `when` must lie in the years 1 to 9999."""
    return HOURS[when // HOUR] + CLOCKS[when // SECOND % 3_600] + _TAILS[when % SECOND]


def _read_slashed(text: str, zone: str | None) -> int | None:
    match = _slashed(text)
    if match is None:
        return None
    month, day, year, hour, minute, second, fraction, half, named = match.groups()
    if not 1 <= int(hour) <= 12:
        return None
    start = _day(int(year), int(month), int(day))
    hours = int(hour) % 12 + (12 if half in "Pp" else 0)
    clock = _clock(str(hours), minute, second, fraction)
    ahead = _ahead(named or zone)
    if start is None or clock is None or ahead is None:
        return None
    return _in_range(start + clock - ahead)


def _nearest(month: int, day: int, within: int, received: int) -> int | None:
    """Choose the year of a date without one; `within` is the time of day in UTC."""
    latest = received + DAY
    year = date.fromordinal(latest // DAY + _EPOCH_DAY).year
    for candidate in (year + 1, year, year - 1):  # +1: a zone ahead of UTC on New Year's Eve
        start = _day(candidate, month, day)
        if start is not None and start + within <= latest:
            return _in_range(start + within)
    return None


def _clock(hour: str, minute: str, second: str, fraction: str | None) -> int | None:
    """Milliseconds since midnight, or `None` when a part is out of range."""
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    if seconds == 60:
        return hours * HOUR + minutes * MINUTE + 59_999
    whole = hours * HOUR + minutes * MINUTE + seconds * SECOND
    return whole + _milliseconds(fraction) if fraction else whole


def _milliseconds(fraction: str) -> int:
    return int((fraction + "00")[:3])


def _day(year: int, month: int, day: int) -> int | None:
    """Epoch milliseconds of a midnight, or `None` when there is no such day."""
    try:
        start = (date(year, month, day).toordinal() - _EPOCH_DAY) * DAY
    except ValueError:
        return None
    return start if start >= 0 else None


def _in_range(when: int) -> int | None:
    return when if 0 <= when < _END else None


def _ahead(zone: str | None) -> int | None:
    """Milliseconds ahead of UTC: 0 for no zone, `None` for one that is not understood."""
    if zone is None:
        return 0
    return _offsets[zone] if len(zone) <= _LONGEST else None


def _read_offset(zone: str) -> int | None:
    named = ZONES.get(zone.upper())
    if named is not None:
        return named
    match = _numeric_zone(zone.upper())
    if match is None:
        return None
    sign, whole, part = match.groups()
    minutes = int(part or 0)
    if int(whole) > 23 or minutes > 59:
        return None
    ahead = int(whole) * HOUR + minutes * MINUTE
    return -ahead if sign == "-" else ahead


def _read_day(text: str) -> int | None:
    return _day(int(text[:4]), int(text[5:7]), int(text[8:]))


def _write_hour(hour: int) -> str:
    return f"{date.fromordinal(_EPOCH_DAY + hour // 24).isoformat()}T{hour % 24:02d}:"


_days: Memo[str, int | None] = Memo(_read_day, 512)
_offsets: Memo[str, int | None] = Memo(_read_offset, 256)

HOURS: Memo[int, str] = Memo(_write_hour, 8_192)
"""Hours since 1970 -> `2026-11-24T10:`; no text of a time is remembered whole, few come twice."""
CLOCKS = tuple(f"{second // 60:02d}:{second % 60:02d}." for second in range(3_600))
"""The rest of a written time, to the point before its milliseconds."""
_TAILS = tuple(f"{part:03d}Z" for part in range(SECOND))
