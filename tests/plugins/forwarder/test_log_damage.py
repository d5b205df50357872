"""Damaged, cut, foreign and missing files: what is readable is delivered, the rest is counted."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest
from durable import arrivals, drain, number

from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.source import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 300
LIMITS = {"max_bytes": 4 * 1024 * 1024, "keep": 10**9, "max_age": 10**9}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log of several segments as a killed process leaves it, half of it delivered."""
    folder = tmp_path_factory.mktemp("whole")
    log = SqliteLog(folder / "open", **LIMITS)  # type: ignore[arg-type]
    writer = log.writer()
    for place in range(0, COUNT, 5):
        writer.append(arrivals(place, 5, size=3000), [Mark("8:1", str(place))])
    reader = log.reader("out")
    assert reader.read(1) is not None
    reader.commit(COUNT // 2)
    shutil.copytree(folder / "open", folder / "log")
    yield folder / "log"
    for each in (writer, reader, log):
        each.close()


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "log")
    return tmp_path / "log"


def check(path: Path, *, committed: int = COUNT // 2) -> tuple[set[int], int]:
    """Open a damaged log, use it, and see that nothing is unaccounted for.

    Returns:
        Which of the records were delivered and how many were counted as lost.
    """
    log = SqliteLog(path, **LIMITS)  # type: ignore[arg-type]
    try:
        writer = log.writer()
        records, lost = drain(log)
        got = [number(each) for each in records]
        assert got == sorted(set(got))
        assert all(each.offset == number(each) for each in records)
        assert set(range(committed, COUNT)) - set(got) == set() or lost
        expected = COUNT - min(committed, *got, COUNT) if got else COUNT - committed
        assert len(got) + lost == expected
        writer.append(arrivals(COUNT, 5))
        after, more = drain(log)
        assert [number(each) for each in after] == list(range(COUNT, COUNT + 5))
        assert all(each.offset >= COUNT for each in after)
        assert more == 0
        again, lost_again = drain(log, "another")
        assert {number(each) for each in again} >= {*got, *range(COUNT, COUNT + 5)}
        assert len(again) + lost + lost_again >= COUNT + 5 - committed
        log.sweep(["out", "another"])
        writer.close()
    finally:
        log.close()
    return set(got), lost


FILES = ("segment", "segment-wal", "db", "db-wal", "sequence")


def files(path: Path) -> list[Path]:
    found = [each for each in path.iterdir() if each.name.rpartition(".")[2] in FILES]
    return sorted(each for each in found if each.stat().st_size)


def test_the_copy_is_whole(copy: Path) -> None:
    assert len([each for each in files(copy) if each.suffix == ".segment"]) > 2
    assert check(copy) == (set(range(COUNT // 2, COUNT)), 0)


@pytest.mark.parametrize("seed", [*range(30), 156, 248, 347, 3584])
def test_flipped_bits(copy: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 no secret
    victim = chance.choice(files(copy))
    data = bytearray(victim.read_bytes())
    for _ in range(chance.choice([1, 1, 1, 50])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    victim.write_bytes(data)
    got, lost = check(copy)
    if victim.suffix == ".segment" and lost:
        assert len(got) > COUNT // 8  # the other segments


@pytest.mark.parametrize("seed", range(20))
def test_truncated_files(copy: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 no secret
    victim = chance.choice(files(copy))
    with victim.open("r+b") as file:
        file.truncate(chance.choice([0, chance.randrange(victim.stat().st_size)]))
    check(copy)


@pytest.mark.parametrize("seed", range(10))
def test_a_garbage_header_costs_next_to_nothing(copy: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 no secret
    victim = chance.choice([each for each in files(copy) if each.suffix == ".segment"])
    with victim.open("r+b") as file:
        file.write(chance.randbytes(90))
    got, lost = check(copy)
    assert lost == 0
    assert got == set(range(COUNT // 2, COUNT))
    aside = list(copy.glob("*.damaged-1"))
    assert len(aside) == (1 if victim.name >= oldest_needed(copy) else len(aside))


def oldest_needed(path: Path) -> str:
    """The name of the segment the first undelivered record is in."""
    names = sorted(each.name for each in path.glob("*.segment"))
    return max(name for name in names if int(name.partition(".")[0]) <= COUNT // 2)


def test_garbage_in_the_middle_of_a_page_costs_its_batch(copy: Path) -> None:
    victim = copy / oldest_needed(copy)
    data = bytearray(victim.read_bytes())
    place = data.index(b"%09d " % (COUNT // 2 + 2))
    data[place] = ord("9")
    victim.write_bytes(data)
    got, lost = check(copy)
    assert lost == 5
    assert got == set(range(COUNT // 2, COUNT)) - set(range(COUNT // 2, COUNT // 2 + 5))


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 1000])
def test_a_missing_or_foreign_segment_is_counted(copy: Path, content: bytes | None) -> None:
    names = sorted(each.name for each in copy.glob("*.segment"))
    place = names.index(oldest_needed(copy))
    assert place + 2 < len(names), "a segment between is needed"
    victim, behind = copy / names[place + 1], int(names[place + 2].partition(".")[0])
    victim.unlink()
    if content is not None:
        victim.write_bytes(content)
    got, lost = check(copy)
    first = int(victim.name.partition(".")[0])
    assert lost == behind - first
    assert got == set(range(COUNT // 2, first)) | set(range(behind, COUNT))


@pytest.mark.parametrize("content", [None, b"", b"SQLite format 3\0 and nothing" * 1000])
def test_without_offsets_outputs_go_on_from_a_copy(copy: Path, content: bytes | None) -> None:
    for each in copy.glob("offsets.db*"):
        each.unlink()
    if content is not None:
        (copy / "offsets.db").write_bytes(content)
    got, lost = check(copy, committed=0)
    assert got == set(range(COUNT))
    assert lost == 0
    assert len(list(copy.glob("offsets.db.damaged-1"))) == (content is not None)


def test_without_all_segments_numbers_still_go_on(copy: Path) -> None:
    for each in copy.glob("*.segment*"):
        each.unlink()
    got, lost = check(copy)
    assert got == set()
    assert lost == COUNT // 2


def test_marks_survive_a_damaged_header(copy: Path) -> None:
    newest = max(copy.glob("*.segment"))
    with newest.open("r+b") as file:
        file.write(b"\xff" * 90)
    log = SqliteLog(copy, **LIMITS)  # type: ignore[arg-type]
    writer = log.writer()
    assert writer.mark("8:1") == str(COUNT - 5)
    writer.close()
    log.close()


@pytest.mark.parametrize("name", ["segment", "offsets.db"])
def test_damage_while_everything_is_open(tmp_path: Path, name: str) -> None:
    log = SqliteLog(tmp_path / "log", **LIMITS)  # type: ignore[arg-type]
    other = SqliteLog(tmp_path / "log", **LIMITS)  # type: ignore[arg-type]
    writer, reader, second = log.writer(), log.reader("out"), other.writer()
    writer.append(arrivals(0, 50, size=500))
    second.append(arrivals(50, 50, size=500))
    (victim,) = [each for each in (tmp_path / "log").iterdir() if each.name.endswith(name)]
    victim.write_bytes(b"\xff" * victim.stat().st_size)
    wal = victim.with_name(victim.name + "-wal")
    wal.write_bytes(b"\xff" * wal.stat().st_size)
    writer.append(arrivals(100, 50, size=500))
    second.append(arrivals(150, 50, size=3000))
    got, lost = 0, 0
    while chunk := reader.read(50_000):
        got += len(chunk.records)
        lost += chunk.lost
        reader.commit(chunk.end)
    assert got + lost == 200
    assert got >= 100
    for each in (writer, second, reader, log, other):
        each.close()
