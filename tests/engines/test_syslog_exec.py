"""The files of `rules rsyslog-exec` and `rules syslog-ng-exec` as written, inside the real daemons.

Only addresses, paths and the program's place are put in; the rest is what a user copies.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from engine import ROOT, needed
from relays import Relay
from rule_corpus import corpus, differences, fixtures
from running import until
from syslog_daemons import DAEMONS, checked, rsyslog_file, syslog_ng_checked, syslog_ng_file

from datto_siem.converters import Converter, times
from datto_siem.plugins.cli.rules import generate

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = b"/opt/datto-siem/bin/datto-siem"
COMMAND = f"{sys.executable} -m datto_siem.plugins.cli"


class Artefact:
    """The files of an artefact, made to run here.

    Args:
        name: As `rules --list` shows it.
        folder: For the files and for what they write.
        target: What `--to` says.
    """

    def __init__(self, name: str, folder: Path, target: str | None = None) -> None:
        self.folder = folder
        self.relay = Relay(folder / "datto.ndjson", b"\n")
        for path, content in generate(name, target).items():
            changed = content.replace(PROGRAM, COMMAND.encode()).replace(b"0.0.0.0", b"127.0.0.1")
            changed = changed.replace(b"5514", b"%d" % self.relay.port)
            (folder / path).write_bytes(changed.replace(b"/var/log/", f"{folder}/".encode()))

    def round_trip(self, lines: list[bytes]) -> list[bytes]:
        """Send lines, a few ahead of their documents; the documents."""
        return self.relay.answers(lines)


def compared(lines: list[bytes], documents: list[bytes], peer: str | None) -> list[str]:
    """Where documents differ from the converter's for the receive time that they name."""
    converter = Converter("ecs")
    found = []
    for line, document in zip(lines, documents, strict=True):
        got: dict[str, Any] = json.loads(document)
        received = times.read(got["event"]["created"], 0)
        expected = json.loads(converter.encode(line, received, peer))
        for path, left, right in differences(expected, got):
            found.append(f"{path}: {left!r} != {right!r} in {line[:200]!r}")
    return found


@pytest.mark.engine
@pytest.mark.parametrize("target", ["ecs", "cef"])
@pytest.mark.parametrize("name", ["datto-mmexternal.conf", "datto-omprog.conf"])
def test_rsyslog_takes_the_files(name: str, target: str, tmp_path: Path) -> None:
    needed((DAEMONS / "rsyslogd").exists(), "rsyslog")
    Artefact("rsyslog-exec", tmp_path, target)
    checked(DAEMONS / "rsyslogd", ["-N1", "-f", tmp_path / name])


@pytest.mark.engine
@pytest.mark.parametrize("name", ["datto-mmexternal.conf", "datto-omprog.conf"])
def test_rsyslog_writes_what_the_converter_says(name: str, tmp_path: Path) -> None:
    artefact = Artefact("rsyslog-exec", tmp_path)
    lines = [case.line for case in fixtures()]
    head = 'global(maxMessageSize="64k")\n'  # README.md, step 2
    with rsyslog_file(tmp_path / name, head):
        documents = artefact.round_trip(lines)
    found = compared(lines, documents, None)
    assert not found, "\n".join(found[:20])


@pytest.mark.engine
def test_syslog_ng_feeds_the_program(tmp_path: Path) -> None:
    artefact = Artefact("syslog-ng-exec", tmp_path)
    lines = [case.line for case in fixtures()]
    with syslog_ng_file(tmp_path / "datto-program.conf"):
        documents = artefact.round_trip(lines)
    found = compared(lines, documents, None)
    assert not found, "\n".join(found[:20])


@pytest.mark.engine
@pytest.mark.parametrize("target", ["ecs", "cef"])
def test_syslog_ng_takes_the_files(target: str, tmp_path: Path) -> None:
    needed((DAEMONS / "syslog-ng-python").exists(), "syslog-ng with Python")
    Artefact("syslog-ng-exec", tmp_path, target)
    for name in ("datto-program.conf", "datto-python.conf"):
        syslog_ng_checked(tmp_path / name, (tmp_path, ROOT / ".pythonpath"))


@pytest.mark.engine
def test_the_python_parser_converts_the_whole_corpus_in_place(tmp_path: Path) -> None:
    # NUL: syslog-ng 3 hands Python a text up to its first NUL, as README.md says
    artefact = Artefact("syslog-ng-exec", tmp_path)
    lines = [case.line for case in corpus() if b"\0" not in case.line and case.line.strip()]
    with syslog_ng_file(tmp_path / "datto-python.conf", python=(tmp_path, ROOT / ".pythonpath")):
        documents = artefact.round_trip(lines)
    found = compared(lines, documents, "127.0.0.1")
    assert not found, "\n".join(found[:20])


@pytest.mark.engine
def test_the_python_parser_knows_its_options(tmp_path: Path) -> None:
    Artefact("syslog-ng-exec", tmp_path)
    conf = tmp_path / "datto-python.conf"
    conf.write_text(conf.read_text().replace('"prefix"', '"perfix"'))
    with syslog_ng_file(conf, python=(tmp_path, ROOT / ".pythonpath")) as daemon:
        until(lambda: "perfix" in daemon.said(), "a refusal")
        assert "DattoParser has no option" in daemon.said()


@pytest.mark.engine
def test_the_python_parser_reads_the_users_tables(tmp_path: Path) -> None:
    artefact = Artefact("syslog-ng-exec", tmp_path)
    tables = tmp_path / "tables"
    (tables / "sources").mkdir(parents=True)
    text = (ROOT / "mappings/sources/access_point.yaml").read_text()
    row = "  wifi/blink:        {activity: wifi.probe,        keys: [rt, smac, cs2, dmac]}\n"
    added = text.replace("  wifi/probe:  ", row + "  wifi/probe:  ", 1)
    (tables / "sources" / "access_point.yaml").write_text(added)
    conf = tmp_path / "datto-python.conf"
    conf.write_text(conf.read_text().replace('".datto."', f'".datto." "tables" "{tables}"'))
    line = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|blink|0|rt=1795514300456 cs2:Guest"
    with syslog_ng_file(conf, python=(tmp_path, ROOT / ".pythonpath")):
        document = json.loads(artefact.round_trip([line])[0])
    assert document["event"]["code"] == "wifi:blink"
    assert document["datto"]["wifi"]["ssid"] == "Guest"
    assert "datto_unmapped_event" not in document["tags"]
