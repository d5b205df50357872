"""The Elasticsearch sink against the strict stub: every status, odd answers, names, doctor.

`tests/engines/test_opensearch.py` has a real node, and proves the stub by Elastic's own client.
"""

from __future__ import annotations

import base64
import json
import socket
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from cases import PEER, RECEIVED
from lines import generate
from peers.bulk_stub import BulkStub, Fault, error, refusal

from datto_siem.converters import Converter
from datto_siem.converters.identity import uid
from datto_siem.plugins.options import build, schema
from datto_siem.plugins.record import Record
from datto_siem.plugins.secret import Secret
from datto_siem.plugins.sink import Context, Finding, Item, Level, Next, Sink
from datto_siem.plugins.sinks import elasticsearch
from datto_siem.plugins.sinks._elastic_long import LONGEST_TERM
from datto_siem.plugins.transport import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from datto_siem.plugins.sinks.elasticsearch import Elasticsearch

    Make = Callable[..., Elasticsearch]

STREAM = "logs-datto.log-default"
HTML = b"<html>nginx</html>"
LINE = (
    b"<134>Nov 24 09:58:20 ap CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|rt=1795514300412"
    b" smac=02:00:5E:10:00:03 cs2:Guest dmac:DA:A1:19:4C:07:22 reason:0"
)


@pytest.fixture
def stub() -> Iterator[BulkStub]:
    with BulkStub() as server:
        yield server


@pytest.fixture
def make(stub: BulkStub, tmp_path: Path) -> Iterator[Make]:
    opened: list[Elasticsearch] = []

    def connect(**options: Any) -> Elasticsearch:
        config = elasticsearch.Config(**{"urls": [stub.url], **options})
        opened.append(elasticsearch.connect(config, Context("elastic", tmp_path)))
        return opened[-1]

    yield connect
    for sink in opened:
        sink.close()


def batch(sink: Sink, count: int = 3, start: int = 1) -> list[Item]:
    made = [sink.item(Record(LINE, RECEIVED, PEER, start + at)) for at in range(count)]
    return [item for item in made if item is not None]


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.what: finding.level for finding in findings}


def test_documents_are_the_converters_own_under_stable_ids(stub: BulkStub, make: Make) -> None:
    sink = make()
    given = [
        Record(line.raw, RECEIVED + at, PEER, at) for at, line in enumerate(generate(400, seed=5))
    ]
    items = [sink.item(record) for record in given]
    reply = sink.send([item for item in items if item is not None])
    assert (list(reply.left), dict(reply.rejected), reply.next) == ([], {}, Next.RETRY)
    converter = Converter("ecs")
    stored = stub.documents[STREAM]
    short = 0
    for raw, received, peer, offset in given:
        line = converter.encode(raw, received, peer, None, offset)
        if len(line) > LONGEST_TERM:
            continue
        short += 1
        assert stored[uid(raw, peer, received, offset)] == json.loads(line)
    assert short > 350
    assert len(stored) == 400
    (request,) = stub.bulks
    assert request.path == f"/{STREAM}/_bulk"
    assert request.headers["Content-Encoding"] == "gzip"


def test_a_second_delivery_is_a_success_and_stores_nothing_twice(
    stub: BulkStub, make: Make
) -> None:
    sink = make()
    for _ in range(2):
        reply = sink.send(batch(sink))
        assert (list(reply.left), dict(reply.rejected)) == ([], {})
    assert len(stub.documents[STREAM]) == 3


@pytest.mark.parametrize(
    ("status", "kind", "reason", "then"),
    [
        (400, "document_parsing_exception", "failed to parse field [source.ip]", None),
        (400, "illegal_argument_exception", "pipeline with id [p] does not exist", Next.HALT),
        (400, "illegal_argument_exception", "x pipeline with id [p] does not exist", None),
        (400, "validation_exception", "this action would add [2] shards", Next.HALT),
        (400, "index_closed_exception", "closed", Next.HALT),
        (413, "content_too_large", "one document too large", None),
        (401, "security_exception", "no", Next.HALT),
        (403, "security_exception", "action is unauthorized for API key", Next.HALT),
        (404, "index_not_found_exception", "no such index", Next.HALT),
        (429, "es_rejected_execution_exception", "rejected", Next.RETRY),
        (500, "exception", "boom", Next.RETRY),
        (503, "unavailable_shards_exception", "primary shard is not active", Next.RETRY),
    ],
)
def test_one_item_of_three(
    stub: BulkStub, make: Make, status: int, kind: str, reason: str, then: Next | None
) -> None:
    sink = make()
    items = batch(sink)
    second = json.loads(items[1].body.split(b"\n")[0])["create"]["_id"]
    stub.judge = lambda identity, _: (
        {"status": status, "error": error(kind, reason)} if identity == second else None
    )
    reply = sink.send(items)
    if then is None:
        assert (list(reply.left), list(reply.rejected)) == ([], [1])
        assert reply.rejected[1] == f"{status} {kind}: {reason}"
    else:
        assert (list(reply.left), dict(reply.rejected), reply.next) == ([1], {}, then)
        assert reply.reason.startswith(f"{status} {kind}: {reason}")
    assert len(stub.documents[STREAM]) == 2


def test_refused_busy_and_forbidden_items_of_one_answer_keep_apart(
    stub: BulkStub, make: Make
) -> None:
    sink = make()
    items = batch(sink, 5)
    verdicts = iter([None, 429, 400, 403, None])

    def judge(_identity: str, _document: Any) -> dict[str, Any] | None:
        status = next(verdicts)
        return status and {"status": status, "error": error("kind", f"reason {status}")}

    stub.judge = judge
    reply = sink.send(items)
    assert (list(reply.left), list(reply.rejected), reply.next) == ([1, 3], [2], Next.HALT)
    assert "reason 403" in reply.reason


def test_the_cause_of_a_refusal_is_told_and_cut_short(stub: BulkStub, make: Make) -> None:
    sink = make()
    cause = {"reason": "'x' is not an IP string literal."}
    wrong = {**error("document_parsing_exception", "failed"), "caused_by": cause}
    stub.judge = lambda *_: {"status": 400, "error": wrong}
    assert "not an IP string" in sink.send(batch(sink, 1)).rejected[0]
    stub.judge = lambda *_: {"status": 400, "error": error("kind", "x" * 10_000)}
    assert len(sink.send(batch(sink, 1)).rejected[0]) < 600


def test_the_failure_store_counts_as_diverted(stub: BulkStub, make: Make) -> None:
    sink = make()
    stub.judge = lambda *_: {"status": 201, "failure_store": "used"}
    reply = sink.send(batch(sink))
    assert (list(reply.left), dict(reply.rejected), reply.diverted) == ([], {}, 3)


@pytest.mark.parametrize(
    ("fault", "then", "after"),
    [
        (Fault(413, HTML), Next.SPLIT, None),
        (Fault(400, refusal(400, "parse_exception", "Duplicate field")), Next.SPLIT, None),
        (Fault(400, HTML), Next.HALT, None),
        (Fault(400, refusal(400, "invalid_index_name_exception", "x")), Next.HALT, None),
        (Fault(401, refusal(401, "security_exception", "no")), Next.HALT, None),
        (Fault(403, refusal(403, "security_exception", "no")), Next.HALT, None),
        (Fault(404, refusal(404, "index_not_found_exception", "no")), Next.HALT, None),
        (Fault(302, b"", {"Location": "http://192.0.2.1/"}), Next.HALT, None),
        (Fault(406, HTML), Next.HALT, None),
        (Fault(408, b""), Next.RETRY, None),
        (Fault(429, b"", {"Retry-After": "7"}), Next.RETRY, 7.0),
        (Fault(500, b""), Next.RETRY, None),
        (Fault(502, HTML), Next.RETRY, None),
        (Fault(503, HTML, {"Retry-After": "3"}), Next.RETRY, 3.0),
        (Fault(0), Next.RETRY, None),
        (Fault(200, b"{" * 500, cut=True), Next.RETRY, None),
        (Fault(200, HTML), Next.RETRY, None),
        (Fault(200, b"[]"), Next.RETRY, None),
        (Fault(200, b'{"items":{}}'), Next.RETRY, None),
        (Fault(200, b'{"items":[1,null,{"create":3}]}'), Next.RETRY, None),
    ],
    ids=lambda value: f"{value.status}" if isinstance(value, Fault) else None,
)
def test_a_whole_request(
    stub: BulkStub, make: Make, fault: Fault, then: Next, after: float | None
) -> None:
    sink = make()
    stub.fault(fault)
    reply = sink.send(batch(sink))
    assert (list(reply.left), dict(reply.rejected)) == ([0, 1, 2], {})
    assert (reply.next, reply.after) == (then, after)
    assert reply.reason
    assert list(sink.send(batch(sink)).left) == []


@pytest.mark.parametrize("fault", [Fault(stored=True, answered=2), Fault(0, stored=True)])
def test_stored_without_a_right_answer_is_sent_again_and_there_once(
    stub: BulkStub, make: Make, fault: Fault
) -> None:
    sink = make()
    stub.fault(fault)
    reply = sink.send(batch(sink))
    assert (list(reply.left), reply.next) == ([0, 1, 2], Next.RETRY)
    again = sink.send(batch(sink))
    assert (list(again.left), dict(again.rejected)) == ([], {})
    assert len(stub.documents[STREAM]) == 3


def test_an_answer_after_the_time_out_meets_its_own_documents(stub: BulkStub, make: Make) -> None:
    sink = make(http=Http(timeout=0.3))
    stub.fault(Fault(200, b"{}", stored=True, wait=30))
    reply = sink.send(batch(sink))
    assert (reply.next, reply.reason) == (Next.RETRY, "no answer in time")
    patient = make()
    assert list(patient.send(batch(patient)).left) == []
    assert len(stub.documents[STREAM]) == 3


def test_another_node_takes_over_and_stays(stub: BulkStub, make: Make) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: refused
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        sink = make(urls=[dead, stub.url + "/"])
        assert list(sink.send(batch(sink)).left) == []
        assert list(sink.send(batch(sink, start=9)).left) == []
        lost = make(urls=[dead, dead])
        assert lost.send(batch(lost)).next is Next.RETRY
    with BulkStub() as second:
        sink = make(urls=[stub.url, second.url])
        stub.fault(Fault(503, HTML))
        assert list(sink.send(batch(sink, start=20)).left) == []
        assert len(second.documents[STREAM]) == 3
        assert list(sink.send(batch(sink, start=30)).left) == []
        assert len(second.documents[STREAM]) == 6


def test_a_server_that_cannot_require_data_streams_gets_one_made(
    stub: BulkStub, make: Make
) -> None:
    stub.knows_require = False
    sink = make()
    assert list(sink.send(batch(sink)).left) == []
    assert f"/_data_stream/{STREAM}" in stub.objects
    sink.send(batch(sink, start=5))
    asked = [request.query.get("require_data_stream") for request in stub.bulks]
    assert asked == [["true"], None, None]


def test_a_newer_server_refuses_what_is_no_data_stream_itself(stub: BulkStub, make: Make) -> None:
    sink = make()
    sink.send(batch(sink))
    assert [request.method for request in stub.requests] == ["POST"]
    assert stub.bulks[0].query["require_data_stream"] == ["true"]


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ("id:key", "ApiKey " + base64.b64encode(b"id:key").decode()),
        ("aWQ6a2V5", "ApiKey aWQ6a2V5"),
    ],
)
def test_both_forms_of_api_keys(
    stub: BulkStub, make: Make, monkeypatch: pytest.MonkeyPatch, secret: str, header: str
) -> None:
    monkeypatch.setenv("ELASTIC_KEY", secret)
    stub.authorization = header
    sink = make(api_key=Secret(env="ELASTIC_KEY"))
    assert list(sink.send(batch(sink)).left) == []


def test_user_and_password(stub: BulkStub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_PASSWORD", "pässword")
    stub.authorization = "Basic " + base64.b64encode("shipper:pässword".encode()).decode()
    sink = make(username="shipper", password=Secret(env="ELASTIC_PASSWORD"))
    assert list(sink.send(batch(sink)).left) == []


def test_a_wrong_or_absent_credential_halts_and_is_never_shown(
    stub: BulkStub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.authorization = "ApiKey right"
    sink = make(api_key=Secret(env="ELASTIC_KEY"))
    for value in ("wrong-secret", "broken secret", "secret\x7fx"):
        monkeypatch.setenv("ELASTIC_KEY", value)
        reply = sink.send(batch(sink))
        assert (list(reply.left), reply.next) == ([0, 1, 2], Next.HALT)
        assert value not in reply.reason
        assert "api_key" in reply.reason
    monkeypatch.delenv("ELASTIC_KEY")
    assert "ELASTIC_KEY" in sink.send(batch(sink)).reason
    monkeypatch.setenv("ELASTIC_KEY", "right")
    assert list(sink.send(batch(sink)).left) == []


def test_the_pipeline_is_named_in_the_request(stub: BulkStub, make: Make) -> None:
    sink = make(pipeline="a b&refresh=true")
    sink.send(batch(sink))
    assert stub.bulks[0].query["pipeline"] == ["a b&refresh=true"]
    assert "refresh" not in stub.bulks[0].query


def test_namespaces_follow_the_narrowest_network_of_the_sender(make: Make) -> None:
    sink = make(namespace="rest", namespaces={"192.0.2.0/24": "acme", "192.0.2.64/26": "lab"})
    peers = {
        "192.0.2.1": "acme",
        "::ffff:192.0.2.1": "acme",
        "192.0.2.65": "lab",
        "198.51.100.1": "rest",
        "2001:db8::1%eth0": "rest",
        "/var/log/datto.log": "rest",
        "": "rest",
    }
    for peer, space in [*peers.items(), *peers.items()]:
        item = sink.item(Record(LINE, RECEIVED, peer, 1))
        assert item is not None
        assert item.key == f"logs-datto.log-{space}"
        document = json.loads(item.body.split(b"\n")[1])
        assert document["data_stream"]["namespace"] == space


def test_products_are_split_by_their_table_and_event_dataset_follows(make: Make) -> None:
    sink = make(split_products=True, namespace="acme")
    forged = b' dataset=datto.log data_stream={"type":"logs"} event={"dataset":"datto.log"'
    lines = {
        LINE: "datto.access_point",
        LINE + forged: "datto.access_point",
        b"CEF:0|Datto|SecureEdge|1|coredns|allow|3|domain=example.com": "datto.secure_edge",
        b"not CEF at all": "datto.log",
    }
    for raw, dataset in lines.items():
        for _ in range(40):  # past what the converter learns on the way
            item = sink.item(Record(raw, RECEIVED, PEER, 1))
        assert item is not None
        assert item.key == f"logs-{dataset}-acme"
        document = json.loads(item.body.split(b"\n")[1])
        place = {"dataset": dataset, "namespace": "acme", "type": "logs"}
        assert document.pop("data_stream") == place
        assert document["event"].pop("dataset") == dataset
        plain = json.loads(Converter("ecs").encode(raw, RECEIVED, PEER, None, 1))
        del plain["data_stream"], plain["event"]["dataset"]
        assert document == plain


def test_long_vendor_values_are_cut_with_a_warning_and_the_original_kept(make: Make) -> None:
    sink = make()
    raw = LINE + b" vendorKey=" + b"x" * 40_000
    item = sink.item(Record(raw, RECEIVED, PEER, 1))
    assert item is not None
    document = json.loads(item.body.split(b"\n")[1])
    assert len(document["datto"]["extensions"]["vendorKey"]) == 8_000
    assert "value-cut:vendorKey" in document["datto"]["parse"]["warnings"]
    assert document["event"]["original"].encode() == raw


def test_an_overlay_that_names_streams_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "ecs.yaml").write_text(
        "schema: ecs\nrows:\n  data_stream.namespace: mine\n", encoding="utf-8"
    )
    config = elasticsearch.Config(urls=["http://127.0.0.1:9"])
    with pytest.raises(ValueError, match="take those rows out"):
        elasticsearch.connect(config, Context("elastic", tmp_path, overlay=tmp_path))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"username": "a"}, "username and password"),
        (
            {"username": "a", "password": {"env": "P"}, "api_key": {"env": "K"}},
            "exclude each other",
        ),
        ({"namespaces": {"192.0.2.1/24": "acme"}}, "host bits"),
    ],
)
def test_options_that_do_not_fit_together(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        build(elasticsearch.Config, {"urls": ["http://localhost:9200"], **given})


@pytest.mark.parametrize(
    "given",
    [
        {"urls": []},
        {"urls": ["ftp://x"]},
        {"urls": ["https://user:secret@x"]},
        {"namespace": "Acme"},
        {"namespace": "a-b"},
        {"namespace": 'a"b'},
        {"namespace": ""},
        {"namespaces": {"192.0.2.0/24": "a b"}},
        {"api_key": "value"},
        {"unknown": 1},
    ],
)
def test_the_schema_refuses(given: dict[str, Any]) -> None:
    described = schema(elasticsearch.Config)
    plain = {"urls": ["https://elastic.example:9200"]}
    jsonschema.validate(plain, described)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, **given}, described)


def test_templates_are_installed_once_and_not_over_somebody_elses(
    stub: BulkStub, make: Make
) -> None:
    for start in (1, 5):
        sink = make(install_template=True)
        assert list(sink.send(batch(sink, start=start)).left) == []
        put = [request.path for request in stub.requests if request.method == "PUT"]
        assert len(put) == (4 if start == 1 else 8)  # the stub answers PUT bodies, not lists
    template = stub.objects["/_index_template/logs-datto.log"]
    assert template["index_patterns"] == ["logs-datto.log-*"]
    foreign = {"index_templates": [{"name": "x", "index_template": {"_meta": {}}}]}
    stub.objects["/_index_template/logs-datto.log"] = foreign
    before = len(stub.requests)
    sink = make(install_template=True)
    assert list(sink.send(batch(sink, start=9)).left) == []
    assert [request.method for request in stub.requests[before:]] == ["GET", "GET", "POST"]
    ours = {"index_templates": [{"name": "x", "index_template": template}]}
    stub.objects["/_index_template/logs-datto.log"] = ours
    before = len(stub.requests)
    sink = make(install_template=True)
    assert list(sink.send(batch(sink, start=13)).left) == []
    assert [request.method for request in stub.requests[before:]] == ["GET", "GET", "POST"]


def test_the_template_types_every_field_of_elasticsearch(stub: BulkStub, make: Make) -> None:
    sink = make(install_template=True)
    sink.send(batch(sink))
    standard = stub.objects["/_component_template/datto-ecs@mappings"]["template"]["mappings"]
    fields = standard["properties"]
    assert standard["dynamic"] is False
    assert fields["source"]["properties"]["ip"] == {"type": "ip"}
    assert fields["message"] == {"type": "match_only_text"}
    assert fields["event"]["properties"]["original"]["index"] is False
    vendor = stub.objects["/_component_template/datto-vendor@mappings"]["template"]["mappings"]
    ours = vendor["properties"]["datto"]["properties"]
    assert ours["extensions"] == {"type": "flattened", "ignore_above": 1024}
    assert ours["wifi"]["properties"]["reason_code"] == {"type": "long"}


def test_doctor_says_what_is_good(
    stub: BulkStub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_KEY", "right")
    stub.authorization = "ApiKey right"
    stub.objects[f"/_data_stream/{STREAM}"] = {"data_streams": [{"template": "logs"}]}
    stub.objects["/_ingest/pipeline/p"] = {"p": {}}
    sink = make(api_key=Secret(env="ELASTIC_KEY"), pipeline="p")
    found = list(sink.check(Record(LINE, RECEIVED, PEER, 1)))
    assert levels(found) == {
        "encryption": Level.WARNING,
        f"reach {stub.url}": Level.GOOD,
        "credential": Level.GOOD,
        f"data stream {STREAM}": Level.GOOD,
        f"privileges on {STREAM}": Level.GOOD,
        "pipeline p": Level.GOOD,
        "test record": Level.GOOD,
    }
    assert len(stub.documents[STREAM]) == 1
    assert list(sink.check(None))
    assert len(stub.bulks) == 1


def test_doctor_says_what_to_mend(
    stub: BulkStub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_KEY", "right")
    stub.authorization = "ApiKey right"
    stub.privileges = {"auto_configure": True}
    sink = make(api_key=Secret(env="ELASTIC_KEY"), pipeline="p")
    found = {finding.what: finding for finding in sink.check(None)}
    assert "install_template" in found[f"data stream {STREAM}"].remedy
    assert found[f"privileges on {STREAM}"].said == "create_doc missing"
    assert found["pipeline p"].level is Level.FAULT
    streaming = {"index_patterns": ["logs-*-*"], "priority": 100, "data_stream": {}}
    plain = {"index_patterns": ["logs-datto*"], "priority": 150}
    entries = [{"name": "logs", "index_template": streaming}]
    stub.objects["/_index_template"] = {"index_templates": entries}
    found = {finding.what: finding for finding in sink.check(None)}
    assert found[f"data stream {STREAM}"].level is Level.GOOD
    entries.append({"name": "plain", "index_template": plain})
    found = {finding.what: finding for finding in sink.check(None)}
    assert found[f"data stream {STREAM}"].said == "template plain makes no data stream"
    stub.objects[f"/{STREAM}"] = {}
    found = {finding.what: finding for finding in sink.check(None)}
    assert "instead" in found[f"data stream {STREAM}"].said
    monkeypatch.setenv("ELASTIC_KEY", "wrong")
    found = {finding.what: finding for finding in sink.check(None)}
    assert found["credential"].level is Level.FAULT
    monkeypatch.delenv("ELASTIC_KEY")
    found = {finding.what: finding for finding in sink.check(None)}
    assert "ELASTIC_KEY" in found["credential"].said


def test_doctor_without_a_cluster(make: Make) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        sink = make(urls=[f"http://127.0.0.1:{closed.getsockname()[1]}"])
        found = list(sink.check(None))
    assert [each.level for each in found] == [Level.WARNING, Level.FAULT]
    assert found[1].remedy
