"""The vendor's own example lines, verbatim and filled in: every key comes out in its place."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from lines import QUIRKS, RECEIVED, Line, events, plain, samples, with_quirk

from datto_siem.converters import decode

ROOT = Path(__file__).parents[2]
VENDOR_LINES = (ROOT / "fixtures" / "seed" / "examples.log").read_text("utf-8").splitlines()
SAMPLES = samples()
NAMES = sorted({item.spelling for item in events()})


def pairs_of(sample: str) -> dict[str, str]:
    """The pairs of an example as a person reads them, the missing blank put in."""
    extension = sample.split("|", 7)[7].replace("_IDexternal_id=", "_ID external_id=")
    return dict(re.findall(r"([\w.]+)[=:](.*?)(?= [\w.]+[=:]|$)", extension))


@cache
def fields_of(product: str, event: str) -> dict[str, Any]:
    """Wire key -> field row of the source table, with the event's own rows over the product's."""
    table = yaml.safe_load((ROOT / "mappings/sources" / f"{product}.yaml").read_text("utf-8"))
    return {**table["fields"], **table["events"][event].get("fields", {})}


def colons(mac: str) -> str:
    digits = re.sub("[^0-9A-F]", "", mac.upper())
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


TYPED = {
    "text": str,
    "mac": colons,
    "ip": str.lower,
    "int": int,
    "port": int,
    "lower": str.lower,
    "dns_name": lambda text: text.lower().removesuffix("."),
}


def milliseconds(text: str) -> int:
    """A time text of the corpus as epoch milliseconds, by its width."""
    if "T" in text:
        return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
    whole, _, fraction = text.partition(".")
    if fraction:
        return int(whole) * 1000 + int(fraction)
    return int(whole) * 1000 // 1000 ** ((len(whole) - 10) // 3)


def assert_in_place(line: Line) -> None:
    event = decode(line.raw, received=RECEIVED)
    header = event.header
    assert header is not None
    assert (header.version, header.vendor, header.product, header.device_version) == line.header[:4]
    assert (header.class_id, header.name, header.severity) == line.header[4:]
    assert dict(event.extension) == line.expected
    for key, row in fields_of(line.product, line.event).items():
        cast = TYPED.get(row["as"])
        if not line.expected.get(key) or cast is None:
            continue  # an empty text is an absent value
        assert event.fields[row["is"]] == cast(line.expected[key]), key
    assert event.original == line.raw


def test_every_sample_of_the_tables_is_the_vendors_own_line() -> None:
    assert len(SAMPLES) == 16
    assert sorted(SAMPLES.values()) == sorted(VENDOR_LINES)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_example_decodes_with_every_key_in_its_place(name: str) -> None:
    event = decode(SAMPLES[name], received=RECEIVED)
    assert dict(event.extension) == pairs_of(SAMPLES[name])
    assert "placeholder" in {note.kind for note in event.notes}
    assert "bad_type" not in {note.kind for note in event.notes}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_example_is_known_as_its_event(name: str) -> None:
    product, _, event_name = name.partition(":")
    table = yaml.safe_load((ROOT / "mappings/sources" / f"{product}.yaml").read_text("utf-8"))
    event = decode(SAMPLES[name], received=RECEIVED)
    assert event.reading.activity == table["events"][event_name]["activity"]


@pytest.mark.parametrize("name", NAMES)
def test_a_filled_in_example_decodes_with_every_key_in_its_place(name: str) -> None:
    for seed in range(1, 6):
        assert_in_place(plain(name, seed))


@pytest.mark.parametrize("name", NAMES)
def test_a_filled_in_example_as_documented_needs_no_repair(name: str) -> None:
    event = decode(plain(name).raw, received=RECEIVED)
    assert {note.kind for note in event.notes} <= {"inferred"}


@pytest.mark.parametrize(
    "quirk",
    [
        "equals_separators",
        "mixed_separators",
        "shuffled",
        "glued_pair",
        *(name for name in QUIRKS if name.startswith(("prefix_", "cef_", "trailing_", "ssid_"))),
    ],
)
def test_a_variant_of_an_example_decodes_with_every_key_in_its_place(quirk: str) -> None:
    for line in with_quirk(quirk, 32):
        if line.clean:
            assert_in_place(line)


@pytest.mark.parametrize(
    "quirk",
    [
        "time_seconds",
        "time_fraction",
        "time_microseconds",
        "time_nanoseconds",
        "time_rfc3339",
        "time_rfc3339_offset",
    ],
)
def test_the_event_time_is_read_in_every_unit(quirk: str) -> None:
    keys = ("rt", "event_time", "timestamp", "query_time", "agg_ts")
    for line in with_quirk(quirk, 32):
        event = decode(line.raw, received=RECEIVED)
        text = next(line.expected[key] for key in keys if key in line.expected)
        assert event.time == milliseconds(text), line.raw
        assert "bad_time" not in {note.kind for note in event.notes}
