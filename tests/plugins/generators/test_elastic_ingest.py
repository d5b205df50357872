"""What holds of the generated ingest pipelines without a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from datto_siem.converters import TableErrors
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators._elastic_json import literal, written
from datto_siem.plugins.generators._elastic_scripts import MOST_CHARACTERS
from datto_siem.plugins.generators.elastic_ingest import CORE, ENTRY, KNOWN_DIFFERENCES, files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BOTH = {"set", "rename", "remove", "append", "script", "pipeline"}
_CONTEXT = Context("1.2.3")


def pipelines(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, body in files(_CONTEXT).items():
        if path.startswith(f"{folder}/_ingest/pipeline/"):
            yield path, json.loads(body)


def test_writing_again_gives_the_same_bytes() -> None:
    assert files(Context("1.2.3")) == files(_CONTEXT)


def test_every_body_is_json_and_the_readme_tells_all() -> None:
    made = files(_CONTEXT)
    readme = made["README.md"].decode()
    assert _CONTEXT.stamp in readme
    for row in KNOWN_DIFFERENCES:
        assert row.reason in readme
    for path, body in made.items():
        if path.endswith(".json"):
            json.loads(body)
            assert f"put {path.split('/', 1)[1].removesuffix('.json')}\n" in readme


@pytest.mark.parametrize("folder", ["elasticsearch", "opensearch"])
def test_every_processor_has_a_tag_of_its_own(folder: str) -> None:
    for path, body in pipelines(folder):
        tags = [
            next(iter(each.values()))["tag"] for each in (*body["processors"], *body["on_failure"])
        ]
        assert len(tags) == len(set(tags)), path


def test_failures_are_told_as_packages_must() -> None:
    for _, body in pipelines("elasticsearch"):
        failure = {kind: row for each in body["on_failure"] for kind, row in each.items()}
        assert (failure["set"]["field"], failure["set"]["value"]) == (
            "event.kind",
            "pipeline_error",
        )
        (said,) = (
            each["append"]["value"]
            for each in body["on_failure"]
            if each.get("append", {}).get("field") == "error.message"
        )
        for name in ("processor_type", "processor_tag", "pipeline", "message"):
            assert f"_ingest.on_failure_{name}" in said


def test_opensearch_gets_only_processors_that_both_have() -> None:
    kinds = {
        kind
        for _, body in pipelines("opensearch")
        for each in (*body["processors"], *body["on_failure"])
        for kind in each
    }
    assert kinds <= _BOTH


def test_both_products_run_the_same_scripts() -> None:
    both = [
        [each["script"]["source"] for each in body["processors"] if "script" in each]
        for folder in ("elasticsearch", "opensearch")
        for path, body in pipelines(folder)
        if path.endswith(f"{CORE}.json")
    ]
    assert both[0] == both[1]
    assert all(len(source) <= MOST_CHARACTERS for source in both[0])


def test_streams_get_the_pipeline_from_their_template() -> None:
    made = files(_CONTEXT)
    template = json.loads(made["opensearch/_index_template/logs-datto.log-raw.json"])
    component = json.loads(made["opensearch/_component_template/datto-pipeline@settings.json"])
    assert "datto-pipeline@settings" in template["composed_of"]
    assert component["template"]["settings"]["index"]["default_pipeline"] == ENTRY


def test_an_overlay_reaches_the_params_and_no_script(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "access_point.yaml").write_text(
        "events:\n  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac]}\n"
    )
    path = f"opensearch/_ingest/pipeline/{CORE}.json"
    before, after = (
        json.loads(files(context)[path])["processors"]
        for context in (_CONTEXT, Context("1.2.3", overlay=tmp_path))
    )
    assert '"wifi/roam"' in json.dumps(after)
    assert '"wifi/roam"' not in json.dumps(before)
    assert [each["script"]["source"] for each in before if "script" in each] == [
        each["script"]["source"] for each in after if "script" in each
    ]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(TableErrors) as caught:
        literal("\ud800")
    assert "surrogate" in str(caught.value.exceptions[0])


def test_two_braces_are_never_written_as_they_are() -> None:
    held = {"{{ a }}": ['{{ IngestPipeline "x" }}', "{{{"]}
    assert "{{" not in written(held)
    assert json.loads(written(held)) == held
