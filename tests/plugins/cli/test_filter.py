"""`datto-siem filter` as shippers run it: pipes, sockets, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from lines import generate

from datto_siem.plugins.filters._address import address
from datto_siem.plugins.filters._outlet import Outlet
from datto_siem.plugins.filters._pipe import LONGEST, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "datto_siem.plugins.cli", "filter", "--to", "ecs"]
BOOT = b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456 x=%d"
WAIT = 30.0


@contextmanager
def running(*args: str, **rest: Any) -> Iterator[subprocess.Popen[bytes]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, *args], **{**pipes, **rest}) as process:  # noqa: S603  our own command
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def connected(port: int) -> socket.socket:
    end = time.monotonic() + WAIT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_every_line_gets_its_reply_in_order_and_at_once() -> None:
    with running() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for at in range(3):  # one at a time: each is answered while the input stays open
            process.stdin.write(BOOT % at + b"\n")
            process.stdin.flush()
            assert f"x={at}" in json.loads(process.stdout.readline())["event"]["original"]
        out, err = process.communicate(b"\r\n".join([*(BOOT % at for at in range(500)), b"end"]))
        assert process.returncode == 0
    originals = [json.loads(line)["event"]["original"] for line in out.splitlines()]
    assert originals == [*((BOOT % at).decode() for at in range(500)), "end"]
    assert err == b""


def test_hostile_lines_get_one_reply_each() -> None:
    lines = [line.raw.replace(b"\n", b" ") for line in generate(2000, 5)]
    with running() as process:
        out, err = process.communicate(b"\n".join(lines) + b"\n")
    assert len(out.splitlines()) == len(lines)
    assert err == b""


def test_sigterm_ends_with_everything_answered() -> None:
    with running() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(BOOT % 1 + b"\n" + BOOT % 2)
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert b"x=2" in process.stdout.readline()
        assert process.wait(WAIT) == 0


def test_nobody_reading_ends_it_quietly(tmp_path: Path) -> None:
    read, write = os.pipe()
    with running(stdout=write) as process:
        os.close(write)
        os.close(read)
        _, err = process.communicate(BOOT % 1 + b"\n")
        assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--to", "nope"], b"no target 'nope'"),
        (["--protocol", "nope"], b"invalid choice"),
        (["--protocol", "omprog"], b"-o or --send"),
        (["--listen", "127.0.0.1:1"], b"write tcp://127.0.0.1:18800"),
        (["--listen", "tcp://127.0.0.1:99999"], b"write tcp://"),
        (["--listen", "unix:///nowhere/at/all"], b"cannot listen"),
        (["--log", "/nowhere/at/all"], b"cannot open the log"),
        (["--tables", "/nowhere/at/all"], b"not a directory"),
    ],
)
def test_misuse_says_what_to_do_and_ends_with_2(args: list[str], said: bytes) -> None:
    done = subprocess.run([*COMMAND, *args], input=b"", capture_output=True, check=False)  # noqa: S603  our own command
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == b""


def test_the_self_test_shows_the_exchange() -> None:
    done = subprocess.run(  # noqa: S603  our own command
        [*COMMAND, "--protocol", "fluent-bit", "--self-test"], capture_output=True, check=True
    )
    assert done.stdout.count(b"\n< [") == 2
    assert b"self-test passed" in done.stderr


def test_omprog_appends_before_it_confirms(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    with running("--protocol", "omprog", "-o", str(out)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"OK\n"
        for at in range(3):
            process.stdin.write(BOOT % at + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"OK\n"
            assert out.read_bytes().count(b"\n") == at + 1


def test_omprog_confirms_what_the_receiver_has_and_nothing_else() -> None:
    port = free_port()
    with running("--protocol", "omprog", "--send", f"tcp://127.0.0.1:{port}") as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def hand(at: int) -> bytes:
            process.stdin.write(BOOT % at + b"\n")
            process.stdin.flush()
            found: bytes = process.stdout.readline()
            return found

        assert process.stdout.readline() == b"OK\n"
        assert hand(0).startswith(b"cannot hand on: ")  # nobody listens
        with socket.create_server(("127.0.0.1", port)) as receiver:
            assert hand(1) == b"OK\n"
            first, _ = receiver.accept()
            with first, first.makefile("rb") as stream:
                assert b"x=1" in stream.readline()
            assert hand(2) == b"OK\n"  # the closed connection is noticed before sending
            second, _ = receiver.accept()
            with second, second.makefile("rb") as stream:
                assert b"x=2" in stream.readline()


def test_the_log_takes_what_would_go_to_standard_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running("--listen", f"unix://{tmp_path}/s", "--log", str(log)) as process:
        end = time.monotonic() + WAIT
        while not (log.exists() and "listening" in log.read_text()):
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0


def received(listener: socket.socket, count: int) -> list[bytes]:
    """Lines from connections to a listener until there are enough."""
    lines: list[bytes] = []
    listener.settimeout(WAIT)
    while len(lines) < count:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            while len(lines) < count and (line := stream.readline()):
                lines.append(line)
    return lines


def test_the_sidecar_takes_many_connections_and_sends_onward() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        onward = f"tcp://127.0.0.1:{receiver.getsockname()[1]}"
        listen = f"tcp://127.0.0.1:{port}"
        with running("--listen", listen, "--send", onward) as process:

            def ship(first: int) -> None:
                with connected(port) as shipper:
                    for at in range(first, first + 250):
                        shipper.sendall(BOOT % at + b"\n")

            threads = [threading.Thread(target=ship, args=(at,)) for at in range(0, 1000, 250)]
            for thread in threads:
                thread.start()
            lines = received(receiver, 1000)
            for thread in threads:
                thread.join()
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) == 0
    numbers = [int(json.loads(line)["event"]["original"].split("x=")[1]) for line in lines]
    assert sorted(numbers) == list(range(1000))
    for first in range(0, 1000, 250):  # order is kept within a connection
        mine = [number for number in numbers if first <= number < first + 250]
        assert mine == sorted(mine)


def test_without_send_documents_come_back_on_the_connection() -> None:
    port = free_port()
    record = json.dumps({"message": (BOOT % 7).decode()}).encode()
    with (
        running("--listen", f"tcp://127.0.0.1:{port}", "--protocol", "ndjson"),
        connected(port) as shipper,
        shipper.makefile("rb") as back,
    ):
        shipper.sendall(b"\n\n" + record + b"\n")
        assert b"x=7" in back.readline()
        shipper.sendall(b'{"message":"half')
        shipper.shutdown(socket.SHUT_WR)
        assert b"half" in back.readline()
        assert back.readline() == b""


def test_a_probe_hears_whether_documents_can_go_out() -> None:
    port, health, gone = free_port(), free_port(), free_port()
    args = ["--listen", f"tcp://127.0.0.1:{port}", "--health", f"tcp://127.0.0.1:{health}"]

    def probe() -> bytes:
        with connected(health) as asked:
            asked.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return b"".join(iter(lambda: asked.recv(4096), b""))

    with running(*args):
        assert probe().startswith(b"HTTP/1.1 200 OK")
    with running(*args, "--send", f"tcp://127.0.0.1:{gone}"):
        answer = probe()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"ready": false' in answer


def test_a_broken_way_out_is_made_again_and_nothing_accepted_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        port = receiver.getsockname()[1]
        outlet = Outlet(address(f"tcp://127.0.0.1:{port}"))
        try:
            seen: set[bytes] = set()
            receiver.settimeout(WAIT)
            for round_ in range(3):
                for at in range(200):
                    outlet.put(b"%d-%d\n" % (round_, at))
                connection, _ = receiver.accept()
                with connection, connection.makefile("rb") as stream:
                    wanted = {b"%d-%d\n" % (round_, at) for at in range(200)}
                    while not wanted <= seen:
                        seen.add(stream.readline())
                    # leave it with bytes unread: a reset, as of a process that died
                    outlet.put(b"%d-last\n" % round_)
            connection, _ = receiver.accept()
            with connection, connection.makefile("rb") as stream:
                outlet.put(b"end\n")
                while b"end\n" not in seen:
                    seen.add(stream.readline())
        finally:
            assert outlet.close(WAIT) == 0
    assert len([line for line in seen if b"-" in line and b"last" not in line]) == 600


def test_what_cannot_be_sent_is_told() -> None:
    outlet = Outlet(address(f"tcp://127.0.0.1:{free_port()}"))
    outlet.put(b"1234\n")
    assert outlet.close(0.1) == 5
    with pytest.raises(ConnectionAbortedError):
        outlet.put(b"x\n")


def test_lines_come_out_whole_however_they_arrive() -> None:
    text = b"one\n\ntwo\r\nthree"
    for size in range(1, len(text) + 1):
        lines = Lines()
        got = [
            line for at in range(0, len(text), size) for line in lines.feed(text[at : at + size])
        ]
        assert [*got, lines.rest()] == [b"one", b"", b"two\r", b"three"]


def test_a_line_without_end_does_not_fill_memory() -> None:
    lines = Lines()
    chunk = b"x" * (1 << 20)
    for _ in range(20):
        assert lines.feed(chunk) == []
    assert [len(line) for line in lines.feed(b"x\nnext\n")] == [LONGEST, 4]
