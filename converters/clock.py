"""Times as shapes reckon them: in seconds since a late hour, which are small numbers."""

from __future__ import annotations

from datto_siem.converters import times
from datto_siem.converters.memo import Memo

LATE_HOUR = 277_777
LATE = LATE_HOUR * 3_600
"""Seconds since 1970 from which shapes count: an hour's begin in 2001. What is left is below 2**30,
with which Python reckons twice as fast."""
HOURS: Memo[int, str] = Memo(lambda hour: times.HOURS[hour + LATE_HOUR], 8_192)
"""Hours since `LATE` -> how they are written."""
FRACTIONS = {f"{part:03d}": f".{part:03d}".rstrip("0").rstrip(".") for part in range(1000)}
"""Three decimals -> how they stand behind whole seconds."""
MILLISECONDS = {f"{part:03d}": part for part in range(1000)}
"""Three decimals -> their number."""
