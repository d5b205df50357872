"""The forwarder whole, as processes: nothing accepted is lost, whatever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from peers.hec_stub import TOKEN, HecStub
from running import COMMAND, Forwarder, free_port, gone, until

from datto_siem.converters.identity import uid
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def forward(folder: Path, port: int, outputs: str) -> Forwarder:
    """A forwarder that listens on a TCP port, ready."""
    return Forwarder(folder, listen("tcp", port) + outputs, {"TEST_TOKEN": TOKEN}).ready()


def send(port: int, count: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as out:
        out.sendall("".join(f"{LINE % at}\n" for at in range(count)).encode())


def ask(forwarder: Forwarder, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own command
        [*COMMAND, *args, "--config", str(forwarder.config)],
        env={**os.environ, "TEST_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=True,
    )


def test_kill_9_of_any_process_at_any_time_loses_nothing_accepted(
    tmp_path: Path, stub: HecStub
) -> None:
    port = free_port()
    dice = random.Random(7)  # noqa: S311  a test's choice
    forwarder = forward(tmp_path, port, hec(stub.url))
    sender = Sender(port)
    sender.start()
    try:
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.02, 0.2))
            parts = list(forwarder.pids().values())
            victim = dice.choice([forwarder.process.pid, *parts])
            if victim != forwarder.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                continue
            with forwarder:
                pass  # killed, and its files closed
            until(lambda parts=parts: all(map(gone, parts)), "children gone after their parent")
            forwarder = forward(tmp_path, port, hec(stub.url))
        sender.ending.set()
        sender.join()
        forwarder.ready()
        end = in_log(tmp_path)[-1].offset + 1
        until(lambda: len(delivered(stub)) >= end, "all delivered")
        assert forwarder.end() == 0
    finally:
        sender.ending.set()
        sender.join()
        with forwarder:
            pass
    records = in_log(tmp_path)
    assert [record.offset for record in records] == list(range(len(records)))
    assert len(records) > 1000
    found = delivered(stub)
    for record in records:
        id_ = uid(record.raw, record.peer, record.received, record.offset)
        assert found[id_] == record.raw.decode()
    assert len(found) == len(records)


def test_an_output_that_is_away_stalls_no_other_and_gets_all_when_it_is_back(
    tmp_path: Path, stub: HecStub
) -> None:
    port, away = free_port(), free_port()
    outputs = hec(stub.url) + hec(f"http://127.0.0.1:{away}").replace('"hec"', '"away"')
    with forward(tmp_path, port, outputs) as forwarder:
        send(port, 500)
        until(lambda: len(delivered(stub)) == 500, "delivered where it can be")

        def told() -> str:
            found: str = forwarder.status()["outputs"].get("away", {}).get("last_error", "")
            return found

        assert "refused" in until(told, "trouble told")
        with HecStub(port=away) as back:
            until(lambda: len(delivered(back)) == 500, "delivered when it is back")
        assert forwarder.end() == 0


def test_a_halted_output_delivers_all_once_it_is_mended(tmp_path: Path, stub: HecStub) -> None:
    port = free_port()
    parts = listen("tcp", port) + hec(stub.url)
    with Forwarder(tmp_path, parts, {"TEST_TOKEN": "wrong"}, grace=1.0).ready() as forwarder:
        send(port, 3)
        until(lambda: forwarder.count("outputs", "hec", "halted"), "halted")
        assert "check the token" in json.dumps(forwarder.status())
        assert forwarder.end() == 0
    with forward(tmp_path, port, hec(stub.url)) as forwarder:
        until(lambda: len(delivered(stub)) == 3, "delivered")
        assert forwarder.end() == 0


def test_replay_sends_again_with_the_same_ids(tmp_path: Path, stub: HecStub) -> None:
    port = free_port()
    with forward(tmp_path, port, hec(stub.url)) as forwarder:
        send(port, 100)
        until(lambda: forwarder.count("outputs", "hec", "delivered_records") == 100, "delivered")
        done = ask(forwarder, "replay", "--output", "hec", "--from", "1")
        assert "hec sends 100 records again" in done.stderr
        until(lambda: len(stub.events) == 200, "sent again")
        assert len(delivered(stub)) == 100
        assert forwarder.end() == 0


def test_one_bad_event_is_a_dead_letter_that_can_be_sent_again(
    tmp_path: Path, stub: HecStub
) -> None:
    port = free_port()
    stub.fault(12, 3)
    with forward(tmp_path, port, hec(stub.url)) as forwarder:
        send(port, 10)
        until(lambda: len(delivered(stub)) == 9, "the good ones delivered")
        (letter,) = map(json.loads, ask(forwarder, "dead-letters", "list").stdout.splitlines())
        assert letter["raw"] == LINE % 3
        assert "1 taken" in ask(forwarder, "dead-letters", "retry").stderr
        assert len(delivered(stub)) == 10
        assert forwarder.end() == 0


def test_several_sockets_are_several_processes(tmp_path: Path, stub: HecStub) -> None:
    port = free_port(socket.SOCK_DGRAM)
    parts = listen("udp", port) + "sockets = 2\n" + hec(stub.url)
    with Forwarder(tmp_path, parts, {"TEST_TOKEN": TOKEN}).ready() as forwarder:
        assert {"receive udp", "receive udp #2"} <= set(forwarder.pids())
        for at in range(40):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:  # a port each
                out.sendto((LINE % at).encode(), ("127.0.0.1", port))
        until(lambda: len(delivered(stub)) == 40, "all delivered")
        assert forwarder.end() == 0
