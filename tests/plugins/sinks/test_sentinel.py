"""The Sentinel sink against the TLS fake: rows, streams, sizes, tokens, every answer, doctor.

`tests/engines/test_sentinel_sdk.py` proves the fake by Microsoft's own client.
"""

from __future__ import annotations

import json
import socket
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cases import FIXTURES, RECEIVED, folders
from engine import needed
from hypothesis import given
from hypothesis import strategies as st
from lines import generate
from peers.sentinel_fake import CLIENT, DCR, SECRET, TENANT, SentinelFake

from datto_siem.converters import Converter
from datto_siem.converters.schemas import columns
from datto_siem.plugins.options import Duration, build
from datto_siem.plugins.record import Record
from datto_siem.plugins.secret import Secret
from datto_siem.plugins.sentinel_streams import STREAMS
from datto_siem.plugins.sink import TAKEN, Context, Item, Level, Next
from datto_siem.plugins.sinks import sentinel
from datto_siem.plugins.sinks._sentinel_rows import MOST, half_hour, routed, trimmed
from datto_siem.plugins.sinks._sentinel_token import ByIdentity, BySecret, Refused, Tokens
from datto_siem.plugins.transport import Http, Tls, Transport, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300456 dmac:02:00:5E:10:00:01"
    b" smac=02:00:5E:10:00:02 cs2:Guest cs2Label=SSID"
)
UNKNOWN = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300456 Type=ASimDnsActivityLogs x=%s"
)
BYTES = {table.encode(): stream for table, stream in STREAMS.items()}


def record(raw: bytes = PROBE, offset: int = 7) -> Record:
    return Record(raw, RECEIVED, "192.0.2.1", offset)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[SentinelFake]:
    with SentinelFake(tmp_path) as server:
        yield server


@pytest.fixture
def connect(
    fake: SentinelFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., sentinel.Sentinel]]:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    opened = []

    def make(**options: Any) -> sentinel.Sentinel:
        given = {
            "endpoint": fake.url,
            "login": fake.url,
            "dcr": DCR,
            "tenant": TENANT,
            "client_id": CLIENT,
            "client_secret": {"env": "AZURE_CLIENT_SECRET"},
            "tls": {"ca_file": str(fake.ca)},
            **options,
        }
        context = Context("sentinel", tmp_path / "state")
        sink = sentinel.connect(build(sentinel.Config, given), context)
        opened.append(sink)
        return sink

    yield make
    for sink in opened:
        sink.close()


def items(sink: sentinel.Sentinel, count: int, raw: bytes = PROBE) -> list[Item]:
    found = [sink.item(record(raw, at)) for at in range(count)]
    return [item for item in found if item is not None]


@pytest.mark.parametrize("to", ["asim", "csl"])
def test_every_fixture_lands_in_its_declared_stream(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel], to: str
) -> None:
    sink = connect(to=to)
    sent: dict[str, list[Item]] = {}
    lines = [
        line
        for folder in [*folders(), FIXTURES / "hostile", FIXTURES / "foreign"]
        for path in sorted(folder.glob("*.log"))
        for line in path.read_bytes().split(b"\n")
        if line.strip()
    ] + [line.raw for line in generate(500, 3)]
    for at, line in enumerate(lines):
        item = sink.item(record(line, at))
        assert item is not None
        sent.setdefault(item.key, []).append(item)
    for group in sent.values():
        for at in range(0, len(group), 200):
            assert sink.send(group[at : at + 200]) == TAKEN
    assert len(fake.taken()) == len(lines)
    expected = set(STREAMS.values()) - {STREAMS["CommonSecurityLog"]}
    assert set(fake.rows) == (expected if to == "asim" else {STREAMS["CommonSecurityLog"]})


def test_a_row_is_the_converters_without_its_type(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    item = sink.item(record())
    assert item is not None
    assert sink.send([item]) == TAKEN
    whole = json.loads(Converter("asim").encode(PROBE, RECEIVED, "192.0.2.1", None, 7))
    assert whole.pop("Type") == "ASimNetworkSessionLogs"
    assert fake.rows == {"Custom-DattoNetworkSession": [whole]}


@pytest.mark.parametrize("text", [b'a","Type":"ASimDnsActivityLogs', b"\\", b'{"Type":"X"}', b'"'])
def test_what_a_device_sends_does_not_choose_the_stream(
    connect: Callable[..., sentinel.Sentinel], text: bytes
) -> None:
    item = connect().item(record(UNKNOWN % text))
    assert item is not None
    assert item.key == "Custom-Datto_CL"
    row = json.loads(item.body)
    assert "Type" not in row
    assert row["Extensions"]["Type"] == "ASimDnsActivityLogs"


def test_no_column_behind_type_and_time_is_an_object() -> None:
    for name in STREAMS:
        later = [each for each in columns().table(name).values() if each.name > "TimeGenerated"]
        assert [each.name for each in later if each.type == "dynamic"] == [], name


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)), st.text(max_size=8))
def test_routing_takes_the_right_type_whatever_else_is_there(
    wire: dict[str, str], user: str
) -> None:
    row = {"Extensions": wire, "TimeGenerated": "2026-11-24T09:36:00.000Z", "Type": "Datto_CL"}
    for more in ({}, {"UserId": user}):
        document = orjson.dumps({**row, **more}, option=orjson.OPT_SORT_KEYS)
        body, stream = routed(document, BYTES)
        assert stream == "Custom-Datto_CL"
        assert json.loads(body) == {**{k: v for k, v in row.items() if k != "Type"}, **more}
        assert half_hour(body) == b"2026-11-24T09:30"


def test_batches_are_exactly_as_large_as_the_service_takes(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    fake.most = sink.batching.nbytes
    one = items(sink, 1)[0]
    fits = (MOST - sink.batching.fixed) // (len(one.body) + sink.batching.each)
    assert sink.send([one] * fits) == TAKEN
    reply = sink.send([one] * (fits + 1))
    assert (reply.next, len(reply.left)) == (Next.SPLIT, fits + 1)


def test_the_token_is_fetched_once_for_all_threads(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    batch = items(sink, 2)
    threads = [threading.Thread(target=sink.send, args=(batch,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fake.tokens == 1
    assert len(fake.taken()) == 12


def test_a_refused_token_is_fetched_anew_once(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    batch = items(sink, 2)
    assert sink.send(batch) == TAKEN
    fake.valid.clear()
    assert sink.send(batch) == TAKEN
    assert fake.tokens == 2
    fake.script += [(401, {}, b""), (401, {}, b"")]
    reply = sink.send(batch)
    assert (reply.next, list(reply.left)) == (Next.HALT, [0, 1])
    assert fake.tokens == 3


def test_a_token_is_renewed_before_it_ends() -> None:
    now, fetched = [0.0], []

    def fetch() -> tuple[str, float]:
        fetched.append(now[0])
        return f"t{len(fetched)}", 3600.0

    tokens = Tokens(fetch, lambda: now[0])
    assert [tokens.get(), tokens.get()] == ["t1", "t1"]
    now[0] = 3299
    assert tokens.get() == "t1"
    now[0] = 3300
    assert tokens.get() == "t2"
    tokens.drop("t1")
    assert tokens.get() == "t2"
    tokens.drop("t2")
    assert tokens.get() == "t3"


@pytest.mark.parametrize(
    ("status", "headers", "body", "then", "said"),
    [
        (408, {}, b"", Next.RETRY, "408"),
        (429, {"Retry-After": "17"}, b"", Next.RETRY, "429"),
        (500, {}, b"<html>", Next.RETRY, "500"),
        (503, {}, b'{"error":{"code":"Busy","message":"later"}}', Next.RETRY, "503 Busy: later"),
        (403, {}, b'{"error":{"code":"OperationFailed"}}', Next.HALT, "Monitoring Metrics"),
        (404, {}, b"", Next.HALT, "check endpoint"),
        (302, {"Location": "/"}, b"", Next.HALT, "check endpoint"),
        (400, {"x-ms-error-code": "InvalidPayload"}, b"", Next.SPLIT, "400 InvalidPayload"),
        (400, {}, b'{"error":[]}', Next.SPLIT, "400"),
        (413, {}, b"", Next.SPLIT, "413"),
        (418, {}, b"", Next.SPLIT, "418"),
    ],
)
def test_what_each_answer_means(
    fake: SentinelFake,
    connect: Callable[..., sentinel.Sentinel],
    status: int,
    headers: dict[str, str],
    body: bytes,
    then: Next,
    said: str,
) -> None:
    sink = connect()
    fake.script.append((status, headers, body))
    reply = sink.send(items(sink, 3))
    assert (reply.next, list(reply.left), reply.rejected) == (then, [0, 1, 2], {})
    assert said in reply.reason
    assert reply.after == (17 if "Retry-After" in headers else None)
    assert sink.send(items(sink, 3)) == TAKEN


def test_a_wide_time_range_goes_in_half_hours(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    fake.half_hours = True
    lines = [b"<13>Nov 24 0%d:%02d:00 sw link %d" % (at // 6, at % 6 * 10, at) for at in range(12)]
    batch = [item for at, line in enumerate(lines) if (item := sink.item(record(line, at)))]
    assert sink.send(batch) == TAKEN
    assert len(fake.taken()) == 12
    fake.script += [
        (400, {"x-ms-error-code": "RecordsTimeRangeIsMoreThan30Minutes"}, b""),
        None,
        (429, {"Retry-After": "5"}, b""),
    ]
    reply = sink.send(batch)
    assert (reply.next, list(reply.left), reply.after) == (Next.RETRY, [3, 4, 5], 5)


def test_a_single_row_too_large_is_sent_cut(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    fake.most = 4000
    row = orjson.dumps({"RawEvent": '"' * 5000, "TimeGenerated": "2026-11-24T09:36:00.000Z"})
    assert sink.send([Item(row, "Custom-Datto_CL")]).next == Next.SPLIT  # under MOST: no cut helps
    fake.most = MOST
    row = orjson.dumps({"RawEvent": '"' * MOST, "TimeGenerated": "2026-11-24T09:36:00.000Z"})
    assert sink.send([Item(row, "Custom-Datto_CL")]) == TAKEN
    assert fake.taken()[0]["RawEvent"].endswith("...")


@given(st.text('é"\\\x00a', min_size=1), st.integers(0, 3))
def test_cutting_fits_or_says_it_cannot(text: str, broad: int) -> None:
    long = text * (MOST // len(text) + 1)
    row = {"RawEvent": long, "TimeGenerated": "t", **({"Extensions": {"k": long}} if broad else {})}
    less = trimmed(orjson.dumps(row))
    assert less is not None
    assert len(less) + 2 <= MOST
    assert trimmed(orjson.dumps({"Activity": long})) is None


def test_without_a_service_nothing_is_taken(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"https://127.0.0.1:{free.getsockname()[1]}"
        for option in ("endpoint", "login"):
            sink = connect(**{option: gone})
            reply = sink.send(items(sink, 2))
            assert (reply.next, list(reply.left)) == (Next.RETRY, [0, 1])
            assert "refused" in reply.reason
    stranger = connect(tls={})  # the system's authorities do not know the fake's
    reply = stranger.send(items(stranger, 1))
    assert reply.next is Next.RETRY
    assert "not trusted" in reply.reason


@pytest.mark.parametrize(
    ("change", "answer", "then", "said"),
    [
        ({"tenant": "other"}, None, Next.HALT, "tenant or client_id is misspelt"),
        ({"client_id": "other"}, None, Next.HALT, "not an application of this tenant"),
        ({"client_secret": {"env": "WRONG"}}, None, Next.HALT, "new client secret"),
        ({"client_secret": {"env": "NONE"}}, None, Next.HALT, "NONE is not set"),
        ({}, (503, {}, b""), Next.RETRY, "503"),
        ({}, (429, {}, b""), Next.RETRY, "429"),
        ({}, (200, {}, b"{}"), Next.RETRY, "without a token"),
        ({}, (200, {}, b'{"access_token":"a\\nb"}'), Next.RETRY, "without a token"),
        ({}, (400, {}, b'["hush"]'), Next.HALT, "check tenant"),
        ({}, (400, {}, b'{"error":"\x1b[31mhush<script>"}'), Next.HALT, "check tenant"),
    ],
)
def test_what_the_login_service_answers(
    fake: SentinelFake,
    connect: Callable[..., sentinel.Sentinel],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    answer: Any,
    then: Next,
    said: str,
) -> None:
    monkeypatch.setenv("WRONG", "wrong-secret")
    monkeypatch.delenv("NONE", raising=False)
    fake.logins.append(answer)
    sink = connect(**change)
    reply = sink.send(items(sink, 2))
    assert (reply.next, list(reply.left)) == (then, [0, 1])
    assert said in reply.reason
    for hidden in ("wrong-secret", SECRET, "\x1b", "<"):
        assert hidden not in reply.reason


def test_credentials_of_azure_identity_are_told_apart() -> None:
    needed(find_spec("azure") is not None, "the extra azure")
    core = import_module("azure.core.exceptions")

    class Token:
        token = "t"  # noqa: S105  not a real one
        expires_on = 1060

    class Credential:
        error: Exception | None = None

        def get_token(self, scope: str) -> Token:
            assert scope == "scope"
            if self.error is not None:
                raise self.error
            return Token()

    credential = Credential()
    fetch = ByIdentity(credential, "scope", lambda: 1000.0)
    assert fetch() == ("t", 60.0)
    credential.error = core.ClientAuthenticationError("hush")
    with pytest.raises(Refused, match="ClientAuthenticationError") as caught:
        fetch()
    assert "hush" not in str(caught.value)
    credential.error = core.ServiceRequestError("hush")
    with pytest.raises(Unreachable):
        fetch()


def test_by_secret_asks_for_the_clouds_scope(fake: SentinelFake, monkeypatch: Any) -> None:
    monkeypatch.setenv("S", SECRET)
    transport = Transport(Tls(ca_file=str(fake.ca)), Http(timeout=Duration(5.0)), "test")
    try:
        fetch = BySecret(transport, fake.url, TENANT, CLIENT, Secret(env="S"), "scope")
        assert fetch() == ("token-1", 3600.0)
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tenant": None}, "needs tenant"),
        ({"credential": "certificate"}, "needs certificate"),
        ({"streams": {"Nope": "Custom-X"}}, "no table Nope"),
        ({"streams": {"Datto_CL": "../x"}}, "no stream name"),
    ],
)
def test_options_that_do_not_belong_together(
    connect: Callable[..., sentinel.Sentinel], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        connect(**change)


def test_doctor_looks_at_token_and_streams_and_delivers_a_test_record(
    fake: SentinelFake, connect: Callable[..., sentinel.Sentinel]
) -> None:
    sink = connect()
    findings = list(sink.check(record()))
    assert {finding.level for finding in findings} == {Level.GOOD}
    assert findings[0].what == "token"
    assert {f"stream {stream}" for stream in STREAMS.values()} <= {each.what for each in findings}
    assert len(fake.taken()) == 1
    fake.script += [(403, {}, b"")] + [None] * 6
    faults = [each for each in sink.check(None) if each.level is Level.FAULT]
    assert len(faults) == 1
    assert "Monitoring Metrics Publisher" in faults[0].remedy
    assert len(fake.taken()) == 1


def test_doctor_names_a_wrong_dcr_and_a_wrong_secret(
    connect: Callable[..., sentinel.Sentinel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG", "wrong-secret")
    found = list(connect(client_secret={"env": "WRONG"}).check(None))
    assert [finding.level for finding in found] == [Level.FAULT]
    faults = [each for each in connect(dcr="dcr-x").check(None) if each.level is Level.FAULT]
    assert len(faults) == len(STREAMS)
    assert "immutable id" in faults[0].remedy
