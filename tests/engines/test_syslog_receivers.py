"""The syslog sink against receivers that are not ours: rsyslog and syslog-ng from Debian."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cases import RECEIVED, folders
from engine import ENGINES, needed

from datto_siem.converters import Converter
from datto_siem.plugins.options import build
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Context
from datto_siem.plugins.sinks import syslog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

DAEMONS = ENGINES / "syslog-daemons"
PATIENCE = 60.0
LINES = [
    line
    for folder in folders()
    for line in (folder / "event.log").read_bytes().split(b"\n")
    if line.strip()
]
MENDED = [
    Converter("cef").encode(line, RECEIVED, "192.0.2.1", ordinal=at)
    for at, line in enumerate(LINES)
]
RSYSLOG = """\
global(workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="{folder}/ca.pem"
  defaultNetstreamDriverCertFile="{folder}/cert.pem"
  defaultNetstreamDriverKeyFile="{folder}/key.pem")
template(name="seen" type="list") {{
  property(name="pri") constant(value="|") property(name="hostname") constant(value="|")
  property(name="rawmsg-after-pri") constant(value="\\n") }}
{input}
action(type="omfile" file="{folder}/seen.log" template="seen")
"""
INPUTS = {
    "tcp": 'module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="{port}")',
    "udp": 'module(load="imudp") input(type="imudp" address="127.0.0.1" port="{port}")',
    "tls": 'module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"'
    ' streamDriver.authMode="anon") input(type="imtcp" address="127.0.0.1" port="{port}")',
}
SYSLOG_NG = """\
@version: current
options {{ stats-freq(0); keep-hostname(yes); }};
source s {{ {driver} }};
destination d {{ file("{folder}/seen.log" template("$PRI|$HOST|$MSGHDR$MSG\\n")); }};
log {{ source(s); destination(d); }};
"""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., None]]:
    running = []

    def start(name: str, *arguments: str) -> None:
        program = DAEMONS / name
        needed(program.exists(), name)
        running.append(
            subprocess.Popen(  # noqa: S603
                [str(program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )

    yield start
    for process in running:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def delivered(folder: Path, send: Callable[[], Any], count: int) -> list[bytes]:
    """Send until the daemon listens, then wait for the lines."""
    until = time.monotonic() + PATIENCE
    while send() != TAKEN:
        assert time.monotonic() < until, "nobody listens"
        time.sleep(0.05)
    seen = folder / "seen.log"
    while not seen.exists() or seen.read_bytes().count(b"\n") < count:
        assert time.monotonic() < until, seen.read_bytes()[-500:] if seen.exists() else "nothing"
        time.sleep(0.05)
    return seen.read_bytes().splitlines()


def started(sink: syslog.SyslogSink, lines: list[bytes]) -> Callable[[], Any]:
    items = [sink.item(Record(line, RECEIVED, "192.0.2.1", at)) for at, line in enumerate(lines)]
    kept = [item for item in items if item is not None]
    assert len(kept) == len(lines)
    return lambda: sink.send(kept)


def connect(tmp_path: Path, port: int, **options: Any) -> syslog.SyslogSink:
    given = {"address": f"127.0.0.1:{port}", **options}
    return syslog.connect(build(syslog.Config, given), Context("out", tmp_path))


@pytest.mark.parametrize(
    ("protocol", "header", "framing"),
    [
        ("tcp", "rfc3164", "lf"),
        ("tcp", "rfc5424", "octet"),
        ("tls", "rfc5424", "octet"),
        ("tls", "rfc3164", "lf"),
    ],
)
def test_rsyslog_reads_every_line(
    tmp_path: Path, run: Callable[..., None], protocol: str, header: str, framing: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pair = authority.issue_cert("127.0.0.1")
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    pair.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    port = free_port(socket.SOCK_STREAM)
    conf = tmp_path / "rsyslog.conf"
    conf.write_text(
        RSYSLOG.format(folder=tmp_path, input=INPUTS[protocol].replace("{port}", str(port)))
    )
    run("rsyslogd", "-n", "-f", str(conf), "-i", str(tmp_path / "pid"))
    tls = {"tls": {"ca_file": str(tmp_path / "ca.pem")}} if protocol == "tls" else {}
    sink = connect(
        tmp_path, port, protocol=protocol, header=header, framing=framing, timeout="20s", **tls
    )
    try:
        seen = delivered(tmp_path, started(sink, LINES), len(LINES))
    finally:
        sink.close()
    seen = [line for line in seen if b"CEF:0|" in line]
    assert [line[line.index(b"CEF:0|") :] for line in seen] == MENDED
    for line, mended in zip(seen, MENDED, strict=True):
        priority, host, _ = line.split(b"|", 2)
        assert 160 <= int(priority) <= 167
        assert host
        if mended.startswith(b"CEF:0|Datto|AccessPoint|") and b"192.0.2.1" in line:
            assert host == b"192.0.2.1"


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_syslog_ng_reads_every_line(
    tmp_path: Path, run: Callable[..., None], protocol: str
) -> None:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    port = free_port(kind)
    driver = (
        f'network(ip("127.0.0.1") port({port}) transport("{protocol}") log-msg-size(65536)'
        " flags(no-multi-line));"
    )
    conf = tmp_path / "syslog-ng.conf"
    conf.write_text(SYSLOG_NG.format(folder=tmp_path, driver=driver))
    places = [f"--{name}={tmp_path / name}" for name in ("persist-file", "pidfile", "control")]
    run("syslog-ng", "-F", "--no-caps", "-f", str(conf), *places)
    sink = connect(tmp_path, port, protocol=protocol)
    try:
        if protocol == "udp":
            wait_until_bound(sink)
        seen = delivered(tmp_path, started(sink, LINES), len(LINES))
    finally:
        sink.close()
    seen = [line for line in seen if b"n=ping" not in line]
    assert sorted(line[line.index(b"CEF:0|") :] for line in seen) == sorted(MENDED)
    assert {160 <= int(line.split(b"|")[0]) <= 167 for line in seen} == {True}


def wait_until_bound(sink: syslog.SyslogSink) -> None:
    """Datagrams are refused as long as nobody listens; two in a row that are not mean somebody."""
    ping = started(sink, [b"CEF:0|a|b|c|d|e|1|n=ping"])
    until = time.monotonic() + PATIENCE
    good = 0
    while good < 3:
        assert time.monotonic() < until, "nobody listens"
        good = good + 1 if ping() == TAKEN else 0
        time.sleep(0.02)
