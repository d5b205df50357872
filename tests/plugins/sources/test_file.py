"""Files: followed through growth, rotation, truncation and restarts; each line once."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING, Any

import pytest
from fakes.recording_intake import RecordingIntake, running, until
from hypothesis import given, settings
from hypothesis import strategies as st

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import file

if TYPE_CHECKING:
    from pathlib import Path


def opened(
    intake: RecordingIntake, *paths: Path, meter: Meter | None = None, **options: Any
) -> file.Files:
    given = {"paths": [str(path) for path in paths], "poll": 0.01, "linger": 0.05, **options}
    return file.open_listener(build(file.Config, given), intake, meter or Meter(), "file")


def once(intake: RecordingIntake, *paths: Path, **options: Any) -> list[bytes]:
    """Read everything there is, as one run of the forwarder; what this run put."""
    before = len(intake.arrivals)
    opened(intake, *paths, follow=False, **options).run()
    return intake.raws()[before:]


def append(path: Path, raw: bytes) -> None:
    with path.open("ab") as log:
        log.write(raw)


@pytest.fixture
def intake() -> RecordingIntake:
    return RecordingIntake()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "datto.log"


def test_a_file_is_followed_and_a_line_is_waited_for(intake: RecordingIntake, log: Path) -> None:
    log.write_bytes(b"<1>a\r\n\n<2>")
    meter = Meter()
    with running(opened(intake, log, meter=meter)):
        assert intake.wait(1) == [b"<1>a"]
        append(log, b"b\n<3>c\n")
        assert intake.wait(3) == [b"<1>a", b"<2>b", b"<3>c"]
    assert {arrival.peer for arrival in intake.arrivals} == {str(log)}
    assert meter.get("received_records", listener="file") == 3


def test_a_restart_goes_on_where_the_last_ended(intake: RecordingIntake, log: Path) -> None:
    log.write_bytes(b"a\nb\nhal")
    with running(opened(intake, log)):
        intake.wait(2)
    append(log, b"f\nc\n")
    with running(opened(intake, log)):
        assert intake.wait(4) == [b"a", b"b", b"half", b"c"]
    assert once(intake, log) == []


def test_a_renamed_file_is_read_to_its_end(intake: RecordingIntake, log: Path) -> None:
    log.write_bytes(b"a\n")
    with running(opened(intake, log)):
        intake.wait(1)
        moved = log.rename(log.with_name("datto.log.1"))
        log.write_bytes(b"c\n")
        append(moved, b"b without an end")  # its writer has not noticed yet
        intake.wait(3)
    assert sorted(intake.raws()) == [b"a", b"b without an end", b"c"]


def test_a_renamed_file_that_still_matches_is_not_read_twice(
    intake: RecordingIntake, log: Path
) -> None:
    log.write_bytes(b"a\nb")
    pattern = log.with_name("datto.log*")
    with running(opened(intake, pattern)):
        intake.wait(1)
        log.rename(log.with_name("datto.log.1"))
        log.write_bytes(b"c\n")
        intake.wait(3)
    assert sorted(intake.raws()) == [b"a", b"b", b"c"]
    assert once(intake, pattern) == []


def test_a_file_renamed_while_we_were_down_is_read_to_its_end(
    intake: RecordingIntake, log: Path
) -> None:
    log.write_bytes(b"a\n")
    once(intake, log)
    append(log, b"b\n")
    log.rename(log.with_name("datto.log.1"))
    log.write_bytes(b"c\n")
    log.with_name("datto.log.2").write_bytes(b"never ours\n")
    assert sorted(once(intake, log)) == [b"b", b"c"]
    assert once(intake, log) == []


def test_a_truncated_file_is_read_from_its_new_beginning(
    intake: RecordingIntake, log: Path
) -> None:
    log.write_bytes(b"first a\nfirst b\nhalf")
    with running(opened(intake, log)):
        intake.wait(2)
        until(lambda: any(mark.startswith("16:20:") for mark in intake.marks.values()), "a place")
        with log.open("r+b") as writer:
            writer.truncate(0)
        intake.wait(3)
        append(log, b"second\n")
        assert intake.wait(4) == [b"first a", b"first b", b"half", b"second"]


def test_a_file_truncated_and_grown_past_our_place_is_noticed(
    intake: RecordingIntake, log: Path
) -> None:
    log.write_bytes(b"a\n")
    once(intake, log)
    log.write_bytes(b"b\nc\nd\n")  # the same inode, as after copytruncate
    assert once(intake, log) == [b"b", b"c", b"d"]


def test_the_hole_that_copytruncate_leaves_is_skipped(intake: RecordingIntake, log: Path) -> None:
    with log.open("wb") as writer:
        writer.write(b"a\n" * 3)
        writer.flush()
        once(intake, log)
        os.truncate(log, 0)
        writer.seek(3_000_000)  # a writer without O_APPEND goes on where it was
        writer.write(b"b\n")
    assert once(intake, log, max_record=480) == [b"b"]


def test_new_files_are_found_and_read_from_the_beginning(
    intake: RecordingIntake, tmp_path: Path
) -> None:
    (tmp_path / "old.log").write_bytes(b"old\nhalf")
    with running(opened(intake, tmp_path / "*.log", start="end")):
        until(lambda: intake.marks, "a first look")
        (tmp_path / "new.log").write_bytes(b"new\n")
        (tmp_path / "other.txt").write_bytes(b"other\n")
        append(tmp_path / "old.log", b" whole\n")
        intake.wait(2)
    assert sorted(intake.raws()) == [b"half whole", b"new"]


def test_the_end_is_kept_for_the_next_start(intake: RecordingIntake, log: Path) -> None:
    log.write_bytes(b"old\n")
    assert once(intake, log, start="end") == []
    append(log, b"new\n")
    assert once(intake, log, start="end") == [b"new"]


def test_long_lines_are_cut_once_and_counted(intake: RecordingIntake, log: Path) -> None:
    meter = Meter()
    log.write_bytes(b"x" * 5_000_000)
    with running(opened(intake, log, meter=meter, max_record=480)):
        intake.wait(1)
        until(lambda: any(mark.startswith("5000000:") for mark in intake.marks.values()), "a place")
    append(log, b"x" * 100 + b"\nb\n")
    assert once(intake, log, max_record=480) == [b"b"]
    assert intake.raws()[0] == b"x" * 480
    assert meter.get("truncated_records", listener="file") == 1


def test_packed_files_are_read_once(intake: RecordingIntake, tmp_path: Path) -> None:
    packed = tmp_path / "datto.log.1.gz"
    packed.write_bytes(gzip.compress(b"a\nb\nc"))
    with running(opened(intake, tmp_path / "*.gz")):
        assert intake.wait(3) == [b"a", b"b", b"c"]
        packed.touch()
        (tmp_path / "datto.log.2.gz").write_bytes(gzip.compress(b"d\n"))
        intake.wait(4)
    assert once(intake, tmp_path / "*.gz") == []


def test_another_packed_file_in_the_place_of_one_read_is_read(
    intake: RecordingIntake, tmp_path: Path
) -> None:
    packed = tmp_path / "datto.gz"
    packed.write_bytes(gzip.compress(b"a\n"))
    assert once(intake, packed) == [b"a"]
    packed.write_bytes(gzip.compress(b"b\n"))  # the same inode
    assert once(intake, packed) == [b"b"]


def test_a_packed_file_goes_on_where_it_was_cut(intake: RecordingIntake, tmp_path: Path) -> None:
    lines = [os.urandom(24).hex().encode() for _ in range(80_000)]
    whole = gzip.compress(b"\n".join(lines) + b"\n")
    packed, meter = tmp_path / "datto.gz", Meter()
    packed.write_bytes(whole[: len(whole) // 2])
    first = once(intake, packed, meter=meter)
    assert first == lines[: len(first)]
    assert first
    assert meter.get("framing_errors", listener="file") == 1
    packed.write_bytes(whole)
    assert first + once(intake, packed) == lines


def test_what_is_no_gzip_is_counted_and_harms_no_other(
    intake: RecordingIntake, tmp_path: Path
) -> None:
    meter = Meter()
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"b\n")[:-8] + b"wrong sum")
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"c\n"))
    assert once(intake, tmp_path / "*.gz", meter=meter) == [b"b", b"c"]
    assert meter.get("framing_errors", listener="file") == 2


def test_what_is_no_ordinary_file_is_left_alone(intake: RecordingIntake, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "c").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d").write_bytes(b"d\n")
    assert once(intake, tmp_path / "*") == [b"d"]


def test_a_name_that_is_no_text_is_shown(intake: RecordingIntake, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/x\xff.log"
    with open(name, "wb") as odd:  # noqa: PTH123  Path takes no bytes
        odd.write(b"a\n")
    once(intake, tmp_path / "*.log")
    assert intake.arrivals[0].peer == f"{tmp_path}/x\\xff.log"


def test_a_place_that_is_not_ours_is_not_believed(intake: RecordingIntake, log: Path) -> None:
    log.write_bytes(b"a\nb\n")
    once(intake, log)
    for source in intake.marks:
        intake.marks[source] = "garbage"
    assert once(intake, log) == [b"a", b"b"]


def test_a_full_log_stops_the_reading_and_stop_ends_the_wait(
    intake: RecordingIntake, log: Path
) -> None:
    log.write_bytes(b"a\n")
    packed = log.with_name("datto.gz")
    packed.write_bytes(gzip.compress(b"b\n"))
    intake.full = True
    with running(opened(intake, log, packed)):
        until(lambda: intake.waits > 3, "a wait for room")
    assert intake.raws() == []
    intake.full = False
    assert sorted(once(intake, log, packed)) == [b"a", b"b"]


def test_stop_before_run_reads_nothing(intake: RecordingIntake, log: Path) -> None:
    log.write_bytes(b"a\n")
    listener = opened(intake, log)
    listener.stop()
    listener.run()
    assert intake.raws() == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=12), st.integers(0, 12))
def test_any_bytes_and_any_restarts_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], restarts: int
) -> None:
    log = tmp_path_factory.mktemp("any") / "log"
    intake = RecordingIntake()
    for number, piece in enumerate(pieces):
        append(log, piece)
        if number < restarts:
            listener = opened(intake, log)
            with running(listener):
                intake.wait(len(_lines(b"".join(pieces[: number + 1]).rpartition(b"\n")[0])))
    once(intake, log)
    assert intake.raws() == _lines(b"".join(pieces))


def _lines(raw: bytes) -> list[bytes]:
    """Lines without endings and without NULs before them; empty ones left out."""
    return [line for each in raw.split(b"\n") if (line := each.rstrip(b"\r\n\0").lstrip(b"\0"))]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"paths": ["relative.log"]}, "begin it with /"),
        ({"poll": 0}, "poll"),
        ({"max_record": 1}, "480"),
    ],
)
def test_bad_options_say_what_to_do(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(file.Config, {"paths": ["/var/log/x"], **options})
