"""The co-process script of `logstash-exec` under Ruby and JRuby, with a stand-in for the event.

DATTO_FILTER_RECORDS=100000 makes the kill test the full measure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engine import ENGINES, needed
from running import until

from datto_siem.plugins.cli.rules import generate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent
RUBY = ENGINES / "ruby"
RECORDS = int(os.environ.get("DATTO_FILTER_RECORDS", "20000"))
COMMAND = [sys.executable, "-m", "datto_siem.plugins.cli", "filter", "--to", "ecs"]
PROGRAM = [*COMMAND, "--protocol", "ndjson", "--peer-field", "host.ip"]
BOOT = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456 n=%d"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logstash") / "datto_siem_exec.rb"
    path.write_bytes(generate("logstash-exec")[path.name])
    return path


@contextmanager
def logstash(
    script: Path, params: Mapping[str, Any], workers: int = 1, engine: str = "ruby"
) -> Iterator[subprocess.Popen[bytes]]:
    """The script in its host; its inline tests have passed when this returns."""
    needed((RUBY / engine).exists(), engine)
    run = [str(RUBY / engine), str(HERE / "logstash_run.rb"), str(script)]
    with subprocess.Popen(  # noqa: S603  our own script
        [*run, json.dumps(params), str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"5\n", "expectations of the script's own tests"
            yield process
        finally:
            process.kill()


def fed(process: subprocess.Popen[bytes], events: list[dict[str, Any]]) -> threading.Thread:
    """Write events and close, beside whatever the test does."""

    def write() -> None:
        assert process.stdin is not None
        for event in events:
            process.stdin.write(json.dumps(event).encode() + b"\n")
        process.stdin.close()

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def passed(process: subprocess.Popen[bytes], events: list[dict[str, Any]]) -> list[Any]:
    """What becomes of events."""
    thread = fed(process, events)
    assert process.stdout is not None
    found = [json.loads(line) for line in process.stdout]
    thread.join()
    return found


def child(process: subprocess.Popen[bytes]) -> int | None:
    """The co-process, once it is there; not the program of the script's own tests."""
    for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
        for found in task.read_text().split():
            if b"filter" in Path(f"/proc/{found}/cmdline").read_bytes():
                return int(found)
    return None


def number(event: Mapping[str, Any]) -> int:
    return int(event["event"]["original"].rsplit("n=", 1)[1])


@pytest.mark.engine
def test_an_event_becomes_the_document_and_keeps_its_other_fields(script: Path) -> None:
    event = {"message": BOOT % 7, "tags": ["mine"], "host": {"ip": "192.0.2.9"}, "other": [1, "x"]}
    with logstash(script, {"command": PROGRAM}) as process:
        found = passed(process, [event, {"message": "no syslog \u20ac"}, {"other": 1}])
    assert found[0]["event"]["action"] == "device-boot"
    assert found[0]["@timestamp"] == "2026-11-24T09:58:20.456Z"
    assert found[0]["observer"]["ip"] == ["192.0.2.9"]
    assert found[0]["other"] == [1, "x"]
    assert set(found[0]["tags"]) > {"mine", "datto"}
    assert found[1]["event"]["kind"] == found[2]["event"]["kind"] == "pipeline_error"
    assert found[1]["event"]["original"] == "no syslog \u20ac"


@pytest.mark.engine
def test_killed_five_times_nothing_is_lost_doubled_or_out_of_order(script: Path) -> None:
    with logstash(script, {"command": PROGRAM}) as process:
        thread = fed(process, [{"message": BOOT % at} for at in range(RECORDS)])
        kills = {RECORDS * part // 6 for part in range(1, 6)}
        found, killed = [], set()
        assert process.stdout is not None
        for line in process.stdout:
            found.append(json.loads(line))
            if len(found) in kills:
                now = until(lambda: child(process), "a co-process runs")
                os.kill(now, signal.SIGKILL)
                killed.add(now)
        thread.join()
    assert len(killed) == 5
    assert [number(event) for event in found] == list(range(RECORDS))
    assert not any("_datto_siem_failure" in event["tags"] for event in found)


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["ruby", "jruby-9.4"])
def test_workers_share_one_co_process(script: Path, engine: str) -> None:
    events = [{"message": BOOT % at, "other": [1, {"\u20ac": at}]} for at in range(500)]
    with logstash(script, {"command": PROGRAM}, workers=4, engine=engine) as process:
        found = passed(process, events)
    assert sorted(number(event) for event in found) == list(range(500))
    assert {event["event"]["action"] for event in found} == {"device-boot"}
    assert all(event["other"] == [1, {"\u20ac": number(event)}] for event in found)


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["ruby", "jruby-9.4", "jruby-9.2"])
def test_a_program_that_never_answers_stops_nothing(script: Path, engine: str) -> None:
    params = {"command": ["/bin/sleep", "600"], "timeout": 0.5, "backoff_first": 600}
    events = [{"message": "x" * 300_000}, *({"message": BOOT % at} for at in range(50))]
    with logstash(script, params, engine=engine) as process:
        found = passed(process, events)
    assert [event["message"] for event in found] == [event["message"] for event in events]
    assert found[0]["tags"] == ["_datto_siem_timeout"]
    assert [event["tags"] for event in found[1:]] == [["_datto_siem_failure"]] * 50


@pytest.mark.engine
def test_it_recovers_once_the_program_answers_again(script: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"  # dies at once until a file is there
    ready = tmp_path / "ready"
    program.write_text(f'#!/bin/sh\n[ -e "{ready}" ] || exit 1\nexec cat\n')
    program.chmod(0o755)
    params = {"command": [str(program)], "backoff_first": 0.05, "backoff_last": 0.1}
    with logstash(script, params) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def answer(event: dict[str, Any]) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(event).encode() + b"\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        assert answer({"message": "one"})["tags"] == ["_datto_siem_failure"]
        ready.touch()
        until(lambda: "tags" not in answer({"message": "two"}), "converted again")
        process.stdin.close()


@pytest.mark.engine
@pytest.mark.parametrize(
    "reply", ["not json", "[1]", "null", '{"@timestamp":"soon"}', '{"a":'], ids=str
)
def test_a_reply_that_is_no_document_changes_nothing(
    script: Path, tmp_path: Path, reply: str
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nwhile read -r _; do echo '{reply}'; done\n")
    program.chmod(0o755)
    with logstash(script, {"command": [str(program)]}) as process:
        found = passed(process, [{"message": "kept"}, {"message": "too"}])
    assert [event["message"] for event in found] == ["kept", "too"]
    assert [event["tags"] for event in found] == [["_datto_siem_failure"]] * 2
