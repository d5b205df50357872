"""rsyslog, syslog-ng and logger send to our listeners over UDP, TCP and TLS."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from fakes.recording_intake import RecordingIntake, running
from syslog_daemons import logger, rsyslog, syslog_ng

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import tcp, udp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

COUNT = 300
LINES = [
    b"<134>Nov 24 12:00:00 gw CEF:1|Datto|Access Point|7|1|probe|1|cnt=%d msg=\xc3\xa4 b\\=c" % n
    for n in range(COUNT)
]
FORWARD = 'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="{protocol}" {more})'
RAW = 'template="raw"'
COUNTED = 'TCP_Framing="octet-counted"'
GTLS = (
    'StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name"'
    ' StreamDriverPermittedPeers="localhost"'
)


class Receiver:
    """A listener of ours that runs."""

    def __init__(self, port: int, intake: RecordingIntake, meter: Meter) -> None:
        self.port, self.intake, self.meter = port, intake, meter

    def check(self) -> None:
        """Every line came, in order, whole, and nothing else did."""
        found = self.intake.wait(COUNT)
        assert len(found) == COUNT
        for line, raw in zip(LINES, found, strict=True):
            wanted = line[line.index(b"1|Datto") :]  # rsyslog takes CEF: for the tag
            assert raw.endswith(wanted)
        assert {arrival.peer for arrival in self.intake.arrivals} == {"127.0.0.1"}
        for name in ("framing_errors", "truncated_records"):
            assert self.meter.get(name, listener="test") == 0


@contextlib.contextmanager
def receiving(module: Any, **options: Any) -> Iterator[Receiver]:
    intake, meter = RecordingIntake(), Meter()
    config = build(module.Config, {"address": "127.0.0.1:0", **options})
    listener = module.open_listener(config, intake, meter, "test")
    with running(listener):
        yield Receiver(int(listener.address.rpartition(":")[2]), intake, meter)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an authority: ours in server.pem, a sender's in client.crt and client.key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert(
        "localhost", common_name="localhost"
    ).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    client = authority.issue_cert("sender.example", common_name="sender.example")
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.crt"))
    return folder


def mutual(folder: Path) -> dict[str, str]:
    server, ca = str(folder / "server.pem"), str(folder / "ca.pem")
    return {"cert": server, "ca_file": ca, "client_auth": "required"}


@pytest.mark.parametrize(
    ("module", "protocol", "more"),
    [
        (udp, "udp", RAW),
        (udp, "udp", ""),
        (tcp, "tcp", RAW),
        (tcp, "tcp", ""),
        (tcp, "tcp", COUNTED),
        (tcp, "tcp", f"{RAW} {COUNTED}"),
    ],
)
def test_rsyslog(module: Any, protocol: str, more: str) -> None:
    with receiving(module) as found:
        action = FORWARD.format(port=found.port, protocol=protocol, more=more)
        with rsyslog(action) as daemon:
            daemon.log(LINES)
            found.check()


def test_rsyslog_counts_lines_with_line_feeds_in_them() -> None:
    with receiving(tcp) as found:
        action = FORWARD.format(port=found.port, protocol="tcp", more=f"{RAW} {COUNTED}")
        with rsyslog(action, 'parser.escapeControlCharactersOnReceive="off"') as daemon:
            daemon.log([b"<134>one\n<134>still one", b"<134>two"])
            assert found.intake.wait(2) == [b"<134>one\n<134>still one", b"<134>two"]


@pytest.mark.parametrize("more", [RAW, f"{RAW} {COUNTED}"])
def test_rsyslog_over_tls_with_certificates_on_both_sides(certificates: Path, more: str) -> None:
    with receiving(tcp, tls=mutual(certificates)) as found:
        action = FORWARD.format(port=found.port, protocol="tcp", more=f"{more} {GTLS}")
        settings = (
            f'DefaultNetstreamDriverCAFile="{certificates}/ca.pem"'
            f' DefaultNetstreamDriverCertFile="{certificates}/client.crt"'
            f' DefaultNetstreamDriverKeyFile="{certificates}/client.key"'
        )
        with rsyslog(action, settings) as daemon:
            daemon.log(LINES)
            found.check()


@pytest.mark.parametrize(
    ("module", "action"),
    [
        (udp, 'network("127.0.0.1" transport(udp) port({port}) template("$MSG\\n"));'),
        (tcp, 'network("127.0.0.1" transport(tcp) port({port}) template("$MSG\\n"));'),
        (tcp, 'syslog("127.0.0.1" transport(tcp) port({port}));'),
    ],
)
def test_syslog_ng(module: Any, action: str) -> None:
    with receiving(module) as found, syslog_ng(action.format(port=found.port)) as daemon:
        daemon.log(LINES)
        found.check()


@pytest.mark.parametrize("driver", ["network", "syslog"])
def test_syslog_ng_over_tls_with_certificates_on_both_sides(
    certificates: Path, driver: str
) -> None:
    with receiving(tcp, tls=mutual(certificates)) as found:
        action = (
            f'{driver}("localhost" transport(tls) port({found.port}) ip-protocol(4)'
            f' tls(ca-file("{certificates}/ca.pem") cert-file("{certificates}/client.crt")'
            f' key-file("{certificates}/client.key") peer-verify(required-trusted)));'
        )
        with syslog_ng(action) as daemon:
            daemon.log(LINES)
            found.check()


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (udp, ["--udp", "--rfc3164"]),
        (udp, ["--udp", "--rfc5424"]),
        (tcp, ["--tcp", "--rfc3164"]),
        (tcp, ["--tcp", "--rfc5424"]),
        (tcp, ["--tcp", "--rfc5424", "--octet-count"]),
        (tcp, ["--tcp", "--rfc3164", "--octet-count"]),
    ],
)
def test_logger(module: Any, arguments: list[str]) -> None:
    with receiving(module) as found:
        to = ["--server", "127.0.0.1", "--port", str(found.port)]
        for number in range(3):
            logger(*to, *arguments, f"CEF:1|Datto|Access Point|7|1|probe|1|cnt={number}")
        raws = found.intake.wait(3)
        for number, raw in enumerate(sorted(raws)):
            assert raw.startswith(b"<13>")
            assert raw.endswith(b"CEF:1|Datto|Access Point|7|1|probe|1|cnt=%d" % number)
