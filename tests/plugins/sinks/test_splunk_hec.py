"""The HEC sink against the strict stub: envelopes, every code, odd answers, TLS, acks, doctor.

`tests/engines/test_hec_clients.py` proves the stub by foreign clients.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from lines import generate
from peers.hec_rules import CODES
from peers.hec_stub import HTML, TOKEN, Fault, HecStub, Token

from datto_siem.plugins.options import build, schema
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import Context, Item, Level, Next, Reply
from datto_siem.plugins.sinks import splunk_hec
from datto_siem.plugins.sinks._hec_reply import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from datto_siem.plugins.sinks.splunk_hec import HecSink

RECEIVED = 1_795_514_400_123
PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300456 dmac:02:00:5E:10:00:01"
    b" smac=02:00:5E:10:00:02 cs2:Guest cs2Label=SSID"
)
DNS = (
    b"CEF:1|Datto|Secure Edge|1.2.1|coredns|allow|1|query_time=1795514300.412"
    b" client_ip=100.64.12.7 domain=www.example.com action=allow"
)


def record(raw: bytes = PROBE, offset: int = 7, peer: str = "192.0.2.1") -> Record:
    return Record(raw, RECEIVED, peer, offset)


@pytest.fixture
def stub() -> Iterator[HecStub]:
    with HecStub() as server:
        yield server


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HecSink]]:
    monkeypatch.setenv("HEC_TOKEN", TOKEN)
    opened = []

    def make(url: str, **options: Any) -> HecSink:
        given = {"url": url, "token": {"env": "HEC_TOKEN"}, **options}
        config = build(splunk_hec.Config, given)
        sink = splunk_hec.connect(config, Context("splunk", tmp_path / "state"))
        opened.append(sink)
        return sink

    yield make
    for sink in opened:
        sink.close()


def items(sink: HecSink, count: int) -> list[Item]:
    return [sink.item(record(offset=number)) for number in range(count)]


def numbers(reply: Reply) -> list[int]:
    return list(reply.left)


# Envelopes


@pytest.mark.parametrize("form", ["cim", "ocsf", "ecs", "raw"])
def test_every_kind_of_record_makes_an_envelope_splunk_takes_whole(
    form: str, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url, to=form, index="main", fields={"site": 'a "b"'})
    lines = [line.raw for line in generate(600, seed=5)] + [b"", b" \0\r\n", b"\xff\xfe", b'"'] * 2
    records = [record(raw, offset=number) for number, raw in enumerate(lines)]
    made = [sink.item(each) for each in records]
    assert sink.send(made) == Reply()
    assert (stub.lost, stub.skipped, len(stub.events)) == (0, 0, len(lines))
    for each, event in zip(records, stub.events, strict=True):
        assert event.keys() == {
            "time", "host", "source", "sourcetype", "index", "event", "fields"
        }  # fmt: skip
        decoded = decoded_as(each)
        assert round(float(event["time"]) * 1000) == decoded.time, each.raw
        assert event["fields"] == {"datto_event_id": decoded.uid, "site": 'a "b"'}
        assert event["host"] == "192.0.2.1"


def decoded_as(each: Record) -> Any:
    from datto_siem.converters.decoder import decoder

    return decoder().decode(each.raw, each.received, each.peer, None, each.offset)


def test_the_cim_document_is_the_converters_but_for_what_travels_beside_it(
    connect: Callable[..., HecSink],
) -> None:
    from datto_siem.converters import Converter

    sink, convert = connect("http://192.0.2.9:8088"), Converter("cim")
    for number, line in enumerate(generate(400, seed=6)):
        each = record(line.raw, offset=number)
        whole = json.loads(convert.encode(each.raw, each.received, each.peer, ordinal=number))
        envelope = json.loads(sink.item(each).body)
        assert envelope["time"] == whole.pop("_time")
        assert envelope["fields"]["datto_event_id"] == whole.pop("datto_event_id")
        assert envelope["event"] == whole


@pytest.mark.parametrize("form", ["ocsf", "ecs"])
def test_other_documents_stay_as_they_are(form: str, connect: Callable[..., HecSink]) -> None:
    from datto_siem.converters import Converter

    each = record()
    body = Converter(form).encode(each.raw, each.received, each.peer, ordinal=each.offset)
    assert b'"event":' + body + b"," in connect("http://192.0.2.9", to=form).item(each).body


def test_a_raw_event_is_the_line_without_its_framing(connect: Callable[..., HecSink]) -> None:
    sink = connect("http://192.0.2.9:8088", to="raw")
    event = json.loads(sink.item(record(PROBE + b" \xff\x1b[2J\r\n")).body)["event"]
    assert event == PROBE.decode() + " \\xff\x1b[2J"


def test_text_from_the_wire_forges_neither_time_nor_id_nor_product(
    connect: Callable[..., HecSink],
) -> None:
    host = rb'x"_time":1,"datto_event_id":"y","vendor_product":"Datto Secure Edge","time":2'
    raw = PROBE.replace(b"Guest", host) + b' _time:1 "_time"=1 datto_event_id=z'
    for form in ("cim", "raw", "ocsf"):
        sink = connect("http://192.0.2.9:8088", to=form, index="a", indexes={"secure_edge": "edge"})
        item = sink.item(record(raw))
        envelope = json.loads(item.body)
        assert (item.key, envelope["index"]) == ("a", "a")
        assert round(envelope["time"] * 1000) == decoded_as(record(raw)).time
        assert envelope["fields"] == {"datto_event_id": decoded_as(record(raw)).uid}


@pytest.mark.parametrize("form", ["cim", "ocsf", "raw"])
def test_products_go_to_their_indexes_which_keep_batches_apart(
    form: str, connect: Callable[..., HecSink]
) -> None:
    sink = connect("http://192.0.2.9", to=form, index="netops", indexes={"secure_edge": "netfw"})
    assert [sink.item(record(raw)).key for raw in (PROBE, DNS, b"?")] == [
        "netops", "netfw", "netops"
    ]  # fmt: skip
    assert json.loads(sink.item(record(DNS)).body)["index"] == "netfw"
    assert connect("http://192.0.2.9", to=form).item(record(DNS)).key == ""


def test_raw_lines_have_the_sourcetypes_of_the_add_on(connect: Callable[..., HecSink]) -> None:
    switch = b"CEF:1|Datto|Switch|1|port|up|3|msg=x"
    lines = (PROBE, DNS, switch, b"nonsense")

    def of(**options: str) -> list[str]:
        sink = connect("http://192.0.2.9:8088", **options)
        return [json.loads(sink.item(record(raw)).body)["sourcetype"] for raw in lines]

    assert of(to="raw") == [
        "datto:accesspoint:cef", "datto:secureedge:cef", "datto:switch", "datto:cef"
    ]  # fmt: skip
    assert set(of(to="raw", sourcetype="mine")) == {"mine"}
    assert set(of(to="cim")) == {"datto:cim"}
    assert set(of(to="ocsf")) == {"ocsf:datto:networking"}


def test_host_is_configured_or_the_senders_address(connect: Callable[..., HecSink]) -> None:
    sink = connect("http://192.0.2.9:8088")
    assert json.loads(sink.item(record(peer="2001:db8::1")).body)["host"] == "2001:db8::1"
    assert json.loads(sink.item(record(peer='/a "b"\x1b')).body)["host"] == '/a "b"\x1b'
    assert "host" not in json.loads(sink.item(record(peer="")).body)
    fixed = connect("http://192.0.2.9:8088", host="gate")
    assert json.loads(fixed.item(record()).body)["host"] == "gate"


def test_the_same_record_makes_the_same_bytes_each_time(connect: Callable[..., HecSink]) -> None:
    first, again = (connect("http://192.0.2.9:8088") for _ in range(2))
    assert first.item(record()) == again.item(record())
    assert first.item(record(offset=8)) != again.item(record(offset=9))


# Configuration


def test_the_example_is_valid_and_unknown_options_are_not() -> None:
    import jsonschema

    tomllib = pytest.importorskip("tomllib")
    (output,) = tomllib.loads(splunk_hec.EXAMPLE)["output"]
    given = {name: value for name, value in output.items() if name not in ("name", "type")}
    jsonschema.validate(given, schema(splunk_hec.Config))
    build(splunk_hec.Config, given)
    for wrong in (
        {"extra": 1},
        {"index": "Bad Index"},
        {"indexes": {"toaster": "main"}},
        {"indexes": {"switch": "A"}},
        {"url": "ftp://h"},
        {"token": "plain"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**given, **wrong}, schema(splunk_hec.Config))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://user:pw@h:8088"},
        {"url": "https://h:8088/?token=abc"},
        {"fields": {"datto_event_id": "x"}},
        {"to": "ecs", "indexes": {"switch": "main"}},
        {"to": "ocsf", "sourcetype": "datto:ocsf"},
    ],
)
def test_what_the_schema_cannot_refuse_is_refused_with_advice(wrong: dict[str, Any]) -> None:
    given = {"url": "https://h:8088", "token": {"env": "X"}}
    with pytest.raises(ValueError, match=r"^(url|fields|indexes|sourcetype): "):
        build(splunk_hec.Config, {**given, **wrong})


@pytest.mark.parametrize("ending", ["", "/", "/services/collector", "/services/collector/event"])
def test_the_path_may_be_given_or_not(
    ending: str, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url + ending)
    assert sink.send(items(sink, 1)) == Reply()
    assert stub.requests[0].path == "/services/collector/event"


# Requests


def test_requests_are_compressed_keep_their_connection_and_name_a_channel(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url)
    for _ in range(4):
        assert sink.send(items(sink, 50)) == Reply()
    assert stub.connections == 1
    headers = [request.headers for request in stub.requests]
    assert {each["content-encoding"] for each in headers} == {"gzip"}
    assert len({each["x-splunk-request-channel"] for each in headers}) == 1
    assert len(stub.events) == 200
    plain = connect(stub.url, http={"gzip": False})
    assert plain.send(items(plain, 2)) == Reply()
    assert "content-encoding" not in stub.requests[-1].headers


def test_nothing_to_send_asks_nothing(stub: HecStub, connect: Callable[..., HecSink]) -> None:
    assert connect(stub.url).send([]) == Reply()
    assert not stub.requests


def test_a_channel_outlives_the_process_and_each_thread_has_its_own(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    def channels(sink: HecSink) -> set[str]:
        barrier = threading.Barrier(2)

        def work() -> None:
            barrier.wait()
            sink.send(items(sink, 1))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {each.headers["x-splunk-request-channel"] for each in stub.requests[-2:]}

    first = channels(connect(stub.url))
    assert len(first) == 2
    assert channels(connect(stub.url)) == first


def test_a_state_folder_that_cannot_be_written_stops_nothing(
    stub: HecStub, connect: Callable[..., HecSink], tmp_path: Path, caplog: Any
) -> None:
    (tmp_path / "state").write_text("a file")
    sink = connect(stub.url)
    assert sink.send(items(sink, 1)) == Reply()
    assert "cannot keep the channel" in caplog.text


def test_a_batch_of_the_proposed_size_is_taken(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url, http={"gzip": False})
    each = sink.item(record(PROBE + b" cs3=" + b"x" * 5000))
    count = sink.batching.nbytes // (len(each.body) + sink.batching.each)
    assert sink.send([each] * count) == Reply()
    assert len(stub.requests[0].body) <= sink.batching.nbytes


# Every code

TABLE: dict[int, tuple[str, list[int], list[int]]] = {
    # code: what next, left, rejected of six items with invalid-event-number 2
    0: ("", [], []),
    1: ("HALT", [0, 1, 2, 3, 4, 5], []),
    2: ("HALT", [0, 1, 2, 3, 4, 5], []),
    3: ("HALT", [0, 1, 2, 3, 4, 5], []),
    4: ("HALT", [0, 1, 2, 3, 4, 5], []),
    5: ("SPLIT", [0, 1, 2, 3, 4, 5], []),
    6: ("AGAIN", [3, 4, 5], [2]),
    7: ("HALT", [1, 2, 3, 4, 5], []),
    8: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    9: ("RETRY", [2, 3, 4, 5], []),
    10: ("HALT", [0, 1, 2, 3, 4, 5], []),
    11: ("HALT", [0, 1, 2, 3, 4, 5], []),
    12: ("AGAIN", [3, 4, 5], [2]),
    13: ("AGAIN", [3, 4, 5], [2]),
    14: ("HALT", [0, 1, 2, 3, 4, 5], []),
    15: ("AGAIN", [3, 4, 5], [2]),
    16: ("HALT", [0, 1, 2, 3, 4, 5], []),
    17: ("", [], []),
    18: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    19: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    20: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    21: ("HALT", [0, 1, 2, 3, 4, 5], []),
    22: ("HALT", [0, 1, 2, 3, 4, 5], []),
    23: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    24: ("", [], []),
    25: ("", [], []),
    26: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    27: ("RETRY", [0, 1, 2, 3, 4, 5], []),
    28: ("HALT", [0, 1, 2, 3, 4, 5], []),
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_answered_as_the_protocol_wants(
    code: int, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    stub.fault(code, 2)
    sink = connect(stub.url)
    reply = sink.send(items(sink, 6))
    then, left, rejected = TABLE[code]
    assert (numbers(reply), sorted(reply.rejected)) == (left, rejected)
    assert not left or reply.next is Next[then]
    assert reply.slow == (code in (24, 25))
    if left or rejected or reply.slow:
        assert f"HEC code {code}, {CODES[code][1]}" in reply.reason


@pytest.mark.parametrize("code", [6, 12, 13, 15])
@pytest.mark.parametrize("number", [None, 9, 6, -1, True, "2", 2.0])
def test_an_event_number_that_helps_nobody_splits(
    code: int, number: object, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    body = json.dumps({"code": code, "text": "no", "invalid-event-number": number}).encode()
    stub.fault(Fault(400, body))
    sink = connect(stub.url)
    reply = sink.send(items(sink, 6))
    assert (numbers(reply), reply.next, reply.rejected) == ([0, 1, 2, 3, 4, 5], Next.SPLIT, {})


@pytest.mark.parametrize("code", [5, 6, 12, 13, 15])
def test_a_single_event_that_is_refused_is_a_dead_letter(
    code: int, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    stub.fault(code, 0)
    sink = connect(stub.url)
    reply = sink.send(items(sink, 1))
    assert numbers(reply) == []
    assert list(reply.rejected) == [0]
    assert CODES[code][1] in reply.rejected[0]


def test_a_bad_last_event_leaves_nothing(stub: HecStub, connect: Callable[..., HecSink]) -> None:
    stub.fault(13, 5)
    sink = connect(stub.url)
    reply = sink.send(items(sink, 6))
    assert (numbers(reply), list(reply.rejected)) == ([], [5])


@pytest.mark.parametrize("number", [0, None, 7, 1])
def test_a_bad_index_without_a_useful_number_keeps_everything(
    number: int | None, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    stub.fault(7, number)
    sink = connect(stub.url)
    reply = sink.send(items(sink, 6))
    assert (numbers(reply), reply.next) == ([0, 1, 2, 3, 4, 5], Next.HALT)


def bad_ones() -> dict[str, bytes]:
    good = b'{"time":1,"event":"x"}'
    return {
        "6": good.replace(b"}", b",}"),
        "12": b'{"time":1}',
        "13": b'{"time":1,"event":" "}',
        "15": b'{"event":"x","fields":{"a":{"b":1}}}',
    }


@pytest.mark.parametrize("code", ["6", "12", "13", "15"])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_one_bad_event_costs_its_neighbours_nothing(
    code: str, place: int, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url)
    todo = items(sink, 6)
    todo.insert(place, Item(bad_ones()[code]))
    dead = deliver(sink, todo)
    assert dead == [todo[place]]
    assert [event["fields"]["datto_event_id"] for event in stub.events] == [
        json.loads(each.body)["fields"]["datto_event_id"] for each in todo if each not in dead
    ]


def deliver(sink: HecSink, todo: list[Item]) -> list[Item]:
    """What the forwarder does with replies; gives the dead letters."""
    reply = sink.send(todo)
    dead = [todo[number] for number in reply.rejected]
    left = [todo[number] for number in reply.left]
    if not left:
        return dead
    assert reply.next in (Next.AGAIN, Next.SPLIT)
    if reply.next is Next.AGAIN:
        return dead + deliver(sink, left)
    half = len(left) // 2
    return dead + deliver(sink, left[:half]) + deliver(sink, left[half:])


@pytest.mark.parametrize("cloud", [True, False])
def test_a_request_that_is_too_large_is_split_until_only_the_culprit_is_left(
    cloud: bool, connect: Callable[..., HecSink]
) -> None:
    with HecStub(cloud=cloud, limit=8 * LARGE) as stub:
        sink = connect(stub.url)
        todo = [Item(b'{"event":"%s"}' % (b"x" * LARGE)) for _ in range(20)]
        todo[4] = Item(b'{"event":"%s"}' % (b"y" * 9 * LARGE))
        assert deliver(sink, todo) == [todo[4]]
        assert stub.count == 19


def test_the_clouds_real_limit_splits(stub: HecStub, connect: Callable[..., HecSink]) -> None:
    sink = connect(stub.url)
    big = Item(b'{"event":"%s"}' % (b"x" * 3_000_000))
    reply = sink.send([big, big])
    assert (numbers(reply), reply.next) == ([0, 1], Next.SPLIT)
    assert sink.send([big]) == Reply()


# Answers that are no HEC's


@pytest.mark.parametrize(
    ("status", "then"),
    [
        (200, "HALT"),
        (204, "HALT"),
        (301, "HALT"),
        (400, "SPLIT"),
        (401, "HALT"),
        (403, "HALT"),
        (404, "HALT"),
        (405, "HALT"),
        (407, "HALT"),
        (408, "RETRY"),
        (409, "SPLIT"),
        (413, "SPLIT"),
        (415, "HALT"),
        (429, "RETRY"),
        (451, "SPLIT"),
        (500, "RETRY"),
        (501, "RETRY"),
        (502, "RETRY"),
        (503, "RETRY"),
        (504, "RETRY"),
        (599, "RETRY"),
    ],
)
@pytest.mark.parametrize(
    "body", [HTML, b"", b"[]", b"{}", b'{"code":"0"}', b'{"code":true}', b"\xff{", b"null"]
)
def test_what_proxies_answer_is_judged_by_its_status(
    status: int, then: str, body: bytes, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    headers = {"Content-Type": "text/html", "Location": "http://192.0.2.1/"}
    stub.fault(Fault(status, b"" if status == 204 else body, headers))
    sink = connect(stub.url)
    reply = sink.send(items(sink, 3))
    assert (numbers(reply), reply.next, reply.rejected) == ([0, 1, 2], Next[then], {})
    assert f"HTTP {status}" in reply.reason
    assert "nginx" not in reply.reason


@pytest.mark.parametrize("status", [400, 413, 451])
def test_a_single_event_that_a_proxy_refuses_is_a_dead_letter(
    status: int, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    stub.fault(Fault(status, HTML))
    sink = connect(stub.url)
    assert list(sink.send(items(sink, 1)).rejected) == [0]


@pytest.mark.parametrize(
    ("status", "body", "then"),
    [
        (404, {"code": 404, "text": "The requested URL was not found"}, "HALT"),
        (503, {"code": 0, "text": "Success"}, "RETRY"),
        (500, {"code": 24, "text": "?"}, "RETRY"),
        (503, {"code": 77, "text": "new"}, "RETRY"),
        (400, {"code": 77, "text": "new"}, "SPLIT"),
        (200, {"code": 9, "text": "Server is busy"}, "RETRY"),
    ],
)
def test_code_and_status_that_contradict_each_other_lose_nothing(
    status: int, body: dict[str, object], then: str,
    stub: HecStub, connect: Callable[..., HecSink],
) -> None:  # fmt: skip
    stub.fault(Fault(status, json.dumps(body).encode()))
    sink = connect(stub.url)
    reply = sink.send(items(sink, 2))
    assert (numbers(reply), reply.next) == ([0, 1], Next[then])


def test_a_success_of_an_unknown_code_is_one(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    stub.fault(Fault(200, b'{"code":99,"text":"fine"}'))
    sink = connect(stub.url)
    assert sink.send(items(sink, 2)) == Reply()


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        ("Fri, 31 Dec 2199 23:59:59 GMT", 86_400, 86_400),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 0, 0),
        ("999999999999", 86_400, 86_400),
        ("soon", None, None),
        ("-5", None, None),
        ("", None, None),
    ],
)
@pytest.mark.parametrize("body", [HTML, b'{"code":9,"text":"Server is busy"}'])
def test_retry_after_is_passed_on(
    text: str, least: float | None, most: float | None, body: bytes,
    stub: HecStub, connect: Callable[..., HecSink],
) -> None:  # fmt: skip
    stub.fault(Fault(503, body, {"Retry-After": text}))
    sink = connect(stub.url)
    after = sink.send(items(sink, 1)).after
    assert after == least if least is None or most is None or after is None else (
        least <= after <= most
    )  # fmt: skip


# No answer


def test_no_answer_is_retried_whatever_became_of_the_request(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url, http={"timeout": 0.2})
    stub.fault(Fault(0, take=None))
    stub.fault(Fault(200, b'{"code":0}', wait=1.0, take=None))
    stub.fault(Fault(200, b'{"code":0,"text":"Success"}', cut=True, take=None))
    for _ in range(3):
        reply = sink.send(items(sink, 3))
        assert (numbers(reply), reply.next) == ([0, 1, 2], Next.RETRY)
        assert reply.reason
    assert sink.send(items(sink, 3)) == Reply()
    ids = [event["fields"]["datto_event_id"] for event in stub.events]
    assert len(ids) == 12
    assert len(set(ids)) == 3  # so `dedup datto_event_id` finds the copies


def test_a_port_where_nobody_listens_is_retried(connect: Callable[..., HecSink]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sink = connect(f"http://127.0.0.1:{port}")
    reply = sink.send(items(sink, 2))
    assert (numbers(reply), reply.next) == ([0, 1], Next.RETRY)
    assert "refused" in reply.reason


# Secrets


def test_a_token_that_is_missing_or_no_token_halts_and_is_not_told(
    stub: HecStub, connect: Callable[..., HecSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = connect(stub.url)
    monkeypatch.delenv("HEC_TOKEN")
    reply = sink.send(items(sink, 2))
    assert (numbers(reply), reply.next) == ([0, 1], Next.HALT)
    assert "HEC_TOKEN" in reply.reason
    monkeypatch.setenv("HEC_TOKEN", "sec ret\x01\u20ac")
    reply = sink.send(items(sink, 2))
    assert reply.next is Next.HALT
    assert "ret" not in reply.reason.replace("secret", "")
    assert not stub.requests


def test_a_server_that_repeats_the_token_does_not_get_it_into_logs(
    stub: HecStub, connect: Callable[..., HecSink], caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"code": 4, "text": f"Invalid token {TOKEN}"}).encode()
    stub.fault(Fault(403, body))
    stub.fault(Fault(403, HTML, {"Content-Type": f"text/{TOKEN}"}))
    sink = connect(stub.url)
    for _ in range(2):
        reply = sink.send(items(sink, 1))
        assert reply.next is Next.HALT
        assert TOKEN not in repr(reply)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(sink.config)


def test_a_token_in_a_file_is_read_anew(connect: Callable[..., HecSink], tmp_path: Path) -> None:
    file = tmp_path / "token"
    with HecStub({"old": Token(disabled=True), "new": Token()}) as stub:
        sink = connect(stub.url, token={"file": str(file)})
        file.write_text("old\n")
        assert sink.send(items(sink, 1)).next is Next.HALT
        file.write_text("new\n")
        assert sink.send(items(sink, 1)) == Reply()


# Acknowledgement

ACKING = {TOKEN: Token(ack=True)}


def test_with_ack_a_delivery_is_what_splunk_indexed(connect: Callable[..., HecSink]) -> None:
    with HecStub(ACKING, ack_polls=1, sticky=True) as stub:
        sink = connect(stub.url, ack="required")
        for _ in range(2):
            assert sink.send(items(sink, 2)) == Reply()
        polls = [each for each in stub.requests if each.path.endswith("/ack")]
        assert [json.loads(each.body) for each in polls] == [
            {"acks": [0]}, {"acks": [0]}, {"acks": [1]}, {"acks": [1]}
        ]  # fmt: skip
        channel = stub.requests[0].headers["x-splunk-request-channel"]
        assert {each.query["channel"][0] for each in polls} == {channel}


def test_events_not_acknowledged_in_time_go_out_on_a_new_channel(
    connect: Callable[..., HecSink],
) -> None:
    with HecStub(ACKING, ack_polls=10**6) as stub:
        sink = connect(stub.url, ack="auto", ack_timeout=0.3)
        reply = sink.send(items(sink, 2))
        assert (numbers(reply), reply.next) == ([0, 1], Next.RETRY)
        stub.ack_polls = 0
        assert sink.send(items(sink, 2)) == Reply()
        channels = [
            each.headers["x-splunk-request-channel"]
            for each in stub.requests
            if each.path.endswith("/event")
        ]
        assert len(set(channels)) == 2


def test_polls_that_fail_are_repeated(connect: Callable[..., HecSink]) -> None:
    with HecStub(ACKING) as stub:
        for fault in (Fault(0), Fault(502, HTML), Fault(200, HTML.replace(b"2", b"x"))):
            stub.fault(fault, on="ack")
        stub.fault(26, on="ack")
        sink = connect(stub.url, ack="required")
        first = sink.send(items(sink, 1))
        assert (first.next, numbers(first)) == (Next.HALT, [0])  # 200 and a page: a wrong address
        assert sink.send(items(sink, 1)) == Reply()


def test_ack_auto_goes_without_when_the_token_has_none(
    stub: HecStub, connect: Callable[..., HecSink], caplog: Any
) -> None:
    sink = connect(stub.url, ack="auto")
    for _ in range(2):
        assert sink.send(items(sink, 1)) == Reply()
    assert [record.message for record in caplog.records] == [
        "splunk: no acknowledgement (the token has no useACK): a delivery is what Splunk queued"
    ]


def test_ack_auto_goes_without_when_polls_say_it_is_disabled(
    connect: Callable[..., HecSink], caplog: Any
) -> None:
    with HecStub(ACKING) as stub:
        stub.fault(14, on="ack")
        sink = connect(stub.url, ack="auto")
        for _ in range(2):
            assert sink.send(items(sink, 1)) == Reply()
        assert sum(each.path.endswith("/ack") for each in stub.requests) == 1
    assert "ACK is disabled" in caplog.text


def test_ack_required_keeps_everything_without(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url, ack="required")
    reply = sink.send(items(sink, 2))
    assert (numbers(reply), reply.next) == ([0, 1], Next.HALT)
    assert "useACK" in reply.reason


def test_ack_off_with_a_token_that_has_it_warns_once(
    connect: Callable[..., HecSink], caplog: Any
) -> None:
    with HecStub(ACKING) as stub:
        sink = connect(stub.url)
        for _ in range(2):
            assert sink.send(items(sink, 1)) == Reply()
    assert len(caplog.records) == 1
    assert "useACK" in caplog.text


def test_a_full_ack_channel_is_left(connect: Callable[..., HecSink]) -> None:
    with HecStub(ACKING) as stub:
        stub.fault(27)
        sink = connect(stub.url, ack="auto")
        assert sink.send(items(sink, 1)).next is Next.RETRY
        assert sink.send(items(sink, 1)) == Reply()
        first, second = (each.headers["x-splunk-request-channel"] for each in stub.requests[:2])
        assert first != second


def test_closing_ends_the_wait_for_an_acknowledgement(connect: Callable[..., HecSink]) -> None:
    with HecStub(ACKING, ack_polls=10**6) as stub:
        sink = connect(stub.url, ack="required")
        replies: list[Reply] = []
        sender = threading.Thread(target=lambda: replies.append(sink.send(items(sink, 1))))
        sender.start()
        waiting = threading.Event()
        while not any(each.path.endswith("/ack") for each in stub.requests):
            assert sender.is_alive()
            waiting.wait(0.01)
        sink.close()
        sender.join(20)
        assert not sender.is_alive()
    assert (numbers(replies[0]), replies[0].next) == ([0], Next.RETRY)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[HecStub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HecStub(tls=context) as server:
        yield server


def test_an_own_authority_is_trusted_when_named_and_not_otherwise(
    secure: HecStub, authority: trustme.CA, tmp_path: Path, connect: Callable[..., HecSink]
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    good = connect(secure.url, tls={"ca_file": str(file)})
    assert good.send(items(good, 3)) == Reply()
    bad = connect(secure.url)
    reply = bad.send(items(bad, 3))
    assert (numbers(reply), reply.next) == ([0, 1, 2], Next.RETRY)
    assert "certificate" in reply.reason.lower()
    assert len(secure.requests) == 1


def test_verification_can_be_switched_off_and_warns_each_time(
    secure: HecStub, connect: Callable[..., HecSink], caplog: Any
) -> None:
    for _ in range(2):
        sink = connect(secure.url, tls={"insecure_skip_verify": True})
        assert sink.send(items(sink, 1)) == Reply()
    assert caplog.text.count("insecure_skip_verify") == 2


def test_a_client_certificate_is_shown(
    authority: trustme.CA, tmp_path: Path, connect: Callable[..., HecSink]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ca, pem = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("forwarder.example").private_key_and_cert_chain_pem.write_to_path(str(pem))
    with HecStub(tls=context) as stub:
        sink = connect(stub.url, tls={"ca_file": str(ca), "client_cert": str(pem)})
        assert sink.send(items(sink, 1)) == Reply()
        without = connect(stub.url, tls={"ca_file": str(ca)})
        assert without.send(items(without, 1)).next is Next.RETRY
        assert stub.count == 1


# doctor


def found(sink: HecSink, test: Record | None = None) -> dict[str, Level]:
    findings = list(sink.check(test))
    assert all(each.remedy for each in findings if each.level is not Level.GOOD)
    return {each.what.split(" http")[0]: each.level for each in findings}


def test_doctor_finds_nothing_wrong_and_indexes_nothing(
    secure: HecStub, authority: trustme.CA, tmp_path: Path, connect: Callable[..., HecSink]
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    sink = connect(secure.url, tls={"ca_file": str(file)})
    assert found(sink) == {"reach": Level.GOOD, "token": Level.GOOD}
    assert secure.count == 0
    assert "authorization" not in secure.requests[0].headers


def test_doctor_tries_every_index_with_a_test_record(
    stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    sink = connect(stub.url, index="main", indexes={"secure_edge": "nowhere"})
    assert found(sink, record()) == {
        "encryption": Level.WARNING,
        "reach": Level.GOOD,
        "token": Level.GOOD,
        "index main": Level.GOOD,
        "index nowhere": Level.FAULT,
    }
    assert [event["index"] for event in stub.events] == ["main"]
    bare = connect(stub.url)
    assert found(bare, record())["the token's default index"] is Level.GOOD


@pytest.mark.parametrize("given", ["unknown", "off"])
def test_doctor_finds_a_bad_token(
    given: str, connect: Callable[..., HecSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", given)
    with HecStub({"off": Token(disabled=True)}) as stub:
        sink = connect(stub.url, token={"env": "OTHER"})
        assert found(sink, record())["token"] is Level.FAULT
        monkeypatch.delenv("OTHER")
        assert found(sink)["token"] is Level.FAULT
        assert stub.count == 0


@pytest.mark.parametrize(
    ("has", "wanted", "level"),
    [
        (True, "off", Level.WARNING),
        (True, "required", Level.GOOD),
        (False, "auto", Level.WARNING),
        (False, "required", Level.FAULT),
        (False, "off", None),
    ],
)
def test_doctor_compares_acknowledgement(
    has: bool, wanted: str, level: Level | None, connect: Callable[..., HecSink]
) -> None:
    with HecStub({TOKEN: Token(ack=has)}) as stub:
        assert found(connect(stub.url, ack=wanted)).get("ack") is level


@pytest.mark.parametrize("code", [18, 19, 20, 23])
def test_doctor_warns_of_a_busy_splunk(
    code: int, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    stub.fault(code, on="health")
    assert found(connect(stub.url))["reach"] is Level.WARNING


def test_doctor_says_what_to_do_about_a_server_it_cannot_reach(
    secure: HecStub, stub: HecStub, connect: Callable[..., HecSink]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for url, advice in (
        (f"http://127.0.0.1:{port}", "check the port"),
        ("http://nowhere.invalid:8088", "check the host name"),
        (secure.url, "tls.ca_file"),
        (stub.url.replace("http:", "https:"), "does not speak TLS"),
    ):
        last = list(connect(url, http={"timeout": 5}).check(None))[-1]
        assert (last.level, advice in last.remedy) == (Level.FAULT, True), last


def test_doctor_names_a_wrong_path(stub: HecStub, connect: Callable[..., HecSink]) -> None:
    findings = list(connect(stub.url + "/en-US").check(None))
    assert findings[-1].level is Level.FAULT
    assert "check url" in findings[-1].remedy
