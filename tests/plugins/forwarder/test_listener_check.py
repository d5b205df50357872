"""Whether listeners can listen: ports that are taken, certificates that end, files."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from datto_siem.plugins.forwarder.configuration import Listen
from datto_siem.plugins.forwarder.listener_check import check
from datto_siem.plugins.forwarder.sections import ListenCommon
from datto_siem.plugins.options import build
from datto_siem.plugins.registry import plugin
from datto_siem.plugins.sink import Finding, Level

if TYPE_CHECKING:
    from pathlib import Path


def findings(kind: str, running: bool = False, **given: Any) -> list[Finding]:
    config = build(plugin("sources", kind).Config, given)
    return list(check(Listen("it", ListenCommon(kind), config), running))


def certificate(folder: Path, days: float) -> Path:
    ends = datetime.now(timezone.utc) + timedelta(days=days, minutes=5)
    cert = trustme.CA().issue_cert("forwarder.example", not_after=ends.replace(tzinfo=None))
    path = folder / "server.pem"
    cert.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize(
    ("kind", "transport"), [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM)]
)
def test_a_port_is_free_or_taken_or_ours(kind: str, transport: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, transport) as other:
        other.bind(("127.0.0.1", 0))
        if kind == "tcp":
            other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        (taken,) = findings(kind, address=address)
        assert (taken.level, taken.what) == (Level.FAULT, f"{kind.upper()} {address}")
        assert "in use" in taken.said
        assert "`ss -lnptu`" in taken.remedy
        (ours,) = findings(kind, running=True, address=address)
        assert ours.level is Level.GOOD
    (free,) = findings(kind, address=address)
    assert (free.level, free.said) == (Level.GOOD, "free")
    (idle,) = findings(kind, running=True, address=address)
    assert idle.level is Level.FAULT
    assert "nothing listens" in idle.said


def test_an_address_of_nobody_here_is_told() -> None:
    (finding,) = findings("udp", address="192.0.2.77:5514")
    assert finding.level is Level.FAULT
    assert "no interface has this address" in finding.remedy


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [
        (200, Level.GOOD, "good for 200 days"),
        (10, Level.WARNING, "ends in 10 days"),
        (-1, Level.FAULT, "certificate has expired"),
    ],
)
def test_certificates_are_looked_at_before_they_end(
    tmp_path: Path, days: int, level: Level, said: str
) -> None:
    path = certificate(tmp_path, days)
    _, finding = findings("tcp", address="127.0.0.1:0", tls={"cert": str(path)})
    assert (finding.level, finding.said) == (level, said)
    assert level is Level.GOOD or finding.remedy


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    path = certificate(tmp_path, 100)
    other = trustme.CA().issue_cert("other.example")
    key = tmp_path / "other.key"
    other.private_key_pem.write_to_path(str(key))
    tls = {"cert": str(path), "key": str(key)}
    _, finding = findings("tcp", address="127.0.0.1:0", tls=tls)
    assert finding.level is Level.FAULT
    assert "belong together" in finding.remedy


def test_files_are_there_and_can_be_read(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*.log")
    (absent,) = findings("file", paths=[pattern])
    assert (absent.level, absent.said) == (Level.WARNING, "there is none yet")
    (tmp_path / "a.log").write_text("x\n")
    (there,) = findings("file", paths=[pattern])
    assert (there.level, there.said) == (Level.GOOD, "1 found")
    (tmp_path / "b.log").mkdir()
    (folder,) = findings("file", paths=[pattern])
    assert folder.level is Level.FAULT
