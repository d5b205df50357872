"""The whole forwarder as processes: what one part's death costs, ends in order, reloads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import COMMAND, PATIENCE, Forwarder, gone, record, until

if TYPE_CHECKING:
    from collections.abc import Iterator

UDP = '[[listen]]\ntype = "udp"\naddress = "127.0.0.1:{udp}"\n'
FILE = '[[output]]\nname = "local"\ntype = "file"\npath = "{dir}/out.ndjson"\nto = "raw"\n'
HEC = (
    '[[output]]\nname = "{name}"\ntype = "splunk_hec"\nurl = "http://127.0.0.1:{port}"\n'
    'token = {{ env = "TEST_HEC_TOKEN" }}\n'
)


def test_what_was_received_is_delivered_before_it_ends(tmp_path: Path) -> None:
    with Forwarder(tmp_path, UDP + FILE) as forwarder:
        forwarder.ready().send(0, 500)
        assert forwarder.end() == 0, forwarder.log()
        assert sorted(forwarder.numbers()) == list(range(500))
        assert '"message":"ready"' in forwarder.log()


def test_killed_parts_start_again_and_cost_nobody_anything(tmp_path: Path) -> None:
    with Forwarder(tmp_path, UDP + FILE) as forwarder:
        forwarder.ready().send(0, 100)
        until(lambda: len(forwarder.numbers()) == 100, "delivered")
        for name in ("deliver local", "receive udp"):
            pid = forwarder.pids()[name]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid, name=name: forwarder.pids().get(name, pid) != pid, "restarted")
            until(lambda: forwarder.get("/readyz")[0] == 200, "ready again")
        restarts = {each["name"]: each["restarts"] for each in forwarder.status()["processes"]}
        assert restarts == {"receive udp": 1, "deliver local": 1}
        forwarder.send(100, 100)
        assert forwarder.end() == 0, forwarder.log()
        assert set(forwarder.numbers()) == set(range(200))


def test_counters_go_on_when_a_part_starts_again(tmp_path: Path) -> None:
    with Forwarder(tmp_path, UDP + FILE) as forwarder:
        forwarder.ready().send(0, 50)
        until(lambda: forwarder.count("outputs", "local", "delivered_records") == 50, "delivered")
        pid = forwarder.pids()["deliver local"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: forwarder.pids().get("deliver local", pid) != pid, "restarted")
        assert forwarder.count("outputs", "local", "delivered_records") == 50
        forwarder.send(50, 50)
        until(lambda: forwarder.count("outputs", "local", "delivered_records") == 100, "delivered")


def test_a_port_that_is_taken_is_told_and_taken_when_it_is_free(tmp_path: Path) -> None:
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        other.bind(("127.0.0.1", 0))
        parts = UDP.replace("{udp}", str(other.getsockname()[1])) + FILE
        with Forwarder(tmp_path, parts) as forwarder:
            fault = until(
                lambda: [
                    each["fault"]
                    for each in forwarder.status().get("processes", ())
                    if each["fault"]
                ],
                "a fault",
            )
            assert "in use" in fault[0]
            code, said = forwarder.get("/readyz")
            assert code == 503
            assert "receive udp" in said
            assert "in use" in said
            other.close()
            forwarder.ready()
            assert not any(each["fault"] for each in forwarder.status()["processes"])
    finally:
        other.close()


class Echo(BaseHTTPRequestHandler):
    """Refuses everything and, as careless servers do, tells what it was given."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers["Authorization"]
        body = json.dumps({"text": f"Invalid token: {given}", "code": 4}).encode()
        self.send_response(403, f"not with {given}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def echo() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "secret", ["s3cr3t-0123456789abcdef", 's3cr3t-"Ü" of no token'], ids=["usable", "unusable"]
)
def test_a_secret_shows_nowhere_and_a_failing_output_stalls_nobody(
    tmp_path: Path, echo: int, secret: str
) -> None:
    parts = UDP + FILE + HEC.format(name="away", port=9) + HEC.format(name="echo", port=echo)
    with Forwarder(tmp_path, parts, {"TEST_HEC_TOKEN": secret}, grace=2) as forwarder:
        forwarder.ready().send(0, 100)
        until(lambda: len(forwarder.numbers()) == 100, "delivered by the other")
        for name in ("away", "echo"):
            until(lambda name=name: forwarder.count("outputs", name, "last_error"), "tried")
        shown = [forwarder.get(path)[1] for path in ("/status", "/metrics", "/readyz")]
        pids = [forwarder.process.pid, *forwarder.pids().values()]
        shown += [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids]
        assert len(pids) == 5
        assert forwarder.end() == 0
        assert "200 deliveries wait in the log" in forwarder.log()
        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert "s3cr3t" not in "".join(shown)
    assert b"s3cr3t" not in b"".join(files)


def test_sighup_starts_outputs_anew_and_a_bad_configuration_changes_nothing(
    tmp_path: Path,
) -> None:
    with Forwarder(tmp_path, UDP + FILE) as forwarder:
        forwarder.ready().send(0, 20)
        before = forwarder.pids()
        good = forwarder.config.read_text()
        forwarder.config.write_text(good + "nonsense = 1\n")
        forwarder.process.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in forwarder.log(), "refused")
        assert "no option 'nonsense'" in forwarder.log()
        forwarder.config.write_text(good.replace('name = "local"', 'name = "other"'))
        forwarder.process.send_signal(signal.SIGHUP)
        until(lambda: "came or went: that needs a restart" in forwarder.log(), "refused")
        assert forwarder.pids() == before
        forwarder.config.write_text(good)
        forwarder.process.send_signal(signal.SIGHUP)
        name = "deliver local"
        until(lambda: forwarder.pids().get(name, before[name]) != before[name], "a new process")
        assert forwarder.pids()["receive udp"] == before["receive udp"]
        forwarder.send(20, 20)
        assert forwarder.end() == 0, forwarder.log()
        assert set(forwarder.numbers()) == set(range(40))


def test_no_part_outlives_its_supervisor(tmp_path: Path) -> None:
    with Forwarder(tmp_path, UDP + FILE) as forwarder:
        forwarder.ready()
        pids = forwarder.pids().values()
        assert len(pids) == 2
        forwarder.process.kill()
        for pid in pids:
            until(lambda pid=pid: gone(pid), "ended")


def test_standard_input_is_delivered_to_its_end(tmp_path: Path) -> None:
    lines = b"".join(record(number) + b"\n" for number in range(3_000))
    with Forwarder(tmp_path, '[[listen]]\ntype = "stdin"\n' + FILE, stdin=lines) as forwarder:
        assert forwarder.process.wait(PATIENCE) == 0, forwarder.log()
        assert sorted(forwarder.numbers()) == list(range(3_000))


def test_a_second_forwarder_on_the_same_log_is_refused(tmp_path: Path) -> None:
    with Forwarder(tmp_path, UDP + FILE) as forwarder:
        forwarder.ready()
        second = tmp_path / "second.toml"
        text = forwarder.config.read_text().replace(str(forwarder.admin), "0")
        second.write_text(text.replace(str(forwarder.udp), "0"))
        run = subprocess.run(  # noqa: S603
            [*COMMAND, "--config", str(second)], capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        assert run.returncode == 2
        assert f"in use by another forwarder (process {forwarder.process.pid})" in run.stderr


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told_of_readiness_and_life(tmp_path: Path, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        name = f"@datto-siem-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
        systemd.bind(name.replace("@", "\0"))
        systemd.settimeout(PATIENCE)
        with Forwarder(tmp_path, UDP + FILE, {"NOTIFY_SOCKET": name}) as forwarder:
            told = {systemd.recv(100)}
            while b"READY=1" not in told:
                told.add(systemd.recv(100))
            assert b"WATCHDOG=1" in told
            forwarder.process.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in told:
                told.add(systemd.recv(100))
            assert forwarder.process.wait(PATIENCE) == 0
