"""The embedded log when its processes are killed, run side by side, or the disk is full."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from durable import arrivals, drain, number

from datto_siem.plugins.forwarder.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[2]
LIMITS = "max_bytes=8 * 1024 * 1024, keep=10**9, max_age=10**9"
WRITE = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from durable import arrivals
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.source import Mark
writer = SqliteLog(Path(sys.argv[1]), {LIMITS}).writer()
start, count, size = map(int, sys.argv[2:5])
place = start
while place - start < count:
    batch = arrivals(place, 1 + place % 7, size=size)
    writer.append(batch, [Mark("source", str(place))])
    place += len(batch)
    print(place, flush=True)
"""
FULL = f"""
import resource, sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from durable import arrivals
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
log = SqliteLog(Path(sys.argv[1]))
writer = log.writer()
place = refused = 0
for turn in range(60):
    if turn == 20:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    if turn == 40:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    try:
        writer.append(arrivals(place, 10, size=3000))
        place += 10
    except OSError as error:
        refused += 1
print(place, refused)
writer.close()
log.close()
"""


def opened(path: Path) -> SqliteLog:
    return SqliteLog(path, max_bytes=8 * 1024 * 1024, keep=10**9, max_age=10**9)


def writing(
    path: Path, start: int, count: int, size: int, output: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A process that appends and says after each append how far it is."""
    arguments = [str(path), str(start), str(count), str(size)]
    return subprocess.Popen(  # noqa: S603 our own program
        [sys.executable, "-c", WRITE, *arguments], stdout=output, text=True
    )


def lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def test_killed_at_any_point_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 no secret
    start, seen = 0, 0
    for _ in range(12):
        size = chance.choice([40, 3000])
        with writing(tmp_path / "log", start, 10**9, size) as process:
            told = start
            for line in itertools.islice(lines(process), chance.randrange(1, 120)):
                told = int(line)
            process.send_signal(signal.SIGKILL)
            for line in lines(process):
                told = int(line) if line.endswith("\n") else told
        log = opened(tmp_path / "log")
        writer = log.writer()
        records, lost = drain(log)
        numbers = [number(each) for each in records]
        end = numbers[-1] + 1 if numbers else seen
        assert numbers == list(range(seen, end))
        assert [each.offset for each in records] == numbers
        assert end >= told
        assert lost == 0
        if numbers:
            assert int(writer.mark("source") or -1) in numbers
        start = seen = end
        writer.close()
        log.close()
    assert seen > 100
    assert not list((tmp_path / "log").glob("*damaged*"))


def test_processes_side_by_side_share_one_sequence(tmp_path: Path) -> None:
    opened(tmp_path / "log").close()
    processes = [
        writing(tmp_path / "log", start, 300, 2000, subprocess.DEVNULL)
        for start in (0, 10_000, 20_000)
    ]
    log = opened(tmp_path / "log")
    reader = log.reader("out")
    records = []
    running = True
    while running:
        running = any(each.poll() is None for each in processes)
        while chunk := reader.read(100_000):
            assert chunk.lost == 0
            records += chunk.records
            reader.commit(chunk.end)
    reader.close()
    log.close()
    assert [each.wait() for each in processes] == [0, 0, 0]
    assert [each.offset for each in records] == list(range(len(records)))
    for start in (0, 10_000, 20_000):
        own = [number(each) for each in records if start <= number(each) < start + 10_000]
        assert own == list(range(start, start + len(own)))
        assert len(own) >= 300


def test_a_full_disk_refuses_whole_batches_and_recovers(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 our own program
        [sys.executable, "-c", FULL, str(tmp_path / "log")],
        capture_output=True,
        text=True,
        check=True,
    )
    place, refused = map(int, done.stdout.split())
    assert 0 < refused <= 20
    assert place == (60 - refused) * 10
    log = opened(tmp_path / "log")
    records, lost = drain(log)
    log.close()
    numbers = [number(each) for each in records]
    # A batch whose sync was refused may be there all the same, and then comes twice.
    assert sorted(set(numbers)) == list(range(place))
    assert len(numbers) - place <= 10 * refused
    assert lost == 0
    assert [each.offset for each in records] == list(range(len(records)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        pytest.skip("needs mount")
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system of its own")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607


def test_a_disk_without_room_loses_nothing(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * 700_000)
    log = opened(disk / "log")
    writer = log.writer()
    log.reader("out").close()
    taken = 0
    with pytest.raises(OSError, match="full|space|disk"):  # noqa: PT012, RUF043 whichever says so
        for taken in itertools.count(0, 10):
            writer.append(arrivals(taken, 10, size=3000))
    with pytest.raises(OSError, match="full|space|disk"):  # noqa: RUF043
        writer.append(arrivals(taken, 10, size=100_000))
    ballast.unlink()
    writer.append(arrivals(taken, 10, size=3000))
    writer.close()
    records, lost = drain(log)
    log.close()
    assert [number(each) for each in records] == list(range(taken + 10))
    assert taken > 300
    assert lost == 0
