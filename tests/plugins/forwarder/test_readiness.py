"""What keeps a forwarder from starting here is told at once and all together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from datto_siem.converters import Converter
from datto_siem.plugins.forwarder import configuration, opening, readiness
from datto_siem.plugins.record import Record
from datto_siem.plugins.secret import SecretMissing

if TYPE_CHECKING:
    from pathlib import Path

PARTS = """\
[log]
path = "{log}"
[[listen]]
type = "stdin"
[[output]]
name = "one"
type = "file"
path = "{dir}/out.ndjson"
"""
PRIVACY = '[privacy]\npseudonyms = { file = "{dir}/key" }\n'
LINE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|"
    b"rt=1795514300412 dmac=02:00:5e:10:00:01 dvchost=anna-phone"
)


def found(folder: Path, text: str = PARTS, log: str = "{dir}/log") -> configuration.Configuration:
    path = folder / "forward.toml"
    path.write_text(text.replace("{log}", log).replace("{dir}", str(folder)))
    return configuration.read(path)


def test_a_good_machine_has_no_faults_and_nothing_is_made(tmp_path: Path) -> None:
    config = found(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert readiness.faults(config) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_all_faults_come_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    (tmp_path / "occupied").write_text("")
    text = PARTS + 'drop = ["wifi/prob"]\n[[output]]\nname = "two"\ntype = "splunk_hec"\n'
    text += 'url = "https://splunk.example:8088"\ntoken = { env = "NO_TOKEN" }\n'
    faults = readiness.faults(found(tmp_path, text, "{dir}/occupied/log"))
    assert len(faults) == 3
    assert faults[0] == "environment variable NO_TOKEN is not set: set it"
    assert faults[1] == f"log.path: {tmp_path}/occupied is no directory: name another"
    assert faults[2].startswith("output one: ")
    assert "wifi/probe" in faults[2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    (fault,) = readiness.faults(found(tmp_path, log=f"{shut}/log"))
    assert "cannot be written by this user" in fault


def test_outputs_get_pseudonyms_and_the_record_stays(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    config = found(tmp_path, PARTS + 'to = "raw"\n' + PRIVACY)
    assert readiness.faults(config) == []
    sink = opening.open_sink(config, config.outputs[0])
    given = Record(LINE, 1795514300500, "192.0.2.1", 5)
    first, second = sink.item(given), sink.item(given)
    sink.close()
    assert first is not None
    assert first == second
    assert b"anna" not in first.body
    assert b"02:00:5e" not in first.body.lower()
    assert b"wifi|assoc" in first.body
    assert given.raw == LINE
    assert [secret.file for secret in config.secrets()] == [str(key)]


def test_pseudonyms_are_those_of_convert(tmp_path: Path) -> None:
    from datto_siem.converters.privacy import Pseudonymizer

    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    config = found(tmp_path, PARTS + 'to = "raw"\n' + PRIVACY)
    sink = opening.open_sink(config, config.outputs[0])
    item = sink.item(Record(LINE, 1795514300500, "192.0.2.1", 5))
    sink.close()
    ours = Pseudonymizer(b"0123456789abcdef0123456789abcdef", Converter("ecs").tables)
    assert item is not None
    assert item.body.rstrip() == ours.line(LINE)


@pytest.mark.parametrize(
    ("content", "said"),
    [("s3cr3t", "shorter than 16 bytes"), (None, "cannot read the secret file")],
)
def test_a_bad_key_is_a_fault_that_shows_none_of_it(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    config = found(tmp_path, PARTS + PRIVACY)
    (fault,) = readiness.faults(config)
    assert said in fault
    assert "s3cr3t" not in fault
    with pytest.raises((ValueError, SecretMissing)):
        opening.open_sink(config, config.outputs[0])
