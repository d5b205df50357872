"""Times and lengths in Splunk's eval language, in milliseconds.

A transform takes a value apart (`_splunk_types`); here its parts become a number. `strptime` is
always given a zone, or it would take that of whoever searches.
"""

from __future__ import annotations

from datto_siem.converters.times import DAY, FLOOR, SECOND
from datto_siem.plugins.generators._splunk_eval import NULL, either, present, when

_LATEST = f"(_indextime+{DAY // SECOND})*{SECOND}"  # a day after receipt, which indexing is near to


def _thousandths(fraction: str) -> str:
    return f'tonumber(substr(coalesce({fraction},"") . "000",1,3))'


def time(name: str) -> str:
    """Milliseconds of a time; `name` is what the fields of its parts begin with."""
    number, year = f"{name}_n", f"{name}_y"
    return f"case({present(number)},{_epoch(name)},{present(year)},{_civil(name)})"


def plausible(name: str, then: str, other: str = NULL) -> str:
    """A choice by whether a time lies between 2015 and a day after its receipt."""
    value = time(name)
    return when(f"{value}>={FLOOR} AND {value}<={_LATEST}", then, other)


def _epoch(name: str) -> str:
    """The unit by the number's size; what is finer than a millisecond is cut off its text."""
    digits = f"{name}_n"
    return (
        f"case(len({digits})<=11,tonumber({digits})*1000+{_thousandths(f'{name}_f')},"
        f"len({digits})<=14,tonumber({digits}),"
        f"len({digits})<=17,tonumber(substr({digits},1,len({digits})-3)),"
        f"true(),tonumber(substr({digits},1,len({digits})-6)))"
    )


def _civil(name: str) -> str:
    """A date, its month a number or a name, and a clock with its zone."""
    y, m, d, h, i, o, p, q = (f"{name}_{part}" for part in "ymdhiopq")
    leap = f'{name}_s=="60"'  # a leap second stays in its own minute
    second = when(leap, '"59"', f"{name}_s")
    zone = f'coalesce({o} . {p} . {q},"+0000")'
    text = f'{y} . "-" . {m} . "-" . {d} . " " . {h} . ":" . {i} . ":" . {second} . " " . {zone}'
    form = when(f'match({m},"^[0-9]")', '"%Y-%m-%d %H:%M:%S %z"', '"%Y-%b-%d %H:%M:%S %z"')
    return f"strptime({text},{form})*1000+{when(leap, '999', _thousandths(f'{name}_g'))}"


def span(name: str) -> str:
    """Milliseconds of a length: seconds, or what Go writes (`1h2m3.5s`)."""
    units = zip("hmstuw", ("3600000", "60000", "1000", "1", "0.001", "0.000001"), strict=True)
    total = "+".join(f'tonumber(coalesce({name}_{unit},"0"))*{scale}' for unit, scale in units)
    written = either([present(f"{name}_{unit}") for unit in "hmstuw"])
    return (
        f"case({present(f'{name}_n')},tonumber({name}_n)*1000+{_thousandths(f'{name}_f')},"
        f"{written},floor(round({total},6)))"
    )
