"""The Security Lake sink without AWS: shapes, Parquet read back by pyarrow, names, answers.

`tests/engines/test_security_lake_moto.py` puts the objects into an S3 that is not ours.
"""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from cases import FIXTURES, PEER, RECEIVED, folders
from lines import generate

from datto_siem.converters import Converter
from datto_siem.plugins.options import build
from datto_siem.plugins.record import Record
from datto_siem.plugins.shape import MAP, Misfit, fitted, shapes
from datto_siem.plugins.sink import TAKEN, Context, Item, Level, Next
from datto_siem.plugins.sinks import security_lake
from datto_siem.plugins.sinks._lake_s3 import Access, Bucket
from datto_siem.plugins.transport import Http, Tls

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = ("1.1.0", "1.2.0", "1.3.0")
LINES = [
    line
    for folder in [*folders(), FIXTURES / "hostile", FIXTURES / "foreign"]
    for path in sorted(folder.glob("*.log"))
    for line in path.read_bytes().split(b"\n")
    if line.strip()
] + [line.raw for line in generate(500, 5)]
PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=%d dmac:02:00:5E:10:00:01"
    b" smac=02:00:5E:10:00:02 cs2:Guest cs2Label=SSID"
)


class Kept:
    """Stands for the S3 client: keeps objects, fails by script."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.script: list[Exception] = []

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        if self.script:
            raise self.script.pop(0)
        assert Bucket == "lake"
        self.puts.append(Key)
        self.objects[Key] = Body

    def close(self) -> None:
        pass


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    made = Kept()
    monkeypatch.setattr(Bucket, "client", lambda self, source: made)
    return made


def connect(tmp_path: Path, **options: Any) -> security_lake.SecurityLake:
    given = {"bucket": "lake", "region": "eu-west-1", **options}
    return security_lake.connect(build(security_lake.Config, given), Context("lake", tmp_path))


def record(raw: bytes, offset: int = 0) -> Record:
    return Record(raw, RECEIVED, PEER, offset)


def partitions(sink: security_lake.SecurityLake, lines: list[bytes]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for at, line in enumerate(lines):
        item = sink.item(record(line, at))
        if item is not None:
            found.setdefault(item.key, []).append(item)
    return found


def table(body: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(body))


def document(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the document it was made of: absent fields out, maps as objects."""
    found = {}
    for name, value in row.items():
        if name == "unmapped" and value is not None:
            found[name] = dict(value)
        elif value is not None:
            found[name] = _without_nulls(value)
    return {name: value for name, value in found.items() if value != {}}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {name: _without_nulls(each) for name, each in value.items() if each is not None}
        return {name: each for name, each in inner.items() if each != {}}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def flat(document: dict[str, Any]) -> dict[str, Any]:
    """A document as the lake holds it: values of `unmapped` are texts."""
    if "unmapped" not in document:
        return document
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in document["unmapped"].items()
    }
    return {**document, "unmapped": texts}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_comes_back_exactly(kept: Kept, tmp_path: Path, version: str) -> None:
    sink = connect(tmp_path, ocsf_version=version, base_event="datto-other")
    found = partitions(sink, LINES)
    assert sum(map(len, found.values())) == len(LINES)
    for items in found.values():
        assert sink.send(items) == TAKEN
    assert len(kept.objects) == len(found)
    got: list[Any] = []
    for key, body in kept.objects.items():
        rows = table(body).to_pylist()
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
        (class_uid,) = {row["class_uid"] for row in rows}
        assert key.startswith(f"ext/{sink.config.by_class[str(class_uid)]}/region=eu-west-1/")
        got += map(document, rows)
    encode = Converter("ocsf", version).encode
    wanted = [
        flat(json.loads(encode(line, RECEIVED, PEER, ordinal=at))) for at, line in enumerate(LINES)
    ]

    def by_id(each: dict[str, Any]) -> Any:
        return each["metadata"]["uid"]

    assert sorted(got, key=by_id) == sorted(wanted, key=by_id)


def test_the_partition_is_that_of_the_document(tmp_path: Path) -> None:
    sink = connect(tmp_path, base_event="datto-other")
    for at, line in enumerate(LINES):
        item = sink.item(record(line, at))
        assert item is not None
        uid, account, day = item.key.split("/")
        content = json.loads(item.body)
        assert (uid, account) == (str(content["class_uid"]), "external")
        if abs(content["time"] - RECEIVED) < 86_400_000:
            assert day == security_lake._day(content["time"])


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas_are_fixed_and_typed(kept: Kept, tmp_path: Path, version: str) -> None:
    sink = connect(tmp_path, ocsf_version=version, base_event="datto-other")
    for at, line in enumerate(LINES[:60]):  # objects of one event each have the same columns
        item = sink.item(record(line, at))
        assert item is not None
        assert sink.send([item]) == TAKEN
        name = kept.puts[-1]
        uid = int(item.key.split("/")[0])
        assert columns(kept.objects[name]) == columns_of(sink.schemas[uid])
    net = sink.schemas[4001]
    assert net.field("time").type == pa.int64()
    assert net.field("class_uid").type == pa.int32()
    assert net.field("unmapped").type == pa.map_(pa.string(), pa.string())
    assert net.names == sorted(net.names)


def columns(body: bytes) -> list[str]:
    """Path, physical and logical type of every leaf."""
    found = pq.ParquetFile(io.BytesIO(body)).schema
    leaves = [found.column(at) for at in range(len(found))]
    return [f"{each.path} {each.physical_type} {each.logical_type}" for each in leaves]


def columns_of(schema: pa.Schema) -> list[str]:
    out = io.BytesIO()
    pq.write_table(schema.empty_table(), out, version="2.4", store_schema=False)
    return columns(out.getvalue())


def test_the_file_is_as_the_lake_wants_it(kept: Kept, tmp_path: Path) -> None:
    sink = connect(tmp_path)
    lines = [PROBE % (RECEIVED - at) for at in range(3000)]
    ((key, items),) = partitions(sink, lines).items()
    assert key == "4001/external/20261124"
    assert sink.send(items) == TAKEN
    ((name, body),) = kept.objects.items()
    folder = "ext/datto-net/region=eu-west-1/accountId=external/eventDay=20261124/"
    assert name.startswith(folder)
    assert len(name) == len(folder) + 36 + len(".parquet")
    about = pq.ParquetFile(io.BytesIO(body)).metadata
    assert (about.num_row_groups, about.num_rows) == (1, 3000)
    group = about.row_group(0)
    assert {group.column(at).compression for at in range(group.num_columns)} == {"ZSTD"}
    assert group.total_byte_size < 256_000_000


def test_sent_again_an_object_replaces_itself(kept: Kept, tmp_path: Path) -> None:
    lines = [PROBE % (RECEIVED + at) for at in range(20)]
    ((_, items),) = partitions(connect(tmp_path), lines).items()
    assert connect(tmp_path).send(items) == TAKEN
    first = dict(kept.objects)
    assert connect(tmp_path).send(items) == TAKEN
    assert kept.objects == first
    assert connect(tmp_path).send(items[:10]) == TAKEN
    assert len(kept.objects) == 2


def test_what_does_not_fit_is_refused_alone(kept: Kept, tmp_path: Path) -> None:
    sink = connect(tmp_path)
    ((key, items),) = partitions(sink, [PROBE % RECEIVED] * 5).items()
    broken = json.loads(items[0].body)
    bad = [{**broken, "surprise": 1}, {**broken, "severity_id": 2**31}, {**broken, "time": "now"}]
    mixed = [items[0], *(Item(json.dumps(each).encode(), key) for each in bad), items[4]]
    reply = sink.send(mixed)
    assert list(reply.rejected) == [1, 2, 3]
    assert not reply.left
    assert "surprise" in reply.rejected[1]
    ((_, body),) = kept.objects.items()
    assert table(body).num_rows == 2
    only = sink.send(mixed[1:2])
    assert list(only.rejected) == [0]
    assert len(kept.puts) == 1
    kept.script.append(failure("SlowDown", 503))
    again = sink.send(mixed)  # what is left is sent alone later, and has the same name
    assert (list(again.left), again.next, list(again.rejected)) == ([0, 4], Next.RETRY, [1, 2, 3])
    assert sink.send([mixed[at] for at in again.left]) == TAKEN
    assert len(kept.objects) == 1


def failure(code: str, status: int) -> ClientError:
    said = {
        "Error": {"Code": code, "Message": "secret-in-message"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(said, "PutObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "then"),
    [
        (failure("AccessDenied", 403), Next.HALT),
        (failure("NoSuchBucket", 404), Next.HALT),
        (failure("InvalidAccessKeyId", 403), Next.HALT),
        (failure("RequestTimeTooSkewed", 403), Next.HALT),
        (failure("PermanentRedirect", 301), Next.HALT),
        (NoCredentialsError(), Next.HALT),
        (failure("SlowDown", 503), Next.RETRY),
        (failure("RequestTimeout", 400), Next.RETRY),
        (failure("InternalError", 500), Next.RETRY),
        (failure("", 502), Next.RETRY),
        (EndpointConnectionError(endpoint_url="https://x"), Next.RETRY),
        (TimeoutError(), Next.RETRY),
    ],
)
def test_what_errors_mean(kept: Kept, tmp_path: Path, error: Exception, then: Next) -> None:
    sink = connect(tmp_path)
    ((_, items),) = partitions(sink, [PROBE % RECEIVED] * 3).items()
    kept.script.append(error)
    reply = sink.send(items)
    assert (list(reply.left), reply.next, dict(reply.rejected)) == ([0, 1, 2], then, {})
    assert reply.reason
    assert "secret-in-message" not in reply.reason
    assert sink.send(items) == TAKEN


def test_expired_credentials_are_fetched_once_more(kept: Kept, tmp_path: Path) -> None:
    sink = connect(tmp_path)
    ((_, items),) = partitions(sink, [PROBE % RECEIVED]).items()
    kept.script.append(failure("ExpiredToken", 400))
    assert sink.send(items) == TAKEN
    kept.script += [failure("ExpiredToken", 400)] * 2
    assert sink.send(items).next is Next.RETRY


def test_classes_without_a_source_are_skipped(tmp_path: Path) -> None:
    unknown = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|x=1"
    assert connect(tmp_path).item(record(unknown)) is None
    item = connect(tmp_path, base_event="datto-other").item(record(unknown))
    assert item is not None
    assert item.key.startswith("0/")
    assert connect(tmp_path, sources={"4003": "dns"}).item(record(PROBE % RECEIVED)) is None


def test_the_wire_chooses_no_path(tmp_path: Path) -> None:
    dns = next(line for line in LINES if b"coredns|" in line and b"identification_code" in line)
    code = json.loads(Converter("ocsf", "1.3.0").encode(dns, RECEIVED, PEER))["metadata"]
    sink = connect(tmp_path, accounts={code["tenant_uid"]: "external_acme"})
    item = sink.item(record(dns))
    assert item is not None
    assert item.key.split("/")[1] == "external_acme"
    forged = dns.replace(b"identification_code=", b"tenant_uid=")
    item = sink.item(record(forged))
    assert item is not None
    assert json.loads(item.body)["unmapped"]["tenant_uid"] == code["tenant_uid"]
    for line in (forged, PROBE % RECEIVED, dns.replace(code["tenant_uid"].encode(), b"../../x")):
        item = sink.item(record(line))
        assert item is not None
        assert item.key.split("/")[1] == "external"


@pytest.mark.parametrize(
    ("shift", "day"),
    [(0, "20261124"), (-86_400_000, "20261123"), (-400 * 86_400_000, "20261124")],
)
def test_days_far_off_are_the_day_of_receipt(tmp_path: Path, shift: int, day: str) -> None:
    item = connect(tmp_path).item(record(PROBE % (RECEIVED + shift)))
    assert item is not None
    assert item.key == f"4001/external/{day}"


def test_a_version_in_the_path(kept: Kept, tmp_path: Path) -> None:
    sink = connect(tmp_path, source_version="2", sources={"4001": "net"}, account="external_a")
    item = sink.item(record(PROBE % RECEIVED))
    assert item is not None
    assert sink.send([item]) == TAKEN
    assert kept.puts[0].startswith("ext/net/2/region=eu-west-1/accountId=external_a/eventDay=")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"access_key_id": {"env": "A"}}, "both"),
        ({"external_id": {"env": "A"}}, "role"),
        ({"max_bytes": "1GB"}, "row group"),
        ({"sources": {"4001": "a", "4003": "a"}}, "one class"),
        ({"base_event": "datto-net"}, "one class"),
        ({"accounts": {"x": "../y"}}, "object's name"),
        ({"sources": {"4001": "a/b"}}, "object's name"),
    ],
)
def test_faults_of_the_configuration(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        build(security_lake.Config, {"bucket": "lake", "region": "eu-west-1", **options})


def test_doctor(kept: Kept, tmp_path: Path) -> None:
    sink = connect(tmp_path)
    assert [each.level for each in sink.check(None)] == [Level.GOOD]
    assert kept.puts == []
    assert [each.level for each in sink.check(record(PROBE % RECEIVED))] == [Level.GOOD] * 2
    assert len(kept.puts) == 1
    kept.script.append(failure("AccessDenied", 403))
    last = list(sink.check(record(PROBE % RECEIVED)))[-1]
    assert last.level is Level.FAULT
    assert "role" in last.said
    assert list(sink.check(record(b"CEF:1|a|b|c|d|e|0|")))[-1].level is Level.WARNING


def test_without_a_secret_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    from datto_siem.plugins.secret import Secret

    monkeypatch.delenv("NO_KEY", raising=False)
    secret = Secret(env="NO_KEY")
    access = Access("lake", "eu-west-1", None, None, secret, secret, None, None, "x")
    refusal = Bucket(access, Tls(), Http()).put("s", "k", b"")
    assert refusal is not None
    assert refusal.next is Next.HALT
    assert "NO_KEY" in refusal.reason


class Aws:
    """Stands for boto3's sessions: its credentials end when told, what is asked is kept."""

    def __init__(self, lives: float) -> None:
        self.lives = lives
        self.asked: list[dict[str, Any]] = []
        self.sessions: list[tuple[Any, ...]] = []
        self.s3 = Kept()

    def session(self, *args: Any, **options: Any) -> Aws:
        self.sessions.append((*args, options))
        return self

    def client(self, service: str, **options: Any) -> Any:
        return self.s3 if service == "s3" else self

    def assume_role(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        ends = datetime.now(timezone.utc) + timedelta(seconds=self.lives)
        given = {"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"}
        return {"Credentials": {**given, "Expiration": ends}}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("lives", "assumed"), [(3600, 1), (60, 3)])
def test_a_role_is_assumed_by_source_and_anew_before_it_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lives: float, assumed: int
) -> None:
    aws = Aws(lives)
    monkeypatch.setattr("boto3.session.Session", aws.session)
    monkeypatch.setenv("EXTERNAL", "an-id")
    role = "arn:aws:iam::123456789012:role/AmazonSecurityLake-Provider-{source}-{region}"
    sink = connect(tmp_path, role=role, external_id={"env": "EXTERNAL"})
    ((_, items),) = partitions(sink, [PROBE % RECEIVED]).items()
    for _ in range(3):
        assert sink.send(items) == TAKEN
    assert len(aws.asked) == assumed
    assert aws.asked[0] == {
        "RoleArn": role.replace("{source}", "datto-net").replace("{region}", "eu-west-1"),
        "RoleSessionName": "datto-siem",
        "ExternalId": "an-id",
    }
    assert aws.sessions[1][:3] == ("a", "b", "c")
    if lives == 3600:
        aws.s3.script.append(failure("ExpiredToken", 400))
        assert sink.send(items) == TAKEN
        assert len(aws.asked) == 2
        list(sink.check(None))
        assert len({each["RoleArn"] for each in aws.asked}) == len(security_lake.SOURCES)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": "x"}, "a: no integer"),
        ({"a": True}, "a: no integer"),
        ({"b": {"c": 1}}, "b.c: no text"),
        ({"b": {"d": 1}}, "b.d: the class"),
        ({"b": []}, "b: no object"),
        ({"m": 1}, "m: no object"),
    ],
)
def test_a_misfit_says_where(value: dict[str, Any], where: str) -> None:
    with pytest.raises(Misfit, match=where):
        fitted(value, {"a": "integer", "b": {"c": "text"}, "m": MAP})


def test_shapes_hold_every_class_of_the_tables() -> None:
    assert set(shapes(Converter("ocsf", "1.3.0"), "1.3.0")) == {
        *map(int, security_lake.SOURCES),
        0,
    }
