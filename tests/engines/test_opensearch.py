"""The Elasticsearch sink against a real OpenSearch node; the stub against Elastic's client."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cases import PEER, RECEIVED, folders
from engine import ENGINES, needed
from opensearch import running  # noqa: F401  a fixture
from peers.bulk_stub import BulkStub

from datto_siem.converters import Converter
from datto_siem.converters.identity import uid
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import Context, Item, Level, Next
from datto_siem.plugins.sinks import elasticsearch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from opensearch import Node

    from datto_siem.plugins.sinks.elasticsearch import Elasticsearch

pytestmark = pytest.mark.engine
_PYTHON = ENGINES / "elasticsearch-python" / "bin" / "python"
_WITNESS = """
import json, sys
from elasticsearch import Elasticsearch, helpers
url, stream = sys.argv[1:]
client = Elasticsearch(url, api_key="aWQ6a2V5", retry_on_status=(), max_retries=0)
actions = [
    {"_op_type": "create", "_index": stream, "_id": str(at), "@timestamp": at, "n": at}
    for at in range(20)
]
told = []
for ok, result in helpers.streaming_bulk(client, actions + actions[:1], raise_on_error=False):
    told.append([ok, result["create"]["status"]])
print(json.dumps({"version": client.info()["version"]["number"], "told": told}))
"""


def made(node: Node, tmp_path: Path, **options: Any) -> Elasticsearch:
    config = elasticsearch.Config(urls=[node.url], **{"install_template": True, **options})
    return elasticsearch.connect(config, Context("elastic", tmp_path))


def records() -> list[Record]:
    lines = [
        line
        for folder in folders()
        for line in (folder / "event.log").read_bytes().split(b"\n")
        if line.strip()
    ]
    return [Record(line, RECEIVED, PEER, at) for at, line in enumerate(lines, 1)]


def items(sink: Elasticsearch, given: Sequence[Record]) -> list[Item]:
    made = [sink.item(record) for record in given]
    return [item for item in made if item is not None]


def delivered(sink: Elasticsearch, batch: Sequence[Item], deadline: float = 180.0) -> None:
    """Send until every item is taken, as the forwarder does."""
    end = time.monotonic() + deadline
    left = list(batch)
    while left:
        assert time.monotonic() < end
        reply = sink.send(left)
        assert not reply.rejected, reply.reason
        assert not reply.left or reply.next is Next.RETRY, reply.reason
        left = [left[at] for at in reply.left]
        if left:
            time.sleep(0.2)


def test_every_fixture_is_found_again_as_it_was_converted(node: Node, tmp_path: Path) -> None:
    sink = made(node, tmp_path, namespace="fixtures")
    given = records()
    delivered(sink, items(sink, given))
    encode = Converter("ecs").encode
    expected = {}
    for raw, received, peer, offset in given:
        document = json.loads(encode(raw, received, peer, ordinal=offset))
        document["data_stream"]["namespace"] = "fixtures"
        expected[uid(raw, peer, received, offset)] = document
    assert node.documents("logs-datto.log-fixtures") == expected
    delivered(sink, items(sink, given))
    assert len(node.documents("logs-datto.log-fixtures")) == len(given)
    status, found = node.ask("GET", "/_data_stream/logs-datto.log-fixtures")
    assert (status, found["data_streams"][0]["template"]) == (200, "logs-datto.log")
    sink.close()


@pytest.mark.parametrize(
    "query",
    [
        {"term": {"source.ip": "192.0.2.0/24"}},
        {"term": {"client.mac": "DA-A1-19-4C-07-22"}},
        {"range": {"@timestamp": {"gte": "2026-11-24T09:00:00Z"}}},
        {"range": {"datto.wifi.reason_code": {"gte": 1}}},
        {"match": {"message": "station"}},
        {"exists": {"field": "datto.extensions"}},
        {"term": {"event.category": "session"}},
        {"term": {"data_stream.namespace": "types"}},
    ],
    ids=lambda query: next(iter(next(iter(query.values())))),
)
def test_fields_are_searched_by_their_types(node: Node, tmp_path: Path, query: Any) -> None:
    sink = made(node, tmp_path, namespace="types")
    plain = records()
    given = [Record(b"CEF:0|Datto|Odd|1|x|y|3|vendorKey=one", RECEIVED, PEER, 0), *plain]
    delivered(sink, items(sink, given))
    node.ask("POST", "/logs-datto.log-types/_refresh")
    status, found = node.ask("POST", "/logs-datto.log-types/_search", {"query": query})
    assert status == 200, found
    assert found["hits"]["total"]["value"] > 0
    sink.close()


def test_a_sender_cannot_grow_the_mapping_or_break_it_by_long_values(
    node: Node, tmp_path: Path
) -> None:
    sink = made(node, tmp_path, namespace="hostile")
    head = b"CEF:0|Datto|AccessPoint|1|odd|thing|3|"
    keys = b" ".join(b"key%d=%d" % (at, at) for at in range(500))
    raws = [
        head + keys,
        head + b"long=" + b"x" * 60_000,
        head + b"a.b=1 a=2 a.b.c=3",
        head + b"text=" + b"\xff\xfe\x00\x1b[31m",
        b"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|rt=1795514300412 cs2=" + b"y" * 50_000,
        b"<134>Nov 24 09:58:20 ap CEF:0|" + b"z" * 40_000 + b"|p|1|i|n|3|act=1",
        b"q" * 1_000_000,
    ]
    delivered(sink, items(sink, [Record(raw, RECEIVED, PEER, 1) for raw in raws]))
    found = node.documents("logs-datto.log-hostile")
    assert sorted(len(each["event"]["original"]) for each in found.values()) == sorted(
        len(json.loads(Converter("ecs").encode(raw, RECEIVED))["event"]["original"]) for raw in raws
    )
    _, mapping = node.ask("GET", "/logs-datto.log-hostile/_mapping")
    assert "key17" not in json.dumps(mapping)
    sink.close()


def test_without_a_template_nothing_is_made_and_everything_kept(node: Node, tmp_path: Path) -> None:
    node.ask("DELETE", "/_data_stream/logs-datto.log-*")
    node.ask("DELETE", "/_index_template/logs-datto.log")
    sink = made(node, tmp_path, namespace="bare", install_template=False)
    reply = sink.send(items(sink, records()[:3]))
    assert (list(reply.left), reply.next) == ([0, 1, 2], Next.HALT)
    assert "install_template" in reply.reason
    assert node.ask("GET", "/logs-datto.log-bare")[0] == 404
    stream = [each for each in sink.check(None) if each.what.startswith("data stream")]
    assert [each.level for each in stream] == [Level.FAULT]
    sink.close()


def test_a_document_against_the_mapping_is_rejected_alone(node: Node, tmp_path: Path) -> None:
    sink = made(node, tmp_path, namespace="conflict")
    good = items(sink, records()[:3])
    bad = Item(
        b'{"create":{"_id":"bad"}}\n{"@timestamp":1,"source":"no object"}\n',
        good[0].key,
    )
    reply = sink.send([good[0], bad, *good[1:]])
    assert (list(reply.left), list(reply.rejected)) == ([], [1])
    assert "source" in reply.rejected[1]
    assert len(node.documents(good[0].key)) == 3
    sink.close()


def test_a_missing_pipeline_halts(node: Node, tmp_path: Path) -> None:
    sink = made(node, tmp_path, namespace="pipeline", pipeline="no such")
    reply = sink.send(items(sink, records()[:2]))
    assert (list(reply.left), dict(reply.rejected), reply.next) == ([0, 1], {}, Next.HALT)
    assert "no such" in reply.reason
    (found,) = [each for each in sink.check(None) if each.what.startswith("pipeline")]
    assert found.level is Level.FAULT
    sink.close()


def test_a_body_above_the_limit_is_split(node: Node, tmp_path: Path) -> None:
    sink = made(node, tmp_path, namespace="large", http=elasticsearch.Http(gzip=False))
    (item,) = items(sink, records()[:1])
    action, document = item.body.split(b"\n", 1)
    large = Item(action + b"\n" + b" " * 110_000_000 + document, item.key)
    reply = sink.send([large, item])
    assert reply.next in (Next.SPLIT, Next.RETRY)  # a reset while sending hides the 413
    assert list(reply.left) == [0, 1]
    sink.close()


def test_doctor_sees_a_ready_cluster(node: Node, tmp_path: Path) -> None:
    sink = made(node, tmp_path, namespace="doctor")
    found = list(sink.check(records()[0]))
    assert [each.level for each in found if each.what != "encryption"] == [
        Level.GOOD,  # reach
        Level.WARNING,  # no security in this node
        Level.GOOD,  # data stream
        Level.GOOD,  # test record
    ]
    assert found[1].said == "OpenSearch 2.19.1"
    assert len(node.documents("logs-datto.log-doctor")) == 1
    sink.close()


def test_a_node_killed_under_load_loses_and_doubles_nothing(node: Node, tmp_path: Path) -> None:
    sink = made(node, tmp_path, namespace="killed")
    raws = [record.raw for record in records()]
    given = [Record(raws[at % len(raws)], RECEIVED + at, PEER, at) for at in range(6000)]
    ready = items(sink, given)
    delivered(sink, ready[:200])
    batches = [ready[at : at + 200] for at in range(0, len(ready), 200)]
    sent = threading.Semaphore(0)
    faults: list[BaseException] = []

    def run(own: Sequence[Sequence[Item]]) -> None:
        try:
            for batch in own:
                delivered(sink, batch)
                sent.release()
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=run, args=(batches[at::2],)) for at in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            assert sent.acquire(timeout=120)
        node.kill()
    finally:
        node.start()
        for thread in threads:
            thread.join()
    assert not faults
    expected = {uid(each.raw, each.peer, each.received, each.offset) for each in given}
    assert node.documents("logs-datto.log-killed").keys() == expected
    sink.close()


@pytest.fixture
def stub() -> Iterator[BulkStub]:
    with BulkStub() as server:
        yield server


def test_the_stub_gets_along_with_elastics_own_client(stub: BulkStub) -> None:
    needed(_PYTHON.exists(), "elasticsearch-py (.ci/engines/opensearch)")
    stub.authorization = "ApiKey aWQ6a2V5"
    stub.version["number"] = "9.1.0"
    done = subprocess.run(  # noqa: S603  our own arguments
        [str(_PYTHON), "-c", _WITNESS, stub.url, "logs-datto.log-witness"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    told = json.loads(done.stdout)
    assert told["version"] == "9.1.0"
    assert told["told"] == [[True, 201]] * 20 + [[False, 409]]
    assert len(stub.documents["logs-datto.log-witness"]) == 20
