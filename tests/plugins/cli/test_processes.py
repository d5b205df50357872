"""What only a process of its own shows: pipes, signals, workers, the way it is started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from datto_siem.plugins.cli import processes, work

AT = ("--received-at", "2026-11-24T10:00:00Z")
COMMAND = (sys.executable, "-m", "datto_siem.plugins.cli")
LINE = b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 smac=02:00:5E:10:00:03\n"


def start(*args, **rest):
    return subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *args],
        stdin=subprocess.PIPE,
        stdout=rest.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        **rest,
    )


@pytest.fixture(params=["forked", "started anew"])
def workers_are(request, monkeypatch):
    """Both ways in which workers come to be."""
    if request.param != "forked":
        monkeypatch.setattr(processes, "can_fork", lambda: False)
    elif not processes.can_fork():
        pytest.skip("processes with threads are not forked, and none are outside Linux")


@pytest.mark.usefixtures("workers_are")
@pytest.mark.parametrize("workers", ["2", "3"])
def test_workers_give_the_same_bytes_as_one(cli, tmp_path, traffic, workers):
    content = traffic * 2  # several blocks
    (tmp_path / "a.log").write_bytes(content[: len(content) // 3])
    (tmp_path / "b.log").write_bytes(content[len(content) // 3 :])
    args = ("convert", "--to", "ocsf", *AT, tmp_path / "a.log", tmp_path / "b.log")
    one = cli(*args)
    many = cli(*args, "--workers", workers)
    assert many.code == 0
    assert many.out == one.out
    assert many.err.partition(";")[0] == one.err.partition(";")[0]


@pytest.mark.usefixtures("workers_are")
def test_few_batches_are_held_at_a_time():
    taken = given = most = 0
    settings = work.Settings("cef")

    def batches():
        nonlocal taken
        for number in range(100):
            taken += 1
            yield work.Batch([LINE.strip().decode()], number, 0)

    for _ in work.results(batches(), settings, settings.worker(), 2):
        most = max(most, taken - given)
        given += 1
        time.sleep(0.002)
    assert given == 100
    assert most <= processes._MOST + 2 + 1 + 1, "under way, and the one that was just asked for"


def test_one_batch_needs_no_other_process(monkeypatch):
    def start(*_):
        raise AssertionError("a process is started")

    monkeypatch.setattr(processes._Process, "__init__", start)
    settings = work.Settings("cef")
    batches = [work.Batch([LINE.strip().decode()], 0, 0)]
    (((content, tally),)) = work.results(batches, settings, settings.worker(), 2)
    assert content.startswith(b"CEF:")
    assert tally.records == 1


@pytest.mark.usefixtures("workers_are")
def test_workers_end_at_once_when_all_is_done():
    settings = work.Settings("cef")
    batches = [work.Batch([LINE.strip().decode()], number, 0) for number in range(20)]
    assert len(list(work.results(batches, settings, settings.worker(), 4))) == 20
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("workers_are")
def test_a_dead_worker_is_told_and_leaves_no_output(cli, tmp_path, traffic, monkeypatch):
    real = work.results

    def results(*args):
        for number, result in enumerate(real(*args)):
            if number == 1:
                for child in multiprocessing.active_children():
                    os.kill(child.pid, signal.SIGKILL)
                time.sleep(0.2)
            yield result

    monkeypatch.setattr("datto_siem.plugins.cli.convert.results", results)
    (tmp_path / "a.log").write_bytes(traffic * 20)
    done = cli("convert", "--to", "ecs", "--workers", 2, "-o", tmp_path / "out", tmp_path / "a.log")
    assert done.code == 2
    assert "a worker process died of signal 9: memory may have run out" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def _fails_elsewhere(settings, here):
    """A worker that has an error of ours in every process but one."""
    worker = settings.worker()
    dump = worker.converter.dump

    def failing(event, eager):
        if os.getpid() != here:
            raise TypeError("ours")
        return dump(event, eager)

    worker.converter.dump = failing
    return worker


class _Failing(work.Settings):
    def worker(self):
        return _fails_elsewhere(work.Settings(self.target), 0)


@pytest.mark.usefixtures("workers_are")
def test_an_error_of_ours_in_a_worker_names_the_record():
    batches = [work.Batch(["no CEF"], number, 0) for number in range(50)]
    worker = _fails_elsewhere(work.Settings("ecs"), os.getpid())
    results = work.results(batches, _Failing("ecs"), worker, 2)
    with pytest.raises(RuntimeError, match=r"record [0-9]+ of the input: TypeError\('ours'\)"):
        list(results)


def test_a_reader_that_goes_away_ends_it_quietly():
    process = start("convert", "--to", "ecs")
    process.stdin.write(LINE)
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    for _ in range(50):
        try:
            process.stdin.write(LINE * 1000)
            process.stdin.flush()
        except BrokenPipeError:
            break
    _, err = finish(process)
    assert process.returncode == 141
    assert err == b""


def finish(process):
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdin = None
    err = process.stderr.read()
    process.wait(20)
    process.stderr.close()
    if process.stdout and not process.stdout.closed:
        process.stdout.close()
    return None, err


def test_records_come_out_while_input_is_still_open():
    process = start("convert", "--to", "cef")
    for _ in range(2):
        process.stdin.write(LINE)
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"CEF:0|Datto|")
    finish(process)
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
@pytest.mark.parametrize("command", ["convert", "explain"])
def test_a_full_standard_output_is_told(command):
    with Path("/dev/full").open("wb") as full:
        process = start(command, "--to", "ecs", stdout=full)
        _, err = process.communicate(LINE, 20)
    assert process.returncode == 2
    assert err == (
        b"datto-siem: cannot write standard output: No space left on device:"
        b" what is there is not whole; free space there and run it again\n"
    )


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_leaves_nothing_behind(tmp_path, number, code, word, workers):
    out = tmp_path / "out"
    process = start(
        "convert", "--to", "ecs", "--workers", workers, "-o", str(out), start_new_session=True
    )
    process.stdin.write(LINE * 3000)
    process.stdin.flush()
    deadline = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # records are being converted, or input is waited for
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = finish(process)
    assert process.returncode == code
    assert err == b"datto-siem: %s: %s was not written; run it again\n" % (word, bytes(out))
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs_as_the_console_script_does():
    process = start("--version")
    out, _ = process.communicate(b"", 20)
    assert out.startswith(b"datto-siem ")


def test_help_into_a_closed_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = start("convert", "--help", stdout=write, env=buffered)
    os.close(write)
    _, err = process.communicate(b"", 20)
    assert (process.returncode, err) == (141, b"")
