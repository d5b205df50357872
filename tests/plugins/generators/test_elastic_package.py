"""The generated package has the layout and the properties Elastic's package specification asks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from datto_siem.converters.schemas import ecs
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators.elastic_package import KNOWN_DIFFERENCES, files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CONTEXT = Context("1.2.3.dev4")
_STREAM = "datto/data_stream/log"
_PIPELINE = f"{_STREAM}/elasticsearch/ingest_pipeline/default.yml"
_PROCESSORS = {  # of package-spec's list
    "append", "geoip", "pipeline", "registered_domain", "remove", "rename", "script", "set",
}  # fmt: skip


@pytest.fixture(scope="module", name="made")
def generated() -> Mapping[str, bytes]:
    return files(_CONTEXT)


def read(made: Mapping[str, bytes], path: str) -> Any:
    return yaml.safe_load(made[path])


def leaves(document: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for name, value in document.items():
        path = f"{at}{name}"
        if isinstance(value, dict) and path != "datto.extensions":
            yield from leaves(value, f"{path}.")
        else:
            yield path


def test_writing_again_gives_the_same_bytes(made: Mapping[str, bytes]) -> None:
    assert files(_CONTEXT) == made


def test_what_the_specification_requires_is_there(made: Mapping[str, bytes]) -> None:
    assert {
        "README.md",
        "datto/manifest.yml",
        "datto/changelog.yml",
        "datto/docs/README.md",
        "datto/_dev/build/build.yml",
        f"{_STREAM}/manifest.yml",
        f"{_STREAM}/sample_event.json",
        f"{_STREAM}/fields/base-fields.yml",
        _PIPELINE,
    } <= made.keys()


def test_manifests_hold_together(made: Mapping[str, bytes]) -> None:
    manifest = read(made, "datto/manifest.yml")
    for name in ("format_version", "name", "title", "version", "description", "type", "owner"):
        assert manifest[name], name
    assert manifest["version"] == read(made, "datto/changelog.yml")[0]["version"] == "1.2.3"
    stream = read(made, f"{_STREAM}/manifest.yml")
    inputs = [each["type"] for each in manifest["policy_templates"][0]["inputs"]]
    assert [each["input"] for each in stream["streams"]] == inputs
    assert read(made, "datto/_dev/build/build.yml")["dependencies"]["ecs"]["reference"] == (
        "git@v8.11.0"
    )


def test_every_variable_is_used_by_its_template_and_no_other_is(made: Mapping[str, bytes]) -> None:
    for stream in read(made, f"{_STREAM}/manifest.yml")["streams"]:
        text = made[f"{_STREAM}/agent/stream/{stream['template_path']}"].decode()
        used = set(re.findall(r"\{\{(?:#if |#each )?([a-z_]+)", text)) - {"contains", "tag", "path"}
        assert used - {"if", "each"} == {each["name"] for each in stream["vars"]}
        for each in stream["vars"]:
            assert {"name", "type", "title", "multi", "required", "show_user"} <= each.keys()


def test_the_pipeline_keeps_the_rules_of_packages(made: Mapping[str, bytes]) -> None:
    text = made[_PIPELINE].decode()
    assert text.startswith("---\n")
    pipeline = yaml.safe_load(text)
    assert set(pipeline) == {"description", "processors", "on_failure"}
    every = [*pipeline["processors"], *pipeline["on_failure"]]
    assert {kind for each in every for kind in each} <= _PROCESSORS
    tags = [row["tag"] for each in every for row in each.values()]
    assert len(tags) == len(set(tags))
    rename = next(each["rename"] for each in every if "rename" in each)
    assert (rename["field"], rename["target_field"], rename["if"]) == (
        "message",
        "event.original",
        "ctx.event?.original == null",
    )
    removed = next(each["remove"] for each in every if "remove" in each)
    assert (removed["field"], removed["if"]) == ("message", "ctx.event?.original != null")


def test_every_field_of_a_document_is_declared(made: Mapping[str, bytes]) -> None:
    declared: dict[str, dict[str, Any]] = {}
    for name in ("base-fields", "ecs", "fields", "agent"):
        for row in read(made, f"{_STREAM}/fields/{name}.yml"):
            assert row["name"] not in declared, "declared twice"
            declared[row["name"]] = row
    known = ecs("8.11.0").fields
    for name, row in declared.items():
        assert row.get("external") == "ecs" or row["description"], name
        assert row.get("external") != "ecs" or name in known, name
    documents = [json.loads(made[f"{_STREAM}/sample_event.json"])]
    for path, content in made.items():
        if path.endswith("-expected.json"):
            documents += json.loads(content)["expected"]
    assert len(documents) > 20
    for document in documents:
        assert set(leaves(document)) <= declared.keys()


def test_there_is_one_expected_document_a_record(made: Mapping[str, bytes]) -> None:
    logs = [path for path in made if path.endswith(".log")]
    assert len(logs) == 4
    for path in logs:
        lines = made[path].decode().splitlines()
        expected = json.loads(made[f"{path}-expected.json"])["expected"]
        assert [each["event"]["original"] for each in expected] == lines
        assert all("preserve_original_event" in each["tags"] for each in expected)


def test_documented_events_have_a_clean_record(made: Mapping[str, bytes]) -> None:
    for name in ("access-point", "secure-edge"):
        path = f"{_STREAM}/_dev/test/pipeline/test-{name}.log-expected.json"
        for document in json.loads(made[path])["expected"]:
            if "datto_unmapped_event" not in document["tags"]:
                warnings = document["datto"].get("parse", {}).get("warnings", [])
                assert set(warnings) <= {"inferred"}, document["event"]["original"]


def test_the_readmes_tell_stamp_fields_and_differences(made: Mapping[str, bytes]) -> None:
    assert _CONTEXT.stamp in made["README.md"].decode()
    for row in KNOWN_DIFFERENCES:
        assert row.reason in made["README.md"].decode()
    assert "`datto.wifi.ssid`" in made["datto/docs/README.md"].decode()


def test_an_overlay_reaches_pipeline_and_tests(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "targets").mkdir()
    (tmp_path / "sources" / "access_point.yaml").write_text(
        "events:\n  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac, cs2, dmac]}\n"
    )
    text = '{{ IngestPipeline "x" }} \u2028 \x7f \U0001f600 #: \'"'
    (tmp_path / "targets" / "ecs.yaml").write_text(yaml.safe_dump({"rows": {"datto.site": text}}))
    made = files(Context("1.2.3", overlay=tmp_path))
    assert "IngestPipeline" in made[_PIPELINE].decode()
    assert "{{ IngestPipeline" not in made[_PIPELINE].decode()
    (convert,) = [
        each["script"]
        for each in read(made, _PIPELINE)["processors"]
        if each.get("script", {}).get("tag") == "script_convert"
    ]
    assert ["datto.site", ["const", text]] in convert["params"]["steps"]
    assert b"|wifi|roam|" in made[f"{_STREAM}/_dev/test/pipeline/test-access-point.log"]
    assert "datto.site" in {row["name"] for row in read(made, f"{_STREAM}/fields/fields.yml")}
