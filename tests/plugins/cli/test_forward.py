"""`datto-siem forward`: configurations that are wrong, the view, replay and dead letters."""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from running import Forwarder, free_port, until

from datto_siem.plugins.cli import status_view
from datto_siem.plugins.forwarder import configuration, opening
from datto_siem.plugins.forwarder.dead_letters import Letter
from datto_siem.plugins.record import Record
from datto_siem.plugins.shown import Paint
from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Outcome

    Cli = Callable[..., Outcome]

TEXT = """\
[log]
path = "{dir}/log"
[admin]
address = "127.0.0.1:{port}"
[[listen]]
type = "stdin"
[[output]]
name = "local"
type = "file"
path = "{dir}/out.ndjson"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "forward.toml"
    text = TEXT.replace("{dir}", str(tmp_path)).replace("{port}", str(free_port()))
    path.write_text(text)
    return path


def test_check_names_what_is_good(cli: Cli, config: Path) -> None:
    done = cli("forward", "check", "--config", config)
    assert (done.code, done.out) == (0, b"")
    assert done.err == "datto-siem: good: listeners stdin; outputs local\n"


def test_all_faults_come_with_their_lines_before_anything_starts(cli: Cli, config: Path) -> None:
    config.write_text(config.read_text().replace("path", "paht").replace('"stdin"', '"stdinn"'))
    for words in (("forward",), ("forward", "check"), ("doctor",), ("forward", "status")):
        done = cli(*words, "--config", config)
        assert done.code == 2
        assert f"{config}:2: no option 'paht'; did you mean 'path'?" in done.err
        assert f"{config}:6: no listen type 'stdinn'; did you mean 'stdin'?" in done.err
        assert f"{config}:10: no option 'paht'" in done.err
    assert not (config.parent / "log").exists()


def test_a_secret_that_is_not_there_is_found_before_anything_starts(
    cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    output = '[[output]]\nname = "hec"\ntype = "splunk_hec"\nurl = "https://splunk.example:8088"\n'
    config.write_text(config.read_text() + output + 'token = { env = "NO_TOKEN" }\n')
    for words in (("forward",), ("forward", "check")):
        done = cli(*words, "--config", config)
        assert done.code == 2
        assert "environment variable NO_TOKEN is not set: set it" in done.err
    assert not (config.parent / "log").exists()


@pytest.mark.parametrize("words", [("forward",), ("forward", "check"), ("doctor",)])
def test_no_configuration_is_misuse(cli: Cli, words: tuple[str, ...], tmp_path: Path) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, b"")
    assert "add --config FILE" in done.err
    assert cli(*words, "--config", tmp_path / "nowhere.toml").code == 2


def test_the_schema_is_printed_without_a_configuration(cli: Cli) -> None:
    done = cli("forward", "--schema")
    assert done.code == 0
    schema = json.loads(done.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    kinds = {each["properties"]["type"]["const"] for each in _items(schema, "output")}
    assert {"file", "splunk_hec", "elasticsearch", "sentinel"} <= kinds


def _items(schema: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = schema["properties"][key]["items"]["oneOf"]
    return found


def test_replay_sets_an_output_back(cli: Cli, config: Path) -> None:
    with closing(opening.open_log(configuration.read(config))) as log:
        with closing(log.writer()) as writer:
            arrivals = [Arrival(b"a", at, "") for at in (1795514400_000, 1795514460_000)]
            writer.append([*arrivals, Arrival(b"c", 1795514520_000, "")])
        with closing(log.reader("local")) as reader:
            chunk = reader.read(1 << 20)
            assert chunk is not None
            reader.commit(chunk.end)
            assert reader.standing().waiting == 0
        words = ("forward", "replay", "--config", config, "--output")
        done = cli(*words, "local", "--from", "1795514460")
        assert done.code == 0
        assert done.err == "datto-siem: local sends 2 records again\n"
        with closing(log.reader("local")) as reader:
            assert reader.standing().waiting == 2
    done = cli(*words, "nobody", "--from", "1795514460")
    assert done.code == 2
    assert "there are local" in done.err
    assert cli(*words, "local", "--from", "yesterday").code == 2


def test_dead_letters_are_listed_and_sent_again(cli: Cli, config: Path) -> None:
    found = configuration.read(config)
    letters = opening.open_dead_letters(found, found.outputs[0])
    record = Record(
        b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412\x1b[2J", 5, "", 9
    )
    letters.write([Letter(record, "too large", b"{}")])
    done = cli("forward", "dead-letters", "list", "--config", config)
    assert done.code == 0
    (line,) = done.lines
    assert json.loads(line)["reason"] == "too large"
    assert json.loads(line)["offset"] == 9
    assert b"\x1b" not in done.out
    words = ("forward", "dead-letters", "retry", "--config", config)
    done = cli(*words, "--output", "local")
    assert done.code == 0
    assert "local: 1 taken, 0 refused again, 0 not tried" in done.err
    assert (config.parent / "out.ndjson").read_bytes().count(b"\n") == 1
    assert cli("forward", "dead-letters", "list", "--config", config).lines == []


def test_status_of_a_forwarder_that_does_not_run_says_so(cli: Cli, config: Path) -> None:
    done = cli("forward", "status", "--config", config, "--once")
    assert done.code == 2
    assert "no forwarder answers at http://127.0.0.1:" in done.err
    assert cli("forward", "status").code == 2


def test_status_of_one_that_runs(cli: Cli, tmp_path: Path) -> None:
    parts = (
        '[[listen]]\ntype = "udp"\naddress = "127.0.0.1:{udp}"\n' + TEXT.partition('stdin"\n')[2]
    )
    with Forwarder(tmp_path, parts) as forwarder:
        forwarder.ready().send(0, 25)
        until(lambda: forwarder.count("outputs", "local", "delivered_records") == 25, "delivered")
        done = cli("forward", "status", "--config", forwarder.config)
        text = done.out.decode()
        assert done.code == 0
        assert re.search(r"\n\s*udp\s+25\s", text)
        assert re.search(r"\n\s*local\s+25\s", text)
        done = cli("forward", "status", "--url", f"http://127.0.0.1:{forwarder.admin}/", "--json")
        assert json.loads(done.out)["outputs"]["local"]["delivered_records"] == 25
        done = cli("doctor", "--config", forwarder.config)
        assert done.code == 0, done.out
        assert b"in use, by the forwarder that runs" in done.out


def test_nothing_from_the_wire_reaches_the_terminal_as_it_is() -> None:
    evil = "no \x1b]0;owned\x07 \u202e\n such"
    found = {
        **_told(100.0, {evil: {"received_records": 500, "kernel_drops": 3}}),
        "ready": False,
        "totals": {f"lost_records/{evil}": 1},
        "outputs": {evil: {"delivered_records": 200, "last_error": evil, "halted": 1}},
        "processes": [{"name": evil, "ready": False, "restarts": 3, "fault": evil, "pid": None}],
    }
    text = status_view.view(found, None, Paint(False))
    assert text.replace("\n", "").isprintable()
    assert "not ready" in text
    assert "\\x1b]0;owned\\x07" in text


def test_rates_are_since_the_time_before() -> None:
    first = _told(100.0, {"udp": {"received_records": 1000}})
    second = _told(102.0, {"udp": {"received_records": 1500}})
    assert re.search(r"udp +1000 +10 ", status_view.view(first, None, Paint(False)))
    assert re.search(r"udp +1500 +250 ", status_view.view(second, first, Paint(False)))


def _told(now: float, listeners: dict[str, Any]) -> dict[str, Any]:
    """What a forwarder tells that has run since 0."""
    parts: dict[str, Any] = {"listeners": listeners, "outputs": {}, "processes": [], "totals": {}}
    return {"version": "1", "started": 0.0, "now": now, "ready": True, **parts}
