"""`datto-siem doctor`: every finding with what to do, in the exit code too."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from running import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Outcome

    Cli = Callable[..., Outcome]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "forward.toml"
    path.write_text(
        f'[log]\npath = "{tmp_path}/log"\n[admin]\naddress = "127.0.0.1:{free_port()}"\n'
        f'[[listen]]\ntype = "udp"\naddress = "127.0.0.1:{free_port(socket.SOCK_DGRAM)}"\n'
        f'[[output]]\nname = "local"\ntype = "file"\npath = "{tmp_path}/out.ndjson"\n'
    )
    return path


def test_all_is_well(cli: Cli, config: Path) -> None:
    done = cli("doctor", "--config", config)
    assert done.code == 0, done.out
    text = done.out.decode()
    assert "udp (udp)\n  ok " in text
    assert ": free\n" in text
    assert "local (file)\n  ok " in text
    assert not (config.parent / "out.ndjson").exists()


def test_a_taken_port_is_a_fault_with_a_remedy(cli: Cli, config: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        text = config.read_text()
        address = text.partition('type = "udp"\naddress = "')[2].partition('"')[0]
        config.write_text(text.replace(address, f"127.0.0.1:{other.getsockname()[1]}"))
        done = cli("doctor", "--config", config)
        assert done.code == 1
        assert b"  fault   UDP 127.0.0.1:" in done.out
        assert b"          do: `ss -lnptu` shows by whom" in done.out
        assert cli("doctor", "--config", config, "--output", "local").code == 0


def test_an_output_that_cannot_be_reached_is_a_fault(
    cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    hec = f'[[output]]\nname = "hec"\ntype = "splunk_hec"\nurl = "{url}"\n'
    config.write_text(config.read_text() + hec + 'token = { env = "DOCTOR_TOKEN" }\n')
    monkeypatch.setenv("DOCTOR_TOKEN", "s3cr3t-0123456789")
    done = cli("doctor", "--config", config, "--color", "never")
    assert done.code == 1
    assert f"fault   reach {url}".encode() in done.out
    assert "s3cr3t" not in done.out.decode() + done.err
    monkeypatch.delenv("DOCTOR_TOKEN")
    done = cli("doctor", "--config", config, "--output", "hec")
    assert done.code == 1
    assert b"environment variable DOCTOR_TOKEN is not set" in done.out


def test_a_test_record_is_sent_on_request_only(cli: Cli, config: Path) -> None:
    done = cli("doctor", "--config", config, "--output", "local", "--send-test")
    assert done.code == 0, done.out
    (line,) = (config.parent / "out.ndjson").read_bytes().splitlines()
    assert b"test record of datto-siem doctor" in line
    json.loads(line)


def test_an_output_nobody_named_is_misuse(cli: Cli, config: Path) -> None:
    done = cli("doctor", "--config", config, "--output", "nobody")
    assert done.code == 2
    assert "there are local" in done.err
