"""The embedded log: order, offsets, limits, what it refuses."""

from __future__ import annotations

import itertools
import random
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest
from durable import TIME, arrivals, drain, number

from datto_siem.plugins.forwarder.directory import network_type
from datto_siem.plugins.forwarder.log import LogFull, LogRefused, Rewound
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.source import Arrival, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KIB = 1024
MIB = 1024 * KIB


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = TIME / 1000

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., SqliteLog]]:
    logs = []

    def opened(**limits: object) -> SqliteLog:
        log = SqliteLog(tmp_path / "log", clock=clock, **limits)  # type: ignore[arg-type]
        logs.append(log)
        return log

    yield opened
    for log in logs:
        log.close()


def fill(log: SqliteLog, count: int, start: int = 0, size: int = 10 * KIB) -> None:
    """Append records one batch of ten at a time."""
    writer = log.writer()
    for place in range(start, start + count, 10):
        writer.append(arrivals(place, 10, size=size))
    writer.close()


def test_records_come_back_in_order_with_their_offsets(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 200)
    records, lost = drain(log)
    assert [number(each) for each in records] == list(range(200))
    assert [each.offset for each in records] == list(range(200))
    assert records[3] == (*arrivals(3, 1, size=10 * KIB)[0], 3)
    assert lost == 0


def test_reading_stops_about_where_it_is_told(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 200)
    reader = log.reader("out")
    chunk = reader.read(150 * KIB)
    assert chunk is not None
    assert len(chunk.records) == 20
    assert chunk.end == 20
    reader.close()


def test_two_outputs_do_not_disturb_each_other(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 50)
    assert len(drain(log, "fast")[0]) == 50
    fill(log, 50, start=50)
    assert len(drain(log, "fast")[0]) == 50
    assert len(drain(log, "slow")[0]) == 100


def test_what_is_not_committed_is_read_again(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 30)
    reader = log.reader("out")
    chunk = reader.read(10**9)
    assert chunk is not None
    reader.commit(7)
    reader.close()
    records, lost = drain(opened())
    assert [each.offset for each in records] == list(range(7, 30))
    assert lost == 0


def test_a_new_output_may_begin_at_the_end(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 30)
    log.reader("late", at_end=True).close()
    fill(log, 10, start=30)
    assert [number(each) for each in drain(log, "late")[0]] == list(range(30, 40))


def test_numbers_go_on_after_reopening(opened: Callable[..., SqliteLog]) -> None:
    fill(opened(), 30)
    log = opened()
    fill(log, 30, start=30)
    assert [each.offset for each in drain(log)[0]] == list(range(60))


def test_several_writers_share_one_sequence(opened: Callable[..., SqliteLog]) -> None:
    log, other = opened(), opened()
    writers = [log.writer(), log.writer(), other.writer()]
    for turn in range(30):
        writers[turn % 3].append(arrivals(turn, 1))
    for writer in writers:
        writer.close()
    records, _ = drain(other)
    assert [(each.offset, number(each)) for each in records] == [(n, n) for n in range(30)]


def test_a_record_of_a_mebibyte_and_an_empty_one(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    writer = log.writer()
    large = Arrival(random.Random(1).randbytes(MIB), TIME, "2001:db8::1")  # noqa: S311 content
    writer.append([large, Arrival(b"", TIME, "")])
    writer.close()
    records, _ = drain(log)
    assert [(each.raw, each.peer) for each in records] == [(large.raw, "2001:db8::1"), (b"", "")]


def test_marks_are_durable_with_their_records_and_outlive_segments(
    opened: Callable[..., SqliteLog],
) -> None:
    log = opened(max_bytes=8 * MIB, keep=0)
    writer = log.writer()
    writer.append(arrivals(0, 1), [Mark("8:1", "100"), Mark("8:2", "7")])
    writer.append([], [Mark("8:1", "200")])
    writer.close()
    fill(log, 400, start=1)
    drain(log)
    log.sweep(["out"])
    again = opened().writer()
    assert [again.mark(source) for source in ("8:1", "8:2", "8:3")] == ["200", "7", None]
    again.close()
    assert log.size()[1] < 401


def test_rewinding_an_open_reader(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 100)
    reader = log.reader("out")
    chunk = reader.read(10**9)
    assert chunk is not None
    reader.commit(100)
    assert opened().rewind("out", TIME + 42) == 58
    with pytest.raises(Rewound):
        reader.commit(100)
    again = reader.read(10**9)
    assert again is not None
    assert [each.offset for each in again.records] == list(range(42, 100))
    assert log.rewind("out", TIME + 90) == 0  # nothing of it is committed yet: never forward
    with pytest.raises(Rewound):
        reader.read(1)
    again = reader.read(1)
    assert again is not None
    assert again.records[0].offset == 42
    reader.close()


def test_rewinding_behind_the_end_sends_nothing_again(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 20)
    drain(log)
    assert log.rewind("out", TIME + 10**6) == 0
    assert drain(log) == ([], 0)


def test_standing_tells_what_waits(opened: Callable[..., SqliteLog]) -> None:
    log = opened()
    fill(log, 40)
    reader = log.reader("out")
    assert reader.standing() == (standing := reader.standing())
    assert (standing.committed, standing.end, standing.waiting) == (0, 40, 40)
    reader.commit(13)
    assert reader.standing().oldest == TIME + 13
    reader.commit(40)
    assert (reader.standing().waiting, reader.standing().oldest) == (0, None)
    reader.close()


def test_delivered_records_are_kept_for_replay_and_then_given_back(
    opened: Callable[..., SqliteLog], clock: Clock
) -> None:
    log = opened(max_bytes=64 * MIB, keep=3600, max_age=86400)
    fill(log, 1000)
    drain(log)
    clock.now += 1800
    log.sweep(["out"])
    assert log.rewind("out", TIME) == 1000
    assert len(drain(log)[0]) == 1000
    before = log.size()[0]
    clock.now += 3600
    assert log.sweep(["out"]) == {}
    assert log.size()[1] == 0
    assert log.size()[0] < before / 10


def test_undelivered_records_outlive_keep_but_not_their_age(
    opened: Callable[..., SqliteLog], clock: Clock
) -> None:
    log = opened(keep=0, max_age=1000)
    fill(log, 100)
    drain(log, "fast")
    clock.now += 900
    assert log.sweep(["fast", "slow"]) == {}
    clock.now += 300
    assert log.sweep(["fast", "slow"]) == {"age": 100}
    assert drain(log, "slow") == ([], 0)  # counted above, not here


def test_an_output_nobody_configures_any_more_holds_nothing_back(
    opened: Callable[..., SqliteLog], clock: Clock
) -> None:
    log = opened(keep=0)
    log.reader("gone").close()
    fill(log, 20)
    drain(log, "out")
    clock.now += 1
    assert log.sweep(["out"]) == {}
    assert log.size()[1] == 0


@pytest.mark.parametrize("policy", ["block", "refuse-newest"])
def test_a_full_log_refuses_and_takes_again_when_there_is_room(
    opened: Callable[..., SqliteLog], policy: str, tmp_path: Path
) -> None:
    log = opened(max_bytes=4 * MIB, policy=policy)
    log.reader("out").close()
    log.sweep(["out"])
    writer = log.writer()
    taken = 0
    with pytest.raises(LogFull, match=r"max_bytes"):  # noqa: PT012 which of them is not known
        for taken in itertools.count(0, 10):
            writer.append(arrivals(taken, 10, size=10 * KIB))
            assert sum(each.stat().st_size for each in (tmp_path / "log").iterdir()) <= 4 * MIB
    assert taken * 10 * KIB > 2 * MIB
    records, lost = drain(log)
    assert [number(each) for each in records] == list(range(taken))
    assert lost == 0
    assert writer.append(arrivals(taken, 10, size=10 * KIB)) == 0
    writer.close()
    assert [number(each) for each in drain(log)[0]] == list(range(taken, taken + 10))


def test_drop_oldest_keeps_the_newest_and_counts_the_rest(opened: Callable[..., SqliteLog]) -> None:
    log = opened(max_bytes=4 * MIB, policy="drop-oldest")
    log.reader("out").close()
    log.sweep(["out"])
    writer = log.writer()
    dropped = sum(writer.append(arrivals(place, 10, size=10 * KIB)) for place in range(0, 3000, 10))
    writer.close()
    assert log.size()[0] <= 4 * MIB
    records, lost = drain(log)
    assert dropped > 2000
    assert [number(each) for each in records] == list(range(dropped, 3000))
    assert lost == 0


def test_a_writer_may_have_another_policy(opened: Callable[..., SqliteLog]) -> None:
    log = opened(max_bytes=4 * MIB, policy="block")
    log.reader("out").close()
    patient, ruthless = log.writer(), log.writer("drop-oldest")
    with pytest.raises(LogFull):  # noqa: PT012 which of them is not known
        for place in range(0, 3000, 10):
            patient.append(arrivals(place, 10, size=10 * KIB))
    dropped = [ruthless.append(arrivals(3000, 10, size=10 * KIB)) for _ in range(20)]
    assert sum(dropped) > 0
    patient.close()
    ruthless.close()


def test_the_clock_may_step_back_and_forth(opened: Callable[..., SqliteLog], clock: Clock) -> None:
    log = opened(max_bytes=8 * MIB, keep=60, max_age=86400)
    writer = log.writer()
    for turn, step in enumerate([0, -7200, 3600, -86000, 40000, 5]):
        clock.now = TIME / 1000 + step
        received = int(clock.now * 1000) - turn * 10
        writer.append(arrivals(turn * 10, 10, size=10 * KIB, received=received))
        assert log.sweep(["out"]) == {}
    records, lost = drain(log)
    assert [number(each) for each in records] == list(range(60))
    assert lost == 0
    # Records from a clock that was far ahead are not kept until that time comes.
    clock.now = TIME / 1000 + 50_000
    log.sweep(["out"])
    assert log.size()[1] == 0
    writer.append(arrivals(60, 10, received=int(clock.now * 1000)))
    writer.close()
    assert len(drain(log)[0]) == 10


def test_space_is_given_back_while_it_runs(opened: Callable[..., SqliteLog], clock: Clock) -> None:
    log = opened(max_bytes=64 * MIB, keep=0)
    largest = 0
    for turn in range(20):
        fill(log, 500, start=turn * 500)
        drain(log)
        clock.now += 1
        log.sweep(["out"])
        largest = max(largest, log.size()[0])
    assert largest < 12 * MIB  # 100 MiB went through


def test_files_are_for_the_owner_only(opened: Callable[..., SqliteLog], tmp_path: Path) -> None:
    log = opened()
    writer = log.writer()
    writer.append(arrivals(0, 10))
    drain(log)
    files = list((tmp_path / "log").iterdir())
    assert {each.suffix for each in files} >= {".segment", ".segment-wal", ".db"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    writer.close()


def test_a_second_forwarder_is_kept_off(opened: Callable[..., SqliteLog]) -> None:
    first, second = opened(), opened()
    first.claim()
    with pytest.raises(LogRefused, match=r"in use by another forwarder \(process \d+\)"):
        second.claim()
    first.close()
    second.claim()


def test_a_newer_layout_is_refused(opened: Callable[..., SqliteLog], tmp_path: Path) -> None:
    fill(opened(), 10)
    (segment,) = (tmp_path / "log").glob("*.segment")
    connection = sqlite3.connect(segment)
    connection.execute(f"PRAGMA user_version = {9 << 8 | 9 ^ 0xFF}")
    connection.close()
    with pytest.raises(LogRefused, match="newer datto-siem"):
        opened().writer()


def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogRefused, match=r"log\.path"):
        SqliteLog(tmp_path / "file")


MOUNTS = """\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / {place} rw,relatime - {kind} server:/export rw
"""


@pytest.mark.parametrize(
    ("place", "kind", "expected"),
    [
        ("/", "nfs4", "nfs4"),
        ("/somewhere/else", "nfs4", None),
        ("{tmp}", "fuse.sshfs", "fuse.sshfs"),
        ("{tmp}", "tmpfs", None),
    ],
)
def test_network_file_systems_are_told_from_local_ones(
    tmp_path: Path, place: str, kind: str, expected: str | None
) -> None:
    mounts = MOUNTS.format(place=place.format(tmp=tmp_path), kind=kind)
    assert network_type(tmp_path, mounts) == expected
