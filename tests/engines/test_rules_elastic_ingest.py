"""The generated ingest pipelines in a real OpenSearch node, held against the converter."""

from __future__ import annotations

import fnmatch
import json
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engine
import pytest
import yaml
from cases import PEER, RECEIVED, SWITCHES
from engine import ENGINES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated
from opensearch import Node, running  # noqa: F401  `running` is a fixture
from rule_corpus import Case, corpus, differences, document, fixtures, hostile, simulated

from datto_siem.converters import Converter
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import elastic_package
from datto_siem.plugins.generators._elastic_json import written
from datto_siem.plugins.generators.elastic_ingest import CORE, ENTRY, KNOWN_DIFFERENCES, files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

pytestmark = pytest.mark.engine
_TIME = "2026-11-24T10:00:00.000Z"
_FOLDER = "opensearch"
_BATCH = 250
_CONDITIONS = {"the record is not UTF-8": lambda case: not _is_utf8(case.line)}
# What would break out of a literal in one language or another.
_NASTY = '"\'\\ ]] """ ${x} {{y}} {{{_ingest.timestamp}}} `z` \t\x00\x1f\x7f\u2028\ufeff\U0001f600'


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _context(overlay: Path | None = None) -> Context:
    return Context(metadata.version("datto-siem"), overlay=overlay)


def _send(node: Node, method: str, path: str, body: bytes) -> Any:
    """Bytes as they are, so that what is proven is the generated file itself."""
    kind = "application/x-ndjson" if path.endswith("_bulk") else "application/json"
    request = urllib.request.Request(  # noqa: S310  http:// on loopback
        node.url + path, body, {"Content-Type": kind}, method=method
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=300) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(error.read()[:2000]) from error


def _install(node: Node, made: Mapping[str, bytes], rename: str = "") -> None:
    """Every file at the path it names, in the order of the artefact; `rename` for pipelines."""
    for path, body in made.items():
        place = path.removeprefix(_FOLDER).removesuffix(".json")
        if path.startswith(f"{_FOLDER}/_ingest") or (path.startswith(_FOLDER) and not rename):
            _send(
                node, "PUT", place + rename, body.replace(CORE.encode(), (CORE + rename).encode())
            )


@pytest.fixture(scope="module", name="cluster")
def installed(node: Node) -> Iterator[Node]:
    _install(node, files(_context()))
    yield node
    node.ask(
        "DELETE", "/_data_stream/logs-datto.log-raw*"
    )  # or other tests would find our template
    node.ask("DELETE", "/_index_template/logs-datto.log-raw")


def _raw(line: bytes, **more: Any) -> dict[str, Any]:
    """A document as an agent sends it."""
    return {
        "message": line.decode("utf-8", "replace"),
        "@timestamp": _TIME,
        "log": {"source": {"address": f"{PEER}:5514"}},
        **more,
    }


def _simulated(
    node: Node, sources: Sequence[Mapping[str, Any]], pipeline: str = ENTRY
) -> list[dict[str, Any]]:
    found = []
    for at in range(0, len(sources), _BATCH):
        body = {"docs": [{"_index": "x", "_source": each} for each in sources[at : at + _BATCH]]}
        answer = _send(
            node, "POST", f"/_ingest/pipeline/{pipeline}/_simulate", json.dumps(body).encode()
        )
        found += [each["doc"]["_source"] for each in answer["docs"]]
    return found


def _matching(case: Case, path: str) -> list[int]:
    """Numbers of the known differences that explain one of a case."""
    return [
        number
        for number, row in enumerate(KNOWN_DIFFERENCES)
        if fnmatch.fnmatchcase(path, row.path) and _CONDITIONS[row.when](case)
    ]


def _compared(cases: Sequence[Case], found: Sequence[Mapping[str, Any]]) -> set[int]:
    """Hold documents against the converter's; the known differences that were needed."""
    converter = Converter("ecs")
    needed: set[int] = set()
    unexplained = []
    for case, got in zip(cases, found, strict=True):
        for path, left, right in differences(document(converter, case), got):
            explained = _matching(case, path)
            needed.update(explained)
            if not explained:
                unexplained.append((case.origin, path, left, right, case.line[:300]))
    assert not unexplained, unexplained[:5]
    return needed


def test_the_whole_corpus_becomes_what_the_converter_makes_of_it(cluster: Node) -> None:
    cases = corpus()
    used = _compared(cases, _simulated(cluster, [_raw(case.line) for case in cases]))
    assert used == set(range(len(KNOWN_DIFFERENCES))), "a difference that no case needs"


def test_mutated_lines_become_what_the_converter_makes_of_them(cluster: Node) -> None:
    cases = list(mutated(2_000, seed=7))
    _compared(cases, _simulated(cluster, [_raw(case.line) for case in cases]))


class Elasticsearch(Node):
    """A node of the other product, the newest whose jars are to be had."""

    jars = ENGINES / "elasticsearch" / "7.10.2.0"
    launcher = Path(__file__).with_name("ElasticLauncher.java")


def test_elasticsearch_runs_the_core_alike(tmp_path: Path) -> None:
    engine.needed(Elasticsearch.present(), "Elasticsearch (.ci/engines/elasticsearch)")
    pipeline = json.loads(files(_context())[f"elasticsearch/_ingest/pipeline/{CORE}.json"])
    del pipeline["_meta"]  # 7.10 knows none yet
    cases = (*fixtures(), *hostile(), *simulated()[::5])
    node = Elasticsearch(tmp_path)
    try:
        node.start()
        _send(node, "PUT", f"/_ingest/pipeline/{CORE}", json.dumps(pipeline).encode())
        _compared(cases, _simulated(node, [_raw(case.line) for case in cases], CORE))
    finally:
        node.kill()


def test_fixtures_have_no_difference_at_all() -> None:
    assert not [case for case in fixtures() if any(test(case) for test in _CONDITIONS.values())]


def test_senders_told_to_be_switches_are_read_as_switches(cluster: Node) -> None:
    made = json.loads(files(_context())[f"{_FOLDER}/_ingest/pipeline/{CORE}.json"])
    (decode,) = [
        each["script"]
        for each in made["processors"]
        if each.get("script", {}).get("tag") == "script_decode"
    ]
    decode["params"]["switches"] = list(SWITCHES)
    _send(cluster, "PUT", "/_ingest/pipeline/told", json.dumps(made).encode())
    cases = [case for case in fixtures() if case.origin.startswith("switch/")]
    converter = Converter("ecs", switches=SWITCHES)
    found = _simulated(cluster, [_raw(case.line) for case in cases], "told")
    expected = [document(converter, case) for case in cases]
    assert found == expected
    assert any(each["observer"].get("type") == "switch" for each in expected)


def test_bulk_into_a_data_stream(cluster: Node) -> None:
    cases, converter = fixtures(), Converter("ecs")
    lines = []
    for case in cases:
        lines += [{"create": {"_id": str(case.ordinal)}}, _raw(case.line)]
    body = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
    answer = _send(cluster, "POST", "/logs-datto.log-raw/_bulk", body)
    assert not answer["errors"], str(answer)[:2000]
    expected = {}
    for case in cases:
        made = document(converter, case)
        made["data_stream"]["namespace"] = "raw"
        expected[str(case.ordinal)] = made
    assert cluster.documents("logs-datto.log-raw") == expected
    query = {"query": {"term": {"client.mac": "DA-A1-19-4C-07-22"}}}
    _, found = cluster.ask("POST", "/logs-datto.log-raw/_search", query)
    assert found["hits"]["total"]["value"] > 0


def test_converted_documents_pass_untouched(cluster: Node) -> None:
    converter = Converter("ecs")
    ready = [document(converter, case) for case in fixtures()]
    assert _simulated(cluster, ready) == ready


def test_what_an_agent_adds_stays_and_names_the_stream(cluster: Node) -> None:
    line = fixtures()[0].line
    agent = {
        "agent": {"type": "filebeat"},
        "data_stream": {"type": "logs", "dataset": "datto.log", "namespace": "acme"},
        "tags": ["forwarded", "site-7"],
    }
    (got,) = _simulated(cluster, [_raw(line, **agent)])
    expected = document(Converter("ecs"), Case(0, "", line))
    expected["data_stream"]["namespace"] = "acme"
    expected["tags"] = [*expected["tags"], "site-7"]
    assert got == {**expected, "agent": {"type": "filebeat"}}


def test_without_a_time_of_receipt_ingest_counts(cluster: Node) -> None:
    (got,) = _simulated(cluster, [{"message": "hello world"}])
    assert got["@timestamp"] == got["event"]["created"] > "2026"
    assert got["event"]["original"] == "hello world"


def test_a_document_without_a_record_says_what_is_missing(cluster: Node) -> None:
    (got,) = _simulated(cluster, [{"@timestamp": _TIME, "tags": "one"}])
    assert got["event"] == {"kind": "pipeline_error"}
    assert "send it in message or event.original" in got["error"]["message"][0]


def test_a_record_that_a_processor_fails_on_is_kept_and_says_why(cluster: Node) -> None:
    (got,) = _simulated(cluster, [{"message": "hello", "@timestamp": "yesterday"}])
    assert got["event"] == {"original": "hello", "kind": "pipeline_error"}
    (said,) = got["error"]["message"]
    assert "script_decode" in said
    assert CORE in said
    assert "_temp" not in got


def test_long_hostile_lines_do_not_stall(cluster: Node) -> None:
    head = b"<134>Nov 24 09:58:20 ap CEF:0|Datto|AccessPoint|7.1.0|wifi|assoc|0|"
    fills = (
        b"\\", b"=", b"|", b" ", b"CEF:0", b"a=", b'="', b"[", b"cs2:", b"9", b"groups.1=",
        b"policy_id=1external_id=", b"\xe2\x80\xa8",
    )  # fmt: skip
    cases = [
        Case(0, "", (start + fill * 70_000)[:65_000]) for fill in fills for start in (head, b"")
    ]
    cases = [case for case in cases if _is_utf8(case.line)]
    converter = Converter("ecs")
    for case, got in zip(
        cases, _simulated(cluster, [_raw(case.line) for case in cases]), strict=True
    ):
        expected = document(converter, case)
        rest = expected.get("datto", {}).get("extensions", {})
        if not any(len(value) > 8_000 for value in rest.values()):
            assert got == expected, case.line[:100]


@pytest.mark.parametrize(
    "line",
    [b"q" * 3_000_000, b"<13>1 - h a p m [" + b"a" * 2_000_000, b"x" + b"\0" * 2_000_000],
    ids=["text", "structured data", "framing"],
)
def test_a_record_of_megabytes_is_never_lost(cluster: Node, line: bytes) -> None:
    (got,) = _simulated(cluster, [_raw(line)])
    assert got["event"]["original"] in (line.decode(), line.decode().rstrip("\0"))
    assert got["event"]["kind"] in ("event", "pipeline_error")


def test_a_value_too_long_for_a_term_is_cut_with_a_warning(cluster: Node) -> None:
    line = b"CEF:0|Datto|AccessPoint|7.1.0|odd|thing|3|long=" + b"x" * 50_000
    (got,) = _simulated(cluster, [_raw(line)])
    assert got["datto"]["extensions"]["long"] == "x" * 8_000
    assert "value-cut:long" in got["datto"]["parse"]["warnings"]
    assert got["event"]["original"] == line.decode()
    body = b'{"create":{}}\n' + json.dumps(_raw(line)).encode() + b"\n"
    assert not _send(cluster, "POST", "/logs-datto.log-rawlong/_bulk", body)["errors"]


def test_an_overlay_with_a_new_event_and_hostile_texts(cluster: Node, tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "targets").mkdir()
    (tmp_path / "sources" / "access_point.yaml").write_text(
        "events:\n  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac, cs2, dmac]}\n"
    )
    text = _NASTY.replace("$", "$$").replace("]] ", "")  # in a template both mean something
    (tmp_path / "targets" / "ecs.yaml").write_text(yaml.safe_dump({"rows": {"datto.site": text}}))
    _install(cluster, files(_context(tmp_path)), "-overlay")
    lines = [
        b"CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300412 cs2:Guest",
        *(case.line for case in fixtures()),
    ]
    cases = [Case(at, "", line) for at, line in enumerate(lines)]
    converter = Converter("ecs", overlay=tmp_path)
    expected = [document(converter, case) for case in cases]
    assert expected[0]["event"]["action"] == "wifi-reassociation"
    assert len(expected[0]["datto"]["site"]) > 30
    assert _simulated(cluster, [_raw(line) for line in lines], f"{ENTRY}-overlay") == expected


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.one_of(
            st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=3),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.none(),
            st.sampled_from([_NASTY, '{{ IngestPipeline "x" }}', "{{{", "\\u007b"]),
        ),
        max_size=4,
    )
)
def test_literals_reach_a_script_as_they_are(node: Node, held: dict[str, Any]) -> None:
    pipeline = {
        "processors": [{"script": {"source": "ctx.found = params.held", "params": {"held": held}}}]
    }
    body = written({"pipeline": pipeline, "docs": [{"_source": {}}]}).encode()
    answer = _send(node, "POST", "/_ingest/pipeline/_simulate", body)
    assert answer["docs"][0]["doc"]["_source"] == {"found": held}


def test_the_time_of_receipt_of_the_corpus_is_the_one_sent() -> None:
    assert json.loads(Converter("ecs").encode(b"x", RECEIVED))["event"]["created"] == _TIME


def test_the_package_passes_its_own_pipeline_tests_without_what_opensearch_lacks(
    node: Node,
) -> None:
    made = elastic_package.files(_context())
    stream = "datto/data_stream/log"
    pipeline = yaml.safe_load(made[f"{stream}/elasticsearch/ingest_pipeline/default.yml"])
    pipeline["processors"] = [
        each for each in pipeline["processors"] if not each.keys() & {"geoip", "registered_domain"}
    ]
    _send(node, "PUT", "/_ingest/pipeline/package", json.dumps(pipeline).encode())
    common = yaml.safe_load(made[f"{stream}/_dev/test/pipeline/test-common-config.yml"])
    for path in [path for path in made if path.endswith(".log")]:
        lines = made[path].decode().splitlines()
        sources = [{"message": line, **common["fields"]} for line in lines]
        found = _simulated(node, sources, "package")
        for each in found:
            assert each["event"].pop("ingested")
        assert found == json.loads(made[f"{path}-expected.json"])["expected"]
    (bare,) = _simulated(node, [{"message": "hello", "@timestamp": _TIME}], "package")
    assert "preserve_original_event" in bare["tags"]  # an undecodable record is always kept
    line = fixtures()[0].line.decode()
    (bare,) = _simulated(node, [{"message": line, "@timestamp": _TIME}], "package")
    assert "original" not in bare["event"]
