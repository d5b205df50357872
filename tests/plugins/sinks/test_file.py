"""The file sink: lines, rotation, crashes, full disks, files that are not what they seem."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from cases import FIXTURES

from datto_siem.converters import Converter
from datto_siem.converters.identity import uid
from datto_siem.plugins.options import build
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Context, Item, Level, Next, Reply
from datto_siem.plugins.sinks import file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROBE = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514400 smac=02:00:5e:00:53:01"
RECEIVED = 1_795_514_400_000


class Sinks:
    """Opens sinks over one file and closes them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "events.ndjson"
        self.opened: list[file.FileSink] = []

    def open(self, **options: Any) -> file.FileSink:
        given = {"path": str(self.path), "to": "raw", **options}
        context = Context("archive", self.folder / "state")
        self.opened.append(file.connect(build(file.Config, given), context))
        return self.opened[-1]

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().split(b"\n")[:-1]

    def rotated(self) -> list[Path]:
        return sorted(self.folder.glob("events.ndjson.*"))

    def everything(self) -> list[bytes]:
        found = []
        for path in [*self.rotated(), self.path]:
            content = path.read_bytes()
            found += (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")
        return [line for line in found if line]


@pytest.fixture
def sinks(tmp_path: Path) -> Iterator[Sinks]:
    made = Sinks(tmp_path)
    yield made
    for sink in made.opened:
        sink.close()


def record(raw: bytes, offset: int = 1) -> Record:
    return Record(raw, RECEIVED, "192.0.2.1", offset)


def items(*bodies: bytes) -> list[Item]:
    return [Item(body) for body in bodies]


@pytest.mark.parametrize("to", ["ecs", "cim", "ocsf", "asim", "csl", "cef"])
def test_a_line_is_the_converters_document_with_a_stable_id(sinks: Sinks, to: str) -> None:
    sink = sinks.open(to=to)
    found = [sink.item(record(PROBE, at)) for at in (1, 2, 1)]
    assert sink.send(found) is TAKEN
    expected = Converter(to).encode(PROBE, RECEIVED, "192.0.2.1", ordinal=1)
    lines = sinks.lines()
    assert lines[0] == lines[2] == expected
    if to == "ocsf":
        ids = [json.loads(line)["metadata"]["uid"] for line in lines]
        assert ids[0] == ids[2] == uid(PROBE, "192.0.2.1", RECEIVED, 1) != ids[1]


def test_every_fixture_gives_one_line_of_every_form(sinks: Sinks) -> None:
    raws = [path.read_bytes() for path in sorted(FIXTURES.glob("*/*/event.log"))]
    raws += [b"two\nlines", b"\r\nx\r\n", b"", b"\xff\xfe", b"nul\0", b"a\rb"]
    for to in ("raw", "ecs", "cef"):
        sink = sinks.open(to=to)
        for raw in raws:
            assert b"\n" not in sink.item(record(raw)).body


def test_raw_records_stay_as_they_are(sinks: Sinks) -> None:
    sink = sinks.open()
    sink.send([sink.item(record(raw)) for raw in (b"\xff\x00\xfe x\r\n", b"two\nlines")])
    assert sinks.lines() == [b"\xff\x00\xfe x", b"two\\nlines"]


def test_an_ocsf_version_may_be_chosen(sinks: Sinks) -> None:
    body = sinks.open(to="ocsf", ocsf_version="1.1.0").item(record(PROBE)).body
    assert json.loads(body)["metadata"]["version"] == "1.1.0"


def test_the_file_is_ours_and_of_the_group(sinks: Sinks) -> None:
    before = os.umask(0o022)
    try:
        sinks.open().send(items(b"a"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(sinks.path.stat().st_mode) == 0o640


def test_files_are_appended_to(sinks: Sinks) -> None:
    for _ in range(2):
        sink = sinks.open()
        sink.send(items(b"a", b"b"))
        sink.close()
    assert sinks.lines() == [b"a", b"b"] * 2


def test_a_file_is_rotated_before_it_grows_too_large(sinks: Sinks) -> None:
    sink = sinks.open(rotate_bytes=100, gzip=False)
    for at in range(10):
        assert sink.send(items(b"%039d" % at)) is TAKEN
    assert [path.stat().st_size for path in [*sinks.rotated(), sinks.path]] == [80] * 5
    assert sinks.everything() == [b"%039d" % at for at in range(10)]


def test_a_batch_above_the_size_still_goes_in_whole(sinks: Sinks) -> None:
    sink = sinks.open(rotate_bytes=10, gzip=False)
    sink.send(items(b"x" * 50, b"y" * 50))
    sink.send(items(b"z"))
    assert sinks.everything() == [b"x" * 50, b"y" * 50, b"z"]
    assert len(sinks.rotated()) == 1


def test_a_file_of_an_earlier_day_is_rotated_also_after_a_restart(
    sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks.path.write_bytes(b"old\n")
    midnight = 86400.0 * 20_000
    os.utime(sinks.path, (midnight - 1, midnight - 1))
    now = [midnight - 0.5]
    monkeypatch.setattr(file, "_now", lambda: now[0])
    sink = sinks.open(gzip=False)
    sink.send(items(b"same day"))
    assert sinks.rotated() == []
    now[0] = midnight + 1
    sink.send(items(b"next day"))
    sink.send(items(b"next day"))
    assert sinks.lines() == [b"next day"] * 2
    (old,) = sinks.rotated()
    assert old.read_bytes() == b"old\nsame day\n"


def test_rotated_files_are_packed_and_the_oldest_removed(sinks: Sinks) -> None:
    sink = sinks.open(rotate_bytes=10, keep=3)
    for at in range(12):
        sink.send(items(b"line %04d" % at))
    sink.close()
    kept = sinks.rotated()
    assert [path.suffix for path in kept] == [".gz"] * 3
    assert len(sinks.everything()) == 4
    assert sorted(sinks.everything()) == [b"line %04d" % at for at in range(8, 12)]


def test_rotated_files_are_removed_by_bytes(sinks: Sinks) -> None:
    sink = sinks.open(rotate_bytes=10, keep_bytes=35, gzip=False)
    for at in range(9):
        sink.send(items(b"line %04d" % at))
    sink.close()
    assert [path.stat().st_size for path in sinks.rotated()] == [10, 10, 10]
    assert sorted(sinks.everything()) == [b"line %04d" % at for at in range(5, 9)]


def test_files_of_others_are_never_removed(sinks: Sinks) -> None:
    others = ["events.ndjson.bak", "events.ndjson.20260101T000000Z.txt", "events.ndjson2"]
    for name in others:
        (sinks.folder / name).write_text("mine")
    sink = sinks.open(rotate_bytes=5, keep=0)
    for _ in range(3):
        sink.send(items(b"line"))
    sink.close()
    assert sorted(path.name for path in sinks.folder.iterdir()) == sorted(
        [*others, "events.ndjson"]
    )


def test_what_a_crash_left_half_packed_is_packed_again(sinks: Sinks) -> None:
    left = sinks.folder / "events.ndjson.20260101T000000Z"
    left.write_bytes(b"old\n")
    left.with_name(left.name + ".gz.part").write_bytes(b"\x1f\x8b half")
    sink = sinks.open(rotate_bytes=5)
    sink.send(items(b"line"))
    sink.send(items(b"line"))
    sink.close()
    assert not left.exists()
    assert gzip.decompress(left.with_name(left.name + ".gz").read_bytes()) == b"old\n"
    assert not list(sinks.folder.glob("*.part"))


@pytest.mark.parametrize("how", ["rename", "unlink", "copytruncate"])
def test_a_file_that_somebody_rotates_is_left_alone_and_begun_anew(sinks: Sinks, how: str) -> None:
    sink = sinks.open()
    sink.send(items(b"before"))
    if how == "rename":
        sinks.path.rename(sinks.folder / "moved")
    elif how == "unlink":
        sinks.path.unlink()
    else:
        shutil.copy(sinks.path, sinks.folder / "moved")
        os.truncate(sinks.path, 0)
    assert sink.send(items(b"after")) is TAKEN
    assert sinks.lines() == [b"after"]
    if how != "unlink":
        assert (sinks.folder / "moved").read_bytes() == b"before\n"


def test_a_line_torn_by_a_crash_is_cut_off(sinks: Sinks) -> None:
    sinks.path.write_bytes(b'{"a":1}\n{"b":2' + b"x" * 200_000)
    sinks.open().send(items(b"next"))
    assert sinks.lines() == [b'{"a":1}', b"next"]


def test_a_first_line_torn_by_a_crash_is_cut_off(sinks: Sinks) -> None:
    sinks.path.write_bytes(b'{"a":')
    sinks.open().send(items(b"next"))
    assert sinks.lines() == [b"next"]


def test_a_file_that_is_not_ours_is_not_touched(sinks: Sinks) -> None:
    sinks.path.write_bytes(b"\x7fELF something without a line")
    reply = sinks.open().send(items(b"next"))
    assert reply.next is Next.HALT
    assert "no file of ours" in reply.reason
    assert sinks.path.read_bytes() == b"\x7fELF something without a line"


def faulty(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    real = getattr(os, call)

    def fail(descriptor: int, *more: Any) -> Any:
        if call == "write":
            real(descriptor, bytes(more[0])[:3])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize("call", ["write", "fdatasync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses_is_retried_and_leaves_no_half_batch(
    sinks: Sinks, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    sink = sinks.open()
    sink.send(items(b"one"))
    with monkeypatch.context() as patched:
        faulty(patched, call, code)
        reply = sink.send(items(b"two", b"three"))
    assert (list(reply.left), reply.next) == ([0, 1], Next.RETRY)
    assert os.strerror(code) in reply.reason
    assert sinks.lines() == [b"one"]
    assert sink.send(items(b"two", b"three")) is TAKEN
    assert sinks.lines() == [b"one", b"two", b"three"]


def halted(reply: Reply, remedy: str) -> None:
    assert reply.next is Next.HALT
    assert list(reply.left) == [0]
    assert remedy in reply.reason


def test_a_symbolic_link_is_not_followed(sinks: Sinks) -> None:
    victim = sinks.folder / "victim"
    victim.write_text("mine\n")
    sinks.path.symlink_to(victim)
    halted(sinks.open().send(items(b"x")), "symbolic link")
    assert victim.read_text() == "mine\n"


def test_a_link_put_there_later_is_not_followed_either(sinks: Sinks) -> None:
    victim = sinks.folder / "victim"
    victim.write_text("mine\n")
    sink = sinks.open()
    sink.send(items(b"x"))
    sinks.path.unlink()
    sinks.path.symlink_to(victim)
    halted(sink.send(items(b"x")), "symbolic link")
    assert victim.read_text() == "mine\n"


def test_a_pipe_a_directory_and_a_missing_directory_halt(sinks: Sinks) -> None:
    os.mkfifo(sinks.path)
    halted(sinks.open().send(items(b"x")), "ordinary file")
    sinks.path.unlink()
    sinks.path.mkdir()
    halted(sinks.open().send(items(b"x")), "not a directory")
    sinks.path.rmdir()
    missing = sinks.folder / "no" / "events"
    halted(sinks.open(path=str(missing)).send(items(b"x")), "make the directory")
    missing.parent.mkdir()
    assert sinks.opened[-1].send(items(b"x")) is TAKEN


def test_two_outputs_cannot_write_one_file(sinks: Sinks) -> None:
    first, second = sinks.open(), sinks.open()
    first.send(items(b"a"))
    halted(second.send(items(b"b")), "give each its own")
    first.close()
    assert second.send(items(b"b")) is TAKEN
    assert sinks.lines() == [b"a", b"b"]


def test_threads_write_whole_batches(sinks: Sinks) -> None:
    sink = sinks.open(rotate_bytes=2000, gzip=False, keep=1000)

    def send(me: int) -> None:
        for at in range(20):
            sink.send(items(b"%d %d a" % (me, at), b"%d %d b" % (me, at)))

    threads = [threading.Thread(target=send, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sinks.everything()
    assert len(found) == 160
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert one[:-1] == other[:-1]


def test_a_killed_writer_leaves_whole_lines(sinks: Sinks) -> None:
    code = f"""
from datto_siem.plugins.options import build
from datto_siem.plugins.sink import Context, Item
from datto_siem.plugins.sinks import file
from pathlib import Path
sink = file.connect(build(file.Config, {{"path": {str(sinks.path)!r}, "to": "raw"}}),
                    Context("x", Path()))
while True:
    sink.send([Item(b"x" * 5000)] * 50)
    print("sent", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)  # noqa: S603
    assert child.stdout is not None
    with child, child.stdout as out:
        acknowledged = sum(1 for _ in zip(range(5), out, strict=False))
        child.kill()
        acknowledged += len(out.readlines())
    sinks.open().send(items(b"next"))
    lines = sinks.lines()
    assert set(lines[:-1]) == {b"x" * 5000}
    assert lines[-1] == b"next"
    assert len(lines) - 1 >= acknowledged * 50


def test_check_says_what_to_do(sinks: Sinks) -> None:
    good = list(sinks.open().check(None))
    assert {finding.level for finding in good} <= {Level.GOOD, Level.WARNING}
    assert not sinks.path.exists()
    missing = list(sinks.open(path=str(sinks.folder / "no" / "file")).check(None))
    assert missing[0].level is Level.FAULT
    assert "mkdir -p" in missing[0].remedy
    sinks.folder.chmod(0o777)
    warned = next(iter(sinks.open().check(None)))
    assert (warned.level, warned.remedy) == (Level.WARNING, f"chmod o-w {sinks.folder}")


def test_check_writes_a_test_record_on_request(sinks: Sinks) -> None:
    findings = list(sinks.open().check(record(PROBE)))
    assert findings[-1].said == "a test record was written"
    assert sinks.lines() == [PROBE]
    with sinks.path.open("ab") as other:
        sinks.opened[-1].close()
        fcntl.flock(other, fcntl.LOCK_EX)
        last = list(sinks.open().check(record(PROBE)))[-1]
    assert last.level is Level.FAULT
    assert "another process" in last.said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ""}, "names no file"),
        ({"path": "/var/log/"}, "names no file"),
        ({"path": "x", "to": "ecs", "ocsf_version": "1.1.0"}, "leave it out"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(file.Config, options)


def test_the_example_is_valid() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11 and up
    (output,) = tomllib.loads(file.EXAMPLE)["output"]
    assert output.pop("type") == "file"
    output.pop("name")
    config = build(file.Config, output)
    assert (config.rotate_bytes, config.rotate_age, config.keep) == (100_000_000, 86_400, 30)
