"""The artefact for Vector: its files, what stands in them, and the literals they are made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import _vrl, vector

FOLDER = Path(vector.__file__).parent / "vrl"


@pytest.mark.parametrize("target", vector.TARGETS)
def test_the_same_bytes_again(target: str) -> None:
    found = generate("vector", target)
    assert found == generate("vector", target)
    assert sorted(found) == [
        "README.md",
        "document.vrl",
        "fields.vrl",
        "pairs.vrl",
        "record.vrl",
        "vector.yaml",
    ]


def test_every_file_says_what_made_it() -> None:
    context = Context("1.2.3", "ecs")
    for name, content in vector.files(context).items():
        assert context.stamp in content.decode().split("\n\n## ")[0], name


@pytest.mark.parametrize("target", vector.TARGETS)
def test_nothing_is_left_to_fill_in(target: str) -> None:
    for name, content in generate("vector", target).items():
        assert not re.search(r"^ *#> |@[A-Z]+@", content.decode(), re.MULTILINE), name


def test_the_configuration_chains_the_programs() -> None:
    found = generate("vector")
    settings = yaml.safe_load(found["vector.yaml"])
    steps = settings["transforms"]
    inputs = [*settings["sources"]]
    for name in vector.PROGRAMS:
        step = steps.pop(f"datto_{name}")
        assert step["inputs"] == inputs
        assert step["file"].rpartition("/")[2] in found
        inputs = [f"datto_{name}"]
    assert steps == {}
    kept = settings["sinks"]["datto_failed"]["inputs"]
    assert kept == [f"datto_{name}.dropped" for name in vector.PROGRAMS]
    assert settings["sinks"]["datto_out"]["inputs"] == inputs


def test_the_readme_lists_every_event_and_every_difference() -> None:
    context = Context("1", "ocsf")
    readme = generate("vector", "ocsf")["README.md"].decode()
    for row in context.readings():
        assert f"* `{row.id}`: {row.activity}" in readme
    for difference in vector.KNOWN_DIFFERENCES:
        assert difference.reason in readme


def test_no_fact_of_the_tables_stands_in_the_runtime() -> None:
    tables = Context("1", "ecs").tables
    keys = {key for source in tables.sources.values() for key in source.keys if "_" in key}
    assert keys
    for place in FOLDER.glob("*.vrl"):
        words = set(re.findall(r"\w+", place.read_text(encoding="utf-8")))
        assert not words & keys, place.name


def test_an_overlay_with_a_new_event_is_in_the_programs(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/access_point.yaml").write_text(
        "events:\n  wifi/teleport: {activity: wifi.assoc, keys: [rt, smac]}\n"
    )
    found = generate("vector", "ecs", tmp_path)
    for name in ("record.vrl", "pairs.vrl", "fields.vrl", "document.vrl", "README.md"):
        assert b"access_point/wifi/teleport" in found[name], name


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('a"b', '"a\\"b"'),
        ("{{ x }}", '"\\{\\{ x \\}\\}"'),
        ("\\n\n", '"\\\\n\\n"'),
        ("\0\x1b\x7f", '"\\0\\u{1b}\\u{7f}"'),
        (["a", 1, None, True, 1.5], '["a", 1, null, true, 1.500000]'),
        ({"k": {}}, '{ "k": {} }'),
    ],
)
def test_literals(value: object, written: str) -> None:
    assert _vrl.literal(value) == written


@pytest.mark.parametrize("value", ["\ud800", 2**63, 1e-300, {1, 2}])
def test_what_vrl_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        _vrl.literal(value)


def test_patterns_hold_no_quote() -> None:
    assert _vrl.among(["it's", "a.b"]).literal == r"r'^(?:a\x{2E}b|it\x{27}s)$'"
    with pytest.raises(UnicodeEncodeError):
        _vrl.quoted("\udfff")


def test_parts_are_set_in_where_they_are_named() -> None:
    parts = {"outer": "if true {\n  #> inner\n}", "inner": "a = 1\n\nb = 2"}
    assert _vrl.expanded("x\n  #> outer\ny", parts) == (
        "x\n  if true {\n    a = 1\n\n    b = 2\n  }\ny\n"
    )
