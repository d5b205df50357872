"""Security Lake against moto: STS and S3 that are not ours, over HTTP, read back by boto3."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow.parquet as pq
import pytest
from botocore.config import Config as Settings
from cases import PEER, RECEIVED, folders
from engine import ENGINES, needed

from datto_siem.converters import Converter
from datto_siem.plugins.options import build
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Context, Item, Level, Next
from datto_siem.plugins.sinks import security_lake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

SERVER = ENGINES / "moto" / "bin" / "moto_server"
ROLE = "arn:aws:iam::123456789012:role/AmazonSecurityLake-Provider-{source}-{region}"
PATIENCE = 60.0
BUCKET = "aws-security-data-lake-eu-west-1-example"
LINES = [
    line
    for folder in folders()
    for line in (folder / "event.log").read_bytes().split(b"\n")
    if line.strip()
]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    needed(SERVER.exists(), "moto_server")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [str(SERVER), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + PATIENCE
            while not _answers(port):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            client = _client(url)
            where = {"LocationConstraint": "eu-west-1"}
            client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
            client.close()
            yield url
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _client(url: str) -> Any:
    session = boto3.session.Session("testing", "testing", region_name="eu-west-1")
    return session.client("s3", endpoint_url=url, config=Settings(retries={"max_attempts": 1}))


@pytest.fixture
def connect(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("KEY_ID", "testing")
    monkeypatch.setenv("KEY", "testing")
    monkeypatch.setenv("EXTERNAL", "an-external-id")
    opened = []

    def make(**options: Any) -> security_lake.SecurityLake:
        given = {
            "bucket": BUCKET,
            "region": "eu-west-1",
            "role": ROLE,
            "external_id": {"env": "EXTERNAL"},
            "access_key_id": {"env": "KEY_ID"},
            "secret_access_key": {"env": "KEY"},
            "base_event": "datto-other",
            "endpoint": moto,
            "sts_endpoint": moto,
            **options,
        }
        config = build(security_lake.Config, given)
        sink = security_lake.connect(config, Context("lake", tmp_path))
        opened.append(sink)
        return sink

    yield make
    for sink in opened:
        sink.close()


def test_every_fixture_is_in_the_bucket_once_however_often_it_is_sent(
    connect: Any, moto: str
) -> None:
    client = _client(moto)
    try:
        for _ in range(2):
            sink = connect()
            found: dict[str, list[Item]] = {}
            for at, line in enumerate(LINES):
                item = sink.item(Record(line, RECEIVED, PEER, at))
                found.setdefault(item.key, []).append(item)
            for items in found.values():
                assert sink.send(items) == TAKEN
        listed = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert len(listed) == len(found)
        ids = []
        for key in listed:
            body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            rows = pq.read_table(io.BytesIO(body)).to_pylist()
            ids += [row["metadata"]["uid"] for row in rows]
            assert key.startswith(f"ext/{sink.config.by_class[str(rows[0]['class_uid'])]}/region=")
    finally:
        client.close()
    encode = Converter("ocsf", "1.3.0").encode
    wanted = [
        json.loads(encode(line, RECEIVED, PEER, ordinal=at))["metadata"]["uid"]
        for at, line in enumerate(LINES)
    ]
    assert sorted(ids) == sorted(wanted)


def test_doctor_assumes_every_role(connect: Any) -> None:
    found = list(connect().check(None))
    assert [each.level for each in found] == [Level.GOOD] * 7
    assert found[0].what == "role of datto-auth"


def test_no_such_bucket_keeps_everything(connect: Any) -> None:
    sink = connect(bucket="nobody-made-this")
    reply = sink.send([sink.item(Record(LINES[0], RECEIVED, PEER, 0))])
    assert (list(reply.left), reply.next) == ([0], Next.HALT)
    assert "NoSuchBucket: check bucket" in reply.reason


def test_nobody_there(connect: Any) -> None:
    sink = connect(sts_endpoint="http://127.0.0.1:1")
    reply = sink.send([sink.item(Record(LINES[0], RECEIVED, PEER, 0))])
    assert (list(reply.left), reply.next) == ([0], Next.RETRY)
    assert next(iter(sink.check(None))).level is Level.FAULT
