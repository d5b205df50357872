"""The HTTP sink against a small server that keeps what it gets and answers by script."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cases import RECEIVED, folders

from datto_siem.converters import Converter
from datto_siem.plugins.options import build
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Context, Level, Next
from datto_siem.plugins.sinks import http
from datto_siem.plugins.sinks._http_presets import presets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300456 dmac:02:00:5E:10:00:01"
    b" smac=02:00:5E:10:00:02 cs2:Guest cs2Label=SSID"
)
SECRET = "s3cret-Value-0123456789"  # noqa: S105
LINES = [
    line
    for folder in folders()
    for line in (folder / "event.log").read_bytes().split(b"\n")
    if line.strip()
]


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Server(ThreadingHTTPServer):
    """Answers with `script`'s next (status, headers, body), else 200; refuses marked bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Request] = []
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.refuses: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/in"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._answer(body)

    def do_OPTIONS(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        server = self.server
        server.seen.append(Request(self.command, self.path, dict(self.headers), body))
        status, headers, said = 200, {}, b""
        if server.refuses is not None and server.refuses in body:
            status, said = 400, b"bad event"
        elif server.script:
            status, headers, said = server.script.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def connect(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., http.HttpSink]]:
    monkeypatch.setenv("KEY", SECRET)
    opened = []

    def make(**options: Any) -> http.HttpSink:
        config = build(http.Config, {"url": server.url, **options})
        sink = http.connect(config, Context("out", tmp_path))
        opened.append(sink)
        return sink

    yield make
    for sink in opened:
        sink.close()


def record(raw: bytes = PROBE, offset: int = 7) -> Record:
    return Record(raw, RECEIVED, "192.0.2.1", offset)


@pytest.mark.parametrize("to", ["ocsf", "ecs", "cim", "asim", "csl"])
@pytest.mark.parametrize("framing", ["ndjson", "array", "bundle"])
def test_every_fixture_arrives_as_the_converter_made_it(
    server: Server, connect: Callable[..., http.HttpSink], to: str, framing: str
) -> None:
    if framing == "bundle" and to != "ocsf":
        with pytest.raises(ValueError, match="bundle"):
            connect(to=to, framing=framing)
        return
    sink = connect(to=to, framing=framing)
    items = [sink.item(record(line, at)) for at, line in enumerate(LINES)]
    assert sink.send(items) == TAKEN
    encode = Converter(to).encode
    wanted = [
        json.loads(encode(line, RECEIVED, "192.0.2.1", ordinal=at)) for at, line in enumerate(LINES)
    ]
    (request,) = server.seen
    assert request.headers["Content-Encoding"] == "gzip"
    if framing == "ndjson":
        assert request.headers["Content-Type"] == "application/x-ndjson"
        got: Any = [json.loads(line) for line in request.body.splitlines()]
    else:
        assert request.headers["Content-Type"] == "application/json"
        got = json.loads(request.body)
    if framing == "bundle":
        times = [each["time"] for each in wanted]
        assert (got["start_time"], got["end_time"]) == (min(times), max(times))
        assert got["count"] == len(LINES)
        got = got["events"]
    assert got == wanted
    bound = sink.batching.fixed + sum(len(item.body) + sink.batching.each for item in items)
    assert len(request.body) <= bound


def test_a_raw_line_is_as_it_came_and_stays_one_line(
    server: Server, connect: Callable[..., http.HttpSink]
) -> None:
    sink = connect(to="raw")
    lines = [PROBE + b"\r\n", b"<13>a\nb\xff", b""]
    assert sink.send([sink.item(record(line)) for line in lines]) == TAKEN
    body = server.seen[0].body.split(b"\n")
    assert body[:2] == [PROBE, b"<13>a\\nb\xff"]
    assert body[2].startswith(b"CEF:0|unknown|")
    assert body[3:] == [b""]
    sink = connect(to="raw", framing="array")
    assert sink.send([sink.item(record(b'a"\xff'))]) == TAKEN
    assert json.loads(server.seen[1].body) == ['a"\\xff']


def test_a_repaired_cef_line(server: Server, connect: Callable[..., http.HttpSink]) -> None:
    sink = connect(to="cef")
    sink.send([sink.item(record())])
    assert server.seen[0].body.startswith(b"CEF:0|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=")
    assert b" dmac=02:00:5E:10:00:01 " in server.seen[0].body
    assert server.seen[0].headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"token": {"env": "KEY"}}, "Authorization", f"Bearer {SECRET}"),
        ({"token": {"env": "KEY"}, "token_header": "X-Key"}, "X-Key", SECRET),
        ({"secret_headers": {"X-Api": {"env": "KEY"}}}, "X-Api", SECRET),
        ({"headers": {"X-Tenant": "blue"}}, "X-Tenant", "blue"),
        ({"content_type": "application/json"}, "Content-Type", "application/json"),
        (
            {"username": "u", "password": {"env": "KEY"}},
            "Authorization",
            "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode(),
        ),
    ],
)
def test_headers(
    server: Server,
    connect: Callable[..., http.HttpSink],
    options: dict[str, Any],
    header: str,
    value: str,
) -> None:
    sink = connect(**options)
    assert sink.send([sink.item(record())]) == TAKEN
    assert server.seen[0].headers[header] == value


@pytest.mark.parametrize(
    ("status", "then"),
    [
        *((status, Next.RETRY) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, Next.HALT) for status in (301, 307, 401, 403, 404, 405, 407, 415)),
        *((status, Next.SPLIT) for status in (400, 409, 413, 422)),
    ],
)
def test_what_answers_mean(
    server: Server, connect: Callable[..., http.HttpSink], status: int, then: Next
) -> None:
    sink = connect(token={"env": "KEY"})
    server.script.append((status, {"Retry-After": "7"}, f"no: {SECRET}".encode()))
    reply = sink.send([sink.item(record()), sink.item(record())])
    assert (list(reply.left), reply.next, dict(reply.rejected)) == ([0, 1], then, {})
    assert reply.after == (7.0 if then is Next.RETRY else None)
    assert SECRET not in reply.reason
    assert f"HTTP {status} no: ***" in reply.reason


def test_one_bad_event_costs_its_neighbours_nothing(
    server: Server, connect: Callable[..., http.HttpSink]
) -> None:
    sink = connect(to="raw")
    server.refuses = b"poison"
    pending = [[sink.item(record(b"poison" if at == 5 else b"good %d" % at)) for at in range(11)]]
    dead, taken = [], []
    while pending:
        items = pending.pop()
        reply = sink.send(items)
        if reply.left:
            assert reply.next is Next.SPLIT
            half = len(items) // 2
            pending += [items[:half], items[half:]]
        else:
            dead += [items[at].body for at in reply.rejected]
            taken += [item.body for at, item in enumerate(items) if at not in reply.rejected]
    assert dead == [b"poison"]
    assert sorted(taken) == sorted(b"good %d" % at for at in range(11) if at != 5)


def test_without_a_secret_or_a_server_everything_is_kept(
    connect: Callable[..., http.HttpSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = connect(token={"env": "KEY"})
    for bad in ("", "line\nbreak"):
        monkeypatch.setenv("KEY", bad)
        assert sink.send([sink.item(record())]).next is Next.HALT
    gone = connect(url="http://127.0.0.1:1/")
    reply = gone.send([gone.item(record())])
    assert (list(reply.left), reply.next) == ([0], Next.RETRY)


def test_presets_fill_what_is_not_given(
    server: Server, connect: Callable[..., http.HttpSink]
) -> None:
    key = {"token": {"env": "KEY"}}
    sekoia = build(http.Config, {"preset": "sekoia", **key})
    assert sekoia.address == "https://intake.sekoia.io/plain/batch"
    other = build(http.Config, {"preset": "sekoia", "region": "fra2", **key})
    assert other.address == "https://intake.fra2.sekoia.io/api/v1/intake-http/plain/batch"
    sink = connect(preset="sekoia", **key)
    sink.send([sink.item(record())])
    assert server.seen[0].headers["X-SEKOIAIO-INTAKE-KEY"] == SECRET
    assert json.loads(server.seen[0].body)["metadata"]["version"] == "1.3.0"
    sink = connect(preset="datadog", **key)
    sink.send([sink.item(record())])
    assert server.seen[1].headers["DD-API-KEY"] == SECRET
    ((event,),) = [json.loads(server.seen[1].body)]
    assert event["ocsf"]["metadata"]["version"] == "1.8.0"
    sink = connect(preset="sekoia", to="ecs", framing="array", **key)
    sink.send([sink.item(record())])
    assert "@timestamp" in json.loads(server.seen[2].body)[0]


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_delivers(
    server: Server, connect: Callable[..., http.HttpSink], name: str
) -> None:
    sink = connect(preset=name, token={"env": "KEY"})
    assert sink.send([sink.item(record())]) == TAKEN
    assert json.loads(server.seen[0].body)
    assert presets()[name].notes


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"url": None}, "url"),
        ({"url": None, "preset": "tenzir"}, "url"),
        ({"url": "https://u:p@x/"}, "no user"),
        ({"region": "eu"}, "region"),
        ({"ocsf_version": "9.9.9"}, "there is"),
        ({"ocsf_version": "1.3.0", "to": "ecs"}, "only with"),
        ({"under": "x", "to": "raw"}, "under"),
        ({"username": "u"}, "both"),
        ({"headers": {"Authorization": "Bearer x"}}, "secret"),
        ({"headers": {"Content-Length": "1"}}, "set by the forwarder"),
        ({"headers": {"X": "a\r\nY: b"}}, "signs"),
        (
            {"token": {"env": "K"}, "username": "u", "password": {"env": "K"}},
            "not both",
        ),
    ],
)
def test_faults_of_the_configuration(options: dict[str, Any], fault: str) -> None:
    given = {"url": "https://example.com/", **options}
    with pytest.raises(ValueError, match=fault):
        build(http.Config, {name: value for name, value in given.items() if value is not None})


def test_doctor(
    server: Server, connect: Callable[..., http.HttpSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = connect(token={"env": "KEY"})
    found = list(sink.check(None))
    assert [each.what for each in found] == ["encryption", "reach http://127.0.0.1", "credential"]
    assert [request.method for request in server.seen] == ["OPTIONS"]
    assert "Authorization" not in server.seen[0].headers
    assert list(sink.check(record()))[-1].level is Level.GOOD
    server.script += [(204, {}, b""), (403, {}, b"")]
    assert list(sink.check(record()))[-1].level is Level.FAULT
    monkeypatch.delenv("KEY")
    assert list(sink.check(None))[-1].level is Level.FAULT
    gone = list(connect(url="http://127.0.0.1:1/").check(None))
    assert gone[-1].level is Level.FAULT
    assert gone[-1].remedy
