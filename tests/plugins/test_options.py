"""Options: one dataclass is the type, the schema and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jsonschema
import pytest

from datto_siem.plugins.options import (
    Duration,
    Size,
    build,
    documented,
    duration,
    option,
    schema,
    size,
)
from datto_siem.plugins.secret import Secret


@dataclass(frozen=True)
class Inner:
    ca_file: str | None = option("Authorities to trust", None)
    verify: bool = option("Check the name", True)


@dataclass(frozen=True)
class Outer:
    url: str = option("Where to send", pattern="^https?://")
    token: Secret = option("How we are known")
    form: Literal["raw", "cim"] = option("What is sent", "cim")
    most: Size = option("Most bytes", Size(1000))
    wait: Duration = option("Longest wait", Duration(2.0))
    count: int = option("Most items", 10, minimum=1)
    share: float = option("A share", 0.5)
    fields: dict[str, str] = option("Static fields", {})
    allow: list[str] = option("Networks", [])
    tls: Inner = option("TLS", Inner())


GIVEN: dict[str, Any] = {
    "url": "https://splunk.example",
    "token": {"env": "T"},
    "form": "raw",
    "most": "1.5MB",
    "wait": "250ms",
    "share": 1,
    "fields": {"a": "b"},
    "allow": ["192.0.2.0/24"],
    "tls": {"verify": False},
}


def faults(given: dict[str, Any]) -> list[str]:
    checker = jsonschema.Draft202012Validator(schema(Outer))
    return [error.json_path for error in checker.iter_errors(given)]


def test_toml_values_become_typed_options() -> None:
    assert faults(GIVEN) == []
    made = build(Outer, GIVEN)
    assert made == Outer(
        url="https://splunk.example",
        token=Secret(env="T"),
        form="raw",
        most=Size(1_500_000),
        wait=Duration(0.25),
        share=1.0,
        fields={"a": "b"},
        allow=["192.0.2.0/24"],
        tls=Inner(verify=False),
    )
    assert isinstance(made.share, float)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"url": "ftp://x"}, "$.url"),
        ({"token": "abc"}, "$.token"),
        ({"token": {}}, "$.token"),
        ({"token": {"env": "A", "file": "B"}}, "$.token"),
        ({"token": {"value": "abc"}}, "$.token"),
        ({"form": "ecs"}, "$.form"),
        ({"most": "lots"}, "$.most"),
        ({"most": -1}, "$.most"),
        ({"wait": "5 parsecs"}, "$.wait"),
        ({"count": 0}, "$.count"),
        ({"fields": {"a": 1}}, "$.fields.a"),
        ({"allow": "192.0.2.0/24"}, "$.allow"),
        ({"tls": {"verifi": True}}, "$.tls"),
        ({"urll": "x"}, "$"),
    ],
)
def test_the_schema_refuses_what_the_type_does_not_hold(change: dict[str, Any], path: str) -> None:
    assert path in faults({**GIVEN, **change})


def test_defaults_of_lists_and_tables_are_not_shared() -> None:
    one = build(Outer, {"url": "http://x", "token": {"env": "T"}})
    other = build(Outer, {"url": "http://x", "token": {"env": "T"}})
    one.allow.append("192.0.2.0/24")
    assert other.allow == []


def test_documentation_has_a_row_for_each_option_and_nested_option() -> None:
    rows = {name: (kind, default, doc) for name, kind, default, doc in documented(Outer)}
    assert rows["url"] == ("text", "required", "Where to send")
    assert rows["token"][0] == "secret"
    assert rows["form"][:2] == ("`raw` or `cim`", '"cim"')
    assert rows["most"][0] == "size"
    assert rows["allow"][0] == "list of text"
    assert rows["fields"][0] == "table of text"
    assert rows["tls.verify"][:2] == ("true or false", "true")
    assert rows["tls.ca_file"][1] == ""


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("0", 0),
        ("7", 7),
        ("7B", 7),
        ("1kB", 1000),
        ("1KB", 1000),
        ("64MiB", 64 << 20),
        ("2 G", 2 * 10**9),
    ],
)
def test_sizes(text: str, nbytes: int) -> None:
    assert size(text) == nbytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1.5s", 1.5), ("5m", 300), ("12h", 43200), ("7d", 604800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1..5s", "5", "-1s", "1 w"])
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"30s|could not convert"):
        duration(text)


@pytest.mark.parametrize("text", ["", "MB", "1XB", "-1", "1.2.3MB"])
def test_what_is_no_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"64MB|could not convert"):
        size(text)
