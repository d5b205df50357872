"""Standard input: read to its end, in this process or a child of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fakes.recording_intake import RecordingIntake, running, until

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import stdin

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import multiprocessing, sys
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.sources import stdin

class Printing:
    def put(self, arrivals, mark=None):
        for each in arrivals:
            sys.stdout.write(each.raw.decode() + ";")
        sys.stdout.flush()
    def pressed(self):
        return False

def child():
    stdin.open_listener(stdin.Config(), Printing(), Meter(), "stdin").run()

if __name__ == "__main__":
    sys.stdin.buffer.raw.read(5) if "ahead" in sys.argv else None
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join(60)
    sys.exit(process.exitcode)
"""


def listener(
    source: int, intake: RecordingIntake, meter: Meter | None = None, **options: Any
) -> stdin.Stdin:
    return stdin.Stdin(source, build(stdin.Config, options), intake, meter or Meter(), "stdin")


def test_everything_is_put_and_the_end_ends_it() -> None:
    intake, meter = RecordingIntake(), Meter()
    reading, writing = os.pipe()
    os.write(writing, b"<1>a\n<2>b\r\n\n<3>c")
    os.close(writing)
    listener(reading, intake, meter).run()
    assert intake.raws() == [b"<1>a", b"<2>b", b"<3>c"]
    assert intake.arrivals[0].peer == ""
    assert meter.get("received_records", listener="stdin") == 3


def test_long_lines_are_cut_and_counted() -> None:
    intake, meter = RecordingIntake(), Meter()
    reading, writing = os.pipe()
    os.write(writing, b"x" * 1000 + b"\nshort\n")
    os.close(writing)
    listener(reading, intake, meter, max_record=480).run()
    assert intake.raws() == [b"x" * 480, b"short"]
    assert meter.get("truncated_records", listener="stdin") == 1


def test_stop_ends_a_wait_and_keeps_what_was_read() -> None:
    intake = RecordingIntake()
    reading, writing = os.pipe()
    with running(listener(reading, intake)):
        os.write(writing, b"<1>a\n<2>half")
        intake.wait(1)
    os.close(writing)
    assert intake.raws() == [b"<1>a", b"<2>half"]


def test_stop_before_run_closes() -> None:
    reading, writing = os.pipe()
    listener(reading, RecordingIntake()).stop()
    os.close(writing)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(reading)


def test_a_full_log_stops_the_reading() -> None:
    intake = RecordingIntake()
    intake.full = True
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with running(listener(reading, intake)):
        sent = os.write(writing, b"<1>a\n" * 100_000)  # as much as the pipe holds
        assert sent < 500_000
        with pytest.raises(BlockingIOError):
            os.write(writing, b"nobody reads")
        assert intake.raws() == []
        intake.full = False
        until(lambda: len(intake.arrivals) >= sent // 5, "all that was written")
    os.close(writing)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_child_reads_its_parents_input(tmp_path: Path, ahead: bool) -> None:
    program = tmp_path / "program.py"
    program.write_text(CHILD)
    source = tmp_path / "records"
    source.write_bytes(b"<1>a\n<2>b\n")
    with source.open("rb") as given:
        done = subprocess.run(  # noqa: S603
            [sys.executable, program, *(["ahead"] if ahead else [])],
            stdin=given,
            capture_output=True,
            check=True,
            timeout=60,
        )
    assert done.stdout == (b"<2>b;" if ahead else b"<1>a;<2>b;")


def test_a_child_reads_its_parents_pipe(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CHILD)
    done = subprocess.run(  # noqa: S603
        [sys.executable, program], input=b"<1>a\n<2>b", capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"<1>a;<2>b;"
