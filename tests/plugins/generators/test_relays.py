"""The relays, the SC4S parsers and the exec files as bytes: the same each time, told in full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from engine import ROOT
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.converters import Converter
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import _rainerscript, _syslog_ng, rsyslog, sc4s, syslog_ng
from datto_siem.plugins.generators._repair import FORMS, products
from datto_siem.plugins.generators._syslog_ng_parser import DattoParser

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES = ("rsyslog", "syslog-ng", "sc4s", "rsyslog-exec", "syslog-ng-exec")
MADE = {
    "rsyslog": rsyslog.KNOWN_DIFFERENCES,
    "syslog-ng": syslog_ng.KNOWN_DIFFERENCES,
    "sc4s": sc4s.KNOWN_DIFFERENCES,
}


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """Tables with one event more."""
    (tmp_path / "sources").mkdir()
    text = (ROOT / "mappings/sources/access_point.yaml").read_text()
    row = "  wifi/blink: {activity: wifi.probe, keys: [rt, smac, cs2]}\n"
    added = text.replace("  wifi/probe:  ", f"{row}  wifi/probe:  ", 1)
    (tmp_path / "sources" / "access_point.yaml").write_text(added)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes_each_time_and_no_mark_left(name: str) -> None:
    found = generate(name)
    assert found == generate(name)
    for path, content in found.items():
        for mark in (b"@STAMP@", b"@DIFFERENCES@", b"@TARGET@", b"@KEYS@", b"@LEAD@", b"@PARSERS@"):
            assert mark not in content, path


@pytest.mark.parametrize("name", MADE)
def test_the_readme_tells_every_difference(name: str) -> None:
    readme = generate(name)["README.md"].decode()
    for each in MADE[name]:
        assert each.what[1:] in readme
        assert each.why in readme


@pytest.mark.parametrize("name", ["rsyslog", "syslog-ng"])
def test_a_new_event_changes_only_what_comes_from_tables(name: str, overlay: Path) -> None:
    before, after = _unstamped(generate(name)), _unstamped(generate(name, overlay=overlay))
    changed = {path for path in before if before[path] != after[path]}
    assert before.keys() == after.keys()
    assert changed
    assert changed <= {
        *("datto-10-tables.conf", "datto-events.json", "datto-early.json", "datto-keys.json"),
        *("datto-kinds.json", "datto-glue.json"),
    }


def _unstamped(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Without the hash of the tables, which stands in every file's first lines."""
    found = {}
    for path, content in files.items():
        lines = content.split(b"\n")
        found[path] = b"\n".join(line for line in lines if b", tables " not in line)
    return found


def test_lookup_files_name_only_what_there_is() -> None:
    files = generate("rsyslog")

    def rows(name: str) -> dict[str, str]:
        table = json.loads(files[f"datto-{name}.json"])
        assert table["nomatch"] == ""
        return {row["index"]: row["value"] for row in table["table"]}

    shapes = set(rows("events").values())
    for name in ("keys", "kinds"):
        assert {index.split("\x01")[0] for index in rows(name)} <= shapes
    assert set(rows("glue")) <= shapes
    assert set(rows("kinds").values()) <= set(FORMS)
    events = sum(len(each.events) for each in products(Context("0")))
    assert len(rows("events")) == events


@pytest.mark.parametrize("text", [False, True])
def test_the_python_parser_takes_bytes_and_text(text: bool) -> None:
    line = "CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300412 cs2:caf\u00e9"
    message: dict[str, bytes | str] = {"MESSAGE": line, "SOURCEIP": "192.0.2.7"}
    if not text:
        message = {"MESSAGE": line.encode(), "SOURCEIP": b"192.0.2.7"}
    parser = DattoParser()
    assert parser.init({"target": "cef", "prefix": ".x."})
    assert parser.parse(message)  # type: ignore[arg-type]
    assert message[".x.cef"] == Converter("cef").encode(line.encode(), 0)


def test_the_python_parser_refuses_options_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="has no option 'targets'"):
        DattoParser().init({"targets": "ecs"})
    with pytest.raises(ValueError, match="esc"):
        DattoParser().init({"target": "esc"})


def test_half_a_surrogate_pair_is_refused() -> None:
    for encode in (
        _syslog_ng.pattern,
        _syslog_ng.template,
        _rainerscript.string,
        lambda text: _rainerscript.regular(_rainerscript.pattern(text)),
    ):
        with pytest.raises(UnicodeEncodeError):
            encode("a\ud800")


def test_nul_is_refused_where_it_ends_a_text() -> None:
    for encode in (_rainerscript.string, _rainerscript.pattern):
        with pytest.raises(ValueError, match="NUL"):
            encode("a\0b")


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_literals_hold_nothing_that_a_language_reads(text: str) -> None:
    for literal in (_syslog_ng.pattern(text), _syslog_ng.template(text)[1:-1].replace("$$", "")):
        assert literal.isascii()
        assert literal.isprintable()
        assert not set(literal) & set("'\"`$@{}()[]*+?.|^#;&/ ")
    inner = _rainerscript.string(text)[1:-1]
    assert inner.isascii()
    assert not set(inner) & set("'\"`$%{}()[]*+?.|^#;&/ \n")
    regular = _rainerscript.regular(_rainerscript.pattern(text))
    assert regular.isascii()
    assert regular.isprintable()
    assert "'" not in regular
    assert json.loads(_rainerscript.lookup({text: "v"}))["table"] == [{"index": text, "value": "v"}]
