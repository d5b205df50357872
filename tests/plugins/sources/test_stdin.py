"""Standard input: read to its end."""

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
import sys
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.sources import stdin

class Printing:
    def put(self, arrivals, mark=None):
        for each in arrivals:
            sys.stdout.write(each.raw.decode() + ";")
        sys.stdout.flush()
    def pressed(self):
        return False

stdin.open_listener(stdin.Config(), Printing(), Meter(), "stdin").run()
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


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_input_may_be_a_file_or_a_pipe(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "records"
    source.write_bytes(b"<1>a\n<2>b")
    command = [sys.executable, "-c", CHILD]
    with source.open("rb") as given:
        whole = {"stdin": given} if kind == "file" else {"input": given.read()}
        done = subprocess.run(command, capture_output=True, check=True, timeout=60, **whole)  # type: ignore[call-overload]  # noqa: S603
    assert done.stdout == b"<1>a;<2>b;"
