"""What `fluent-bit` writes: files, pipelines, literals, and no fact in its fixed parts."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from yaml import safe_load

from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import _lua
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators.fluent_bit import KNOWN_DIFFERENCES, PARTS, TARGETS, files

if TYPE_CHECKING:
    from pathlib import Path

LUA = resources.files("datto_siem.plugins.generators") / "lua"


def made(target: str, overlay: Path | None = None) -> dict[str, str]:
    found = files(Context("1.2.3", target, overlay))
    return {path: content.decode() for path, content in found.items()}


def pipeline(target: str) -> dict[str, Any]:
    found: dict[str, Any] = safe_load(made(target)["fluent-bit.yaml"])
    return found["pipeline"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("target", TARGETS)
def test_generating_again_gives_the_same_bytes(target: str) -> None:
    first = generate("fluent-bit", target)
    assert dict(first) == dict(generate("fluent-bit", target))
    assert set(first) == {"README.md", "datto.lua", "fluent-bit.yaml", "parsers.conf"}
    assert all(b"\r" not in content and content.endswith(b"\n") for content in first.values())


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_is_filled_and_stamped(target: str) -> None:
    context = Context("1.2.3", target)
    for path, text in made(target).items():
        assert not re.search(r"@[a-z]+@", text), path
        assert context.stamp in text or path == "parsers.conf"
    assert made(target)["datto.lua"].isascii()


@pytest.mark.parametrize("target", TARGETS)
def test_the_readme_lists_variables_and_differences(target: str) -> None:
    found = made(target)
    used = set(re.findall(r"\$\{([A-Z_]+)\}", found["fluent-bit.yaml"]))
    told = set(re.findall(r"^   - `([A-Z_]+)`:", found["README.md"], re.MULTILINE))
    assert used == told
    for row in KNOWN_DIFFERENCES:
        listed = f"| `{row.path}` | {row.when} | {row.reason} |" in found["README.md"]
        assert listed == row.concerns(target)


@pytest.mark.parametrize("target", TARGETS)
def test_the_pipeline_calls_the_script_and_has_an_output_for_it(target: str) -> None:
    parts = pipeline(target)
    assert [row["mode"] for row in parts["inputs"]] == ["udp", "tcp"]
    assert {row["parser"] for row in parts["inputs"]} == {"datto_line"}
    script = parts["filters"][0]
    assert (script["script"], script["call"]) == ("datto.lua", "datto")
    assert script["time_as_table"] is True
    assert re.search(r"^function datto\(tag, timestamp, record\)", made(target)["datto.lua"], re.M)
    assert any(row["match"] == "datto" for row in parts["outputs"])


def test_elastics_stream_is_the_one_the_documents_name() -> None:
    (output,) = pipeline("ecs")["outputs"]
    assert output["index"] == "logs-datto.log-default"
    assert output["id_key"] == "$event['id']"


def test_every_table_of_a_row_has_its_output() -> None:
    data = portable(Context("1.2.3", "asim"), "asim")
    tables = {expr[1] for into, expr in data["steps"] if into == "Type"}
    outputs = pipeline("asim")["outputs"]
    rows = {row["match"]: row["table_name"] for row in outputs if "table_name" in row}
    assert set(rows) == {f"sentinel.{table}" for table in tables}
    assert rows["sentinel.ASimDnsActivityLogs"] == "DattoDns"
    assert all(re.fullmatch("[A-Za-z_]+", table) for table in tables)


def test_fixed_parts_hold_no_mapping_fact() -> None:
    """Canonical fields that sources fill, documents' paths and events stand in tables only."""
    fixed = "".join((LUA / f"{name}.lua").read_text(encoding="utf-8") for name in PARTS)
    context = Context("1.2.3", "ecs")
    facts = {name for name in context.tables.vocabulary.fields if "." in name}
    for target in TARGETS:
        data = portable(context, target)
        facts |= {into for into, _ in data["steps"] if "." in into or into[0].isupper()}
        facts |= {cast["key"] for cast in data["casts"] if "_" in cast["key"]}
        facts |= {name for source in data["sources"] for name in source["names"] if "*" not in name}
    given = {"event.time", "event.time_text"}
    words = set(re.findall(r'"([^"\n]+)"', fixed)) - given
    named = {"text", "undecodable"}  # rows that every set of tables has
    assert words & (facts - named) == {name for name in words if name in GIVEN}


GIVEN = frozenset(
    [
        *(f"header.{name}" for name in ("cef_version", "vendor", "product", "version")),
        *(f"header.{name}" for name in ("class_id", "name", "severity")),
        *(f"syslog.{name}" for name in ("priority", "facility", "severity", "host", "app")),
        *(f"syslog.{name}" for name in ("time", "format", "text")),
        "peer.ip",
    ]
)


def test_an_overlays_event_is_in_the_script_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "access_point.yaml").write_text(
        "events:\n  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac, dmac]}\n"
    )
    found = made("cim", tmp_path)
    assert '"access_point/wifi/roam"' in found["datto.lua"]
    assert "`wifi/roam`" in found["README.md"]
    assert "wifi/roam" not in made("cim")["datto.lua"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nil"),
        (True, "true"),
        (-3, "(-3)"),
        (1.5, "1.5"),
        ('"]]\n\\0\x00\u00e9', '"\\034]]\\010\\0920\\000\\195\\169"'),
        (
            ["a", None, {"end": 1, "b c": False, "d": {}}],
            '{"a",nil,{["end"]=1,["b c"]=false,d={}}}',
        ),
        ((), "{}"),
    ],
)
def test_literals_read_as_written(value: Any, text: str) -> None:
    assert _lua.literal(value) == text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\ud83d", "surrogate"),
        (float("inf"), "no number"),
        (float("nan"), "no number"),
        (2**53 + 1, "no number"),
    ],
)
def test_what_lua_cannot_hold_is_refused(value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        _lua.literal({"a": [value]})


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        _lua.literal({1})


def test_a_tables_parts_stand_row_by_row() -> None:
    text = _lua.table(
        {"rows": [{"a": 1}, ["b"]], "words": ["c", "d"], "map": {"e": {}}, "none": []}
    )
    assert text == (
        '{\n  rows = {\n    {a=1},\n    {"b"},\n  },\n'
        '  words = {"c","d"},\n  map = {\n    e={},\n  },\n  none = {},\n}'
    )
    assert json.dumps(text).isascii()
