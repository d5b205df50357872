from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from datto_siem.plugins.simulator.scenarios import SCENARIOS

AT = ("--start", "2026-11-24T10:00:00Z")
COMMAND = (sys.executable, "-m", "datto_siem.plugins.cli", "simulate")


def test_lines_go_to_standard_output_and_the_summary_elsewhere(cli):
    done = cli("simulate", "--count", 700, *AT)
    assert (done.code, len(done.lines)) == (0, 700)
    assert done.err.startswith("sent 700; ")


def test_a_thousand_lines_are_the_default(cli):
    assert len(cli("simulate", "--quiet").lines) == 1000


def test_the_same_options_give_the_same_bytes(cli):
    args = ("simulate", "--seed", 5, "--quirks", "all", "--prefix", 5424, "--sites", 3, *AT)
    assert cli(*args).out == cli(*args).out
    assert cli(*args).out != cli(*args, "--seed", 6).out


def test_a_rate_of_zero_is_none(cli):
    args = ("simulate", "--count", 300, *AT)
    assert cli(*args, "--rate", 0).out == cli(*args).out


def test_what_is_made_converts_strictly(cli):
    out = cli("simulate", "--count", 3000, *AT).out
    done = cli("convert", "--to", "ecs", "--strict", stdin=out)
    assert (done.code, len(done.lines)) == (0, 3000)


def test_scenarios_are_listed_one_a_line(cli):
    done = cli("simulate", "--scenario", "list")
    assert [line.split()[0].decode() for line in done.lines] == list(SCENARIOS)
    text = cli("simulate", "--help").out.decode()
    assert [name for name, each in SCENARIOS.items() if each.summary not in text] == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--scenario", "flood"), "--scenario: there is no 'flood': choose wifi-password-guess, "),
        (("--to", "syslog"), "--to: 'syslog' is no target: write -, udp://HOST:PORT, "),
        (("--count", "-1"), "argument --count: '-1' is no number from 0 to "),
        (("--duration", "0"), "argument --duration: '0' is no number above 0"),
        (("--rate", "fast"), "argument --rate: 'fast' is no number above 0"),
        (("--rate", "nan"), "argument --rate: 'nan' is no number above 0"),
        (("--start", "soon"), "argument --start: 'soon' is no time"),
        (("--sites", "0"), "argument --sites: '0' is no number from 1 to 1024"),
    ],
)
def test_misuse_says_what_to_do(cli, args, message):
    done = cli("simulate", *args)
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith(f"datto-siem: {message}")


def test_datagrams_arrive(cli):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        to = f"udp://127.0.0.1:{server.getsockname()[1]}"
        done = cli("simulate", "--count", 40, *AT, "--to", to)
        found = [server.recv(65_536) for _ in range(40)]
    assert (done.code, done.out) == (0, b"")
    assert found == cli("simulate", "--count", 40, *AT).lines


def test_nobody_listening_is_a_failure(cli):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = cli("simulate", "--to", f"tcp://127.0.0.1:{port}")
    assert done.code == 2
    assert done.err == (
        f"datto-siem: nothing listens at tcp://127.0.0.1:{port}: start the receiver,"
        " or check the port; 0 lines were handed over\n"
    )


def test_a_target_outside_is_warned_of(cli, monkeypatch):
    monkeypatch.setattr("datto_siem.plugins.simulator.senders.outside", lambda _: True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        to = f"udp://127.0.0.1:{server.getsockname()[1]}"
        done = cli("simulate", "--count", 1, "--to", to)
    assert f"datto-siem: {to} is outside this network: made-up events go there\n" in done.err


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")],
)
def test_a_signal_ends_it_and_tells_how_much_was_sent(number, code, word):
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--count", "0", "--rate", "200"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline().startswith(b"<")
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err.startswith(b"datto-siem: " + word)
    assert err.endswith(b" lines were sent\n")


def test_a_reader_that_goes_away_ends_it_quietly():
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--count", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


def test_a_duration_ends_it(cli):
    done = cli("simulate", "--duration", 0.2, "--rate", 100)
    assert done.code == 0
    assert 1 <= len(done.lines) <= 100
