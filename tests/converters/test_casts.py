"""Casts: every example of the registry, and what the examples cannot say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.converters import casts

NOW = 1_795_514_400_000  # 2026-11-24T10:00:00Z
TYPES = {"text", "int", "float", "bool", "mac", "ip", "time", "duration", "list"}
PYTHON = {"text": str, "mac": str, "ip": str, "int": int, "time": int, "duration": int}
EXAMPLES = [
    pytest.param(cast, text, expected, id=f"{name}-{text!a:.40}")
    for name, cast in casts.CASTS.items()
    for text, expected in cast.examples
]


@pytest.mark.parametrize(("cast", "text", "expected"), EXAMPLES)
def test_every_example_holds(cast: casts.Cast, text: str, expected: object) -> None:
    value = cast.read(text, NOW)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize("name", sorted(casts.CASTS))
def test_every_cast_is_documented_and_shows_success_failure_and_all_parts(name: str) -> None:
    cast = casts.CASTS[name]
    assert cast.name == name
    assert cast.doc.endswith(".")
    assert cast.fails
    assert set(cast.parts.values()) <= TYPES
    values = [value for _, value in cast.examples]
    assert ("", None) in cast.examples
    if set(cast.parts) == {""}:
        assert any(value is not None for value in values)
    else:
        seen = {part for value in values if isinstance(value, dict) for part in value}
        assert seen == set(cast.parts)


def test_the_names_are_those_of_the_tables() -> None:
    assert set(casts.CASTS) == {
        "text",
        "lower",
        "dns_name",
        "int",
        "float",
        "port",
        "mac",
        "ip",
        "time",
        "hostport",
        "uid",
        "email",
        "span",
    }


@pytest.mark.parametrize("name", sorted(casts.CASTS))
@given(text=st.text(max_size=40) | st.from_regex(r"[0-9a-fA-F:.,#& \[\]-]{0,30}", fullmatch=True))
def test_no_text_raises_and_values_have_the_type_of_their_part(name: str, text: str) -> None:
    cast = casts.CASTS[name]
    value = cast.read(text, NOW)
    if value is None:
        return
    parts = value if isinstance(value, dict) else {"": value}
    assert set(parts) <= set(cast.parts)
    for part, found in parts.items():
        assert type(found) is PYTHON.get(cast.parts[part], float)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("AC:86:74:00:00:01", (False, False)),
        ("02:00:5E:10:00:0A", (True, False)),
        ("D6:00:5E:10:00:0A", (True, False)),
        ("01:00:5E:00:00:01", (False, True)),
        ("FF:FF:FF:FF:FF:FF", (True, True)),
        ("00:00:00:00:00:00", (False, False)),
    ],
)
def test_the_first_octet_tells_local_and_group(address: str, expected: tuple[bool, bool]) -> None:
    assert casts.mac_bits(address) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8d6f2c1e-5b7a-4c3d-9e2f-0a1b2c3d4e5f", True),
        ("8D6F2C1E-5B7A-4C3D-9E2F-0A1B2C3D4E5F", True),
        ("02:00:5e:10:00:0a", True),
        ("8d6f2c1e5b7a4c3d9e2f0a1b2c3d4e5f", False),
        ("{8d6f2c1e-5b7a-4c3d-9e2f-0a1b2c3d4e5f}", False),
        ("8d6f2c1e-5b7a-4c3d-9e2f-0a1b2c3d4e5f ", False),
        ("SOFTCLIENT_UUID_OR_APPLIANCE_MAC_ADDR", False),
        ("", False),
    ],
)
def test_only_a_uuid_or_a_mac_may_split_a_glued_pair(text: str, expected: bool) -> None:
    assert casts.is_uid(text) is expected


@pytest.mark.parametrize("separator", [":", " & ", "&", ",", ", ", " ", "#"])
def test_every_separator_of_address_and_port_is_read(separator: str) -> None:
    assert casts.hostport(f"192.0.2.7{separator}53") == {"ip": "192.0.2.7", "port": 53}
    assert casts.hostport(f"[2001:DB8::1]{separator}53") == {"ip": "2001:db8::1", "port": 53}


@pytest.mark.parametrize("text", ["192.0.2.7:99999", "192.0.2.7 & x", "192.0.2.7#", "[192.0.2.7"])
def test_a_bad_port_spoils_the_address_too(text: str) -> None:
    assert casts.hostport(text) is None


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0s", 0),
        ("1ns", 0),
        ("1500us", 1),
        ("1500\u00b5s", 1),
        ("1500\u03bcs", 1),
        ("0.1s", 100),
        ("2540400h10m10.000000000s", None),
        ("72h3m0.5s", 259_380_500),
        ("1m1", None),
        ("h", None),
        ("1d", None),
        ("9" * 70_000 + "s", None),
    ],
)
def test_a_go_duration_is_read_exactly(text: str, length: int | None) -> None:
    value = casts.span(text, NOW)
    assert value is not None
    assert value.get("length") == length
    assert value["all"] == text


def test_a_duration_is_a_length_below_1e9_and_a_date_from_there() -> None:
    assert casts.span("999999999", NOW) == {"all": "999999999", "length": 999_999_999_000}
    assert casts.span("1420070400", NOW) == {"all": "1420070400", "end": 1_420_070_400_000}
    assert casts.span("1420070399", NOW) == {"all": "1420070399"}


def test_a_time_is_measured_against_the_receive_time() -> None:
    assert casts.time("1795514400", 1_795_514_400_000 - 86_400_000) == NOW
    assert casts.time("1795514400", 1_795_514_400_000 - 86_400_001) is None


@pytest.mark.parametrize("text", ["a" * 70_000, "1" * 70_000, ":" * 70_000])
def test_a_long_text_is_refused_and_not_remembered(text: str) -> None:
    assert casts.mac(text) is None
    assert casts.ip(text) is None
    assert casts.hostport(text) is None
    assert casts.integer(text) is None
    assert casts.port(text) is None
    assert casts.number(text) is None
