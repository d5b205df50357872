"""The forwarder whole, as processes: nothing accepted is lost, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forwarding import Forwarder, ended, eventually, free_port
from peers.hec_stub import TOKEN, HecStub

from datto_siem.converters.identity import uid
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.record import Record

LINE = "<13>Nov 24 09:36:17 ap-1 CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456 n=%d"
KILLS = 50  # of the supervisor, receivers and deliverers, at random


def hec(url: str, more: str = "") -> str:
    return (
        '[[output]]\nname = "hec"\ntype = "splunk_hec"\nto = "raw"\n'
        f'url = "{url}"\ntoken = {{ env = "TEST_TOKEN" }}\nbatch = {{ age = "100ms" }}\n{more}'
    )


def listen(kind: str, port: int) -> str:
    return f'[[listen]]\ntype = "{kind}"\naddress = "127.0.0.1:{port}"\n'


def in_log(folder: Path) -> list[Record]:
    """Every record that was made durable."""
    log = SqliteLog(folder / "log", max_bytes=10**9, max_age=1e9, keep=1e9, policy="block")
    with closing(log), closing(log.reader("audit")) as reader:
        found: list[Record] = []
        while (chunk := reader.read(1 << 20)) is not None:
            assert not chunk.lost
            found += chunk.records
        return found


def delivered(stub: HecStub) -> dict[str, str]:
    """Id -> line, of all events taken; an id never stands for two lines."""
    found: dict[str, str] = {}
    for event in list(stub.events):
        id_ = event["fields"]["datto_event_id"]
        assert found.setdefault(id_, event["event"]) == event["event"]
    return found


@pytest.fixture
def stub() -> Iterator[HecStub]:
    with HecStub() as server:
        yield server


class Sender(threading.Thread):
    """Sends numbered lines over TCP, connecting again whenever the connection breaks."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.sent, self.ending = port, 0, threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as out:
                    while not self.ending.is_set():
                        lines = [LINE % (self.sent + at) for at in range(20)]
                        out.sendall("".join(f"{line}\n" for line in lines).encode())
                        self.sent += 20
                        time.sleep(0.005)
            except OSError:
                time.sleep(0.02)


def test_kill_9_of_any_process_at_any_time_loses_nothing_accepted(
    tmp_path: Path, stub: HecStub
) -> None:
    port = free_port()
    forwarder = Forwarder(tmp_path, listen("tcp", port), hec(stub.url), TEST_TOKEN=TOKEN)
    dice = random.Random(7)  # noqa: S311  a test's choice
    with ended(forwarder):
        forwarder.start()
        sender = Sender(port)
        sender.start()
        try:
            for _ in range(KILLS):
                time.sleep(dice.uniform(0.02, 0.2))
                processes = [each["pid"] for each in forwarder.status()["processes"]]
                assert forwarder.process is not None
                victim = dice.choice([forwarder.process.pid, *filter(None, processes)])
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                if victim == forwarder.process.pid:
                    forwarder.process.wait()
                    _gone(processes)
                    forwarder.start()
        finally:
            sender.ending.set()
            sender.join()
        eventually(forwarder.ready)
        end = in_log(tmp_path)[-1].offset + 1
        eventually(lambda: len(delivered(stub)) >= end)
        assert forwarder.stop() == 0
    records = in_log(tmp_path)
    assert [record.offset for record in records] == list(range(len(records)))
    assert len(records) > 1000
    found = delivered(stub)
    for record in records:
        id_ = uid(record.raw, record.peer, record.received, record.offset)
        assert found[id_] == record.raw.decode()
    assert len(found) == len(records)


def _gone(processes: list[int | None]) -> None:
    """Children end by themselves once their supervisor is gone."""
    for pid in filter(None, processes):
        eventually(lambda pid=pid: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


def test_an_output_that_is_away_stalls_no_other_and_gets_all_when_it_is_back(
    tmp_path: Path, stub: HecStub
) -> None:
    port = free_port()
    away = free_port()
    outputs = hec(stub.url) + hec(f"http://127.0.0.1:{away}").replace('"hec"', '"away"')
    forwarder = Forwarder(tmp_path, listen("tcp", port), outputs, TEST_TOKEN=TOKEN)
    with ended(forwarder):
        forwarder.start()
        with socket.create_connection(("127.0.0.1", port)) as out:
            out.sendall("".join(f"{LINE % at}\n" for at in range(500)).encode())
        eventually(lambda: len(delivered(stub)) == 500)

        def told() -> str:
            found: str = forwarder.status()["outputs"].get("away", {}).get("last_error", "")
            return found

        assert "refused" in eventually(told)
        with HecStub(port=away) as back:
            eventually(lambda: len(delivered(back)) == 500)
        assert forwarder.stop() == 0


def test_sigterm_delivers_what_waits_and_keeps_what_it_cannot(
    tmp_path: Path, stub: HecStub
) -> None:
    port = free_port()
    forwarder = Forwarder(tmp_path, listen("tcp", port), hec(stub.url), TEST_TOKEN=TOKEN)
    with ended(forwarder):
        forwarder.start()
        with socket.create_connection(("127.0.0.1", port)) as out:
            out.sendall("".join(f"{LINE % at}\n" for at in range(2000)).encode())
        assert forwarder.stop() == 0
        taken = len(delivered(stub))
        assert taken == len(in_log(tmp_path)) == 2000


def test_a_bad_token_keeps_everything_and_shows_nowhere(tmp_path: Path, stub: HecStub) -> None:
    port = free_port()
    secret = "wrong-s3cret-token"  # noqa: S105  not a real one
    forwarder = Forwarder(tmp_path, listen("tcp", port), hec(stub.url), TEST_TOKEN=secret)
    with ended(forwarder):
        forwarder.start("--grace", "1")
        with socket.create_connection(("127.0.0.1", port)) as out:
            out.sendall(f"{LINE % 1}\n".encode())
        eventually(lambda: forwarder.status()["outputs"].get("hec", {}).get("halted"))
        text = json.dumps(forwarder.status())
        assert "check the token" in text
        pids = [each["pid"] for each in forwarder.status()["processes"]]
        assert forwarder.process is not None
        for pid in [forwarder.process.pid, *pids]:
            text += Path(f"/proc/{pid}/cmdline").read_text()
        doctor = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "datto_siem.plugins.cli", "doctor", "--config", forwarder.path],
            env=forwarder.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert doctor.returncode == 1
        assert "do: " in doctor.stdout
        assert forwarder.stop(signal.SIGINT) == 0
        text += doctor.stdout + doctor.stderr + forwarder.errors.read_text()
        for path in tmp_path.rglob("*"):
            text += path.read_bytes().decode("latin-1") if path.is_file() else ""
        assert secret not in text
        forwarder.env["TEST_TOKEN"] = TOKEN
        forwarder.start()
        eventually(lambda: len(delivered(stub)) == 1)
        assert forwarder.stop() == 0


def test_replay_sends_again_with_the_same_ids(tmp_path: Path, stub: HecStub) -> None:
    port = free_port()
    forwarder = Forwarder(tmp_path, listen("tcp", port), hec(stub.url), TEST_TOKEN=TOKEN)
    command = [sys.executable, "-m", "datto_siem.plugins.cli", "forward"]
    given = ["--config", str(forwarder.path), "--output", "hec"]
    with ended(forwarder):
        forwarder.start()
        with socket.create_connection(("127.0.0.1", port)) as out:
            out.sendall("".join(f"{LINE % at}\n" for at in range(100)).encode())
        eventually(lambda: len(stub.events) == 100)
        eventually(lambda: forwarder.delivered("hec") == 100)
        done = subprocess.run(  # noqa: S603  our own command
            [*command, "replay", *given, "--from", "1"], capture_output=True, text=True, check=True
        )
        assert "hec sends 100 records again" in done.stderr
        eventually(lambda: len(stub.events) == 200)
        assert len(delivered(stub)) == 100
        assert forwarder.stop() == 0


def test_one_bad_event_is_a_dead_letter_that_can_be_sent_again(
    tmp_path: Path, stub: HecStub
) -> None:
    port = free_port()
    forwarder = Forwarder(tmp_path, listen("tcp", port), hec(stub.url), TEST_TOKEN=TOKEN)
    command = [sys.executable, "-m", "datto_siem.plugins.cli", "forward", "dead-letters"]
    given = ["--config", str(forwarder.path)]
    stub.fault(12, 3)
    with ended(forwarder):
        forwarder.start()
        with socket.create_connection(("127.0.0.1", port)) as out:
            out.sendall("".join(f"{LINE % at}\n" for at in range(10)).encode())
        eventually(lambda: len(delivered(stub)) == 9)
        run = {"env": forwarder.env, "capture_output": True, "text": True, "check": True}
        listed = subprocess.run([*command, "list", *given], **run)  # type: ignore[call-overload]  # noqa: S603
        (letter,) = map(json.loads, listed.stdout.splitlines())
        assert letter["raw"] == LINE % 3
        retried = subprocess.run([*command, "retry", *given], **run)  # type: ignore[call-overload]  # noqa: S603
        assert "1 taken" in retried.stderr
        assert len(delivered(stub)) == 10
        assert forwarder.stop() == 0


def test_a_second_forwarder_on_the_same_log_is_refused(tmp_path: Path, stub: HecStub) -> None:
    forwarder = Forwarder(tmp_path, listen("tcp", free_port()), hec(stub.url), TEST_TOKEN=TOKEN)
    with ended(forwarder):
        forwarder.start()
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "datto_siem.plugins.cli", "forward", "--config", forwarder.path],
            env=forwarder.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert str(tmp_path / "log") in done.stderr
        assert forwarder.stop() == 0


def test_standard_input_is_forwarded_to_its_end(tmp_path: Path, stub: HecStub) -> None:
    forwarder = Forwarder(tmp_path, '[[listen]]\ntype = "stdin"\n', hec(stub.url), TEST_TOKEN=TOKEN)
    lines = "".join(f"{LINE % at}\n" for at in range(1000))
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "datto_siem.plugins.cli", "forward", "--config", forwarder.path],
        env=forwarder.env,
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(delivered(stub)) == 1000


def test_metrics_are_prometheus_text_and_only_for_this_machine(
    tmp_path: Path, stub: HecStub
) -> None:
    import urllib.error
    import urllib.request

    from prometheus_client.parser import text_string_to_metric_families

    port = free_port()
    forwarder = Forwarder(tmp_path, listen("tcp", port), hec(stub.url), TEST_TOKEN=TOKEN)
    base = f"http://127.0.0.1:{forwarder.admin}"
    with ended(forwarder):
        forwarder.start()
        with socket.create_connection(("127.0.0.1", port)) as out:
            out.sendall(f"{LINE % 1}\n".encode())
        eventually(lambda: forwarder.delivered("hec") == 1)
        with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:  # noqa: S310
            families = list(text_string_to_metric_families(answer.read().decode()))
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }
        assert values["datto_siem_received_records_total", "tcp"] == 1
        assert values["datto_siem_delivered_records_total", "hec"] == 1
        for path, status in (("/healthz", 200), ("/readyz", 200)):
            with urllib.request.urlopen(base + path, timeout=5) as answer:  # noqa: S310
                assert answer.status == status
        for path, host, status in (("/nope", "localhost", 404), ("/status", "evil.example", 403)):
            asked = urllib.request.Request(base + path, headers={"Host": host})  # noqa: S310
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(asked, timeout=5)  # noqa: S310
            assert caught.value.code == status
            caught.value.close()
        assert forwarder.stop() == 0
