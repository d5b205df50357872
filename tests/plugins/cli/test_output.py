from __future__ import annotations

import errno
import gzip
import os
import stat
import sys
from pathlib import Path

import pytest

from datto_siem.plugins.cli.output import FileOutput, StandardOutput, output
from datto_siem.plugins.failure import Failure

AT = ("--received-at", "2026-11-24T10:00:00Z")
LINE = b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 smac=02:00:5E:10:00:03\n"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that is full after one write; the real file underneath stays whole."""
    real = FileOutput._open

    def opened(self):
        stream = real(self)
        writes = iter([True])

        class Full:
            fileno, close, flush = stream.fileno, stream.close, stream.flush

            def write(self, content):
                if next(writes, False):
                    return stream.write(content)
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(FileOutput, "_open", opened)


def test_a_file_gets_what_standard_output_would_get(cli, tmp_path, traffic):
    out = tmp_path / "out.ndjson"
    done = cli("convert", "--to", "ecs", *AT, "-o", out, stdin=traffic)
    assert (done.code, done.out) == (0, b"")
    assert out.read_bytes() == cli("convert", "--to", "ecs", *AT, stdin=traffic).out
    assert names(tmp_path) == ["out.ndjson"]


def test_a_dash_is_standard_output(cli):
    assert len(cli("convert", "--to", "ecs", "-o", "-", stdin=LINE).lines) == 1


def test_a_gz_name_is_packed_the_same_way_every_time(cli, tmp_path):
    for name in ("a.gz", "b.gz"):
        cli("convert", "--to", "ecs", *AT, "-o", tmp_path / name, stdin=LINE)
    packed = (tmp_path / "a.gz").read_bytes()
    assert packed == (tmp_path / "b.gz").read_bytes()
    assert packed[4:8] == bytes(4)
    assert gzip.decompress(packed) == cli("convert", "--to", "ecs", *AT, stdin=LINE).out


def test_the_file_is_not_there_before_it_is_whole(tmp_path):
    with FileOutput(str(tmp_path / "out")) as out:
        out.write(b"half")
        assert "out" not in names(tmp_path)
        out.write(b" and half")
    assert (tmp_path / "out").read_bytes() == b"half and half"


def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(cli, tmp_path, traffic, full_disk):
    out = tmp_path / "out.ndjson"
    out.write_bytes(b"precious")
    done = cli("convert", "--to", "ecs", "-o", out, stdin=traffic)
    assert done.code == 2
    assert done.err == (
        f"datto-siem: cannot write {out}: No space left on device: nothing was written;"
        " free space there and run it again\n"
    )
    assert out.read_bytes() == b"precious"
    assert names(tmp_path) == ["out.ndjson"]


def test_a_disk_that_is_full_at_the_very_end_leaves_nothing(cli, tmp_path, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = cli("convert", "--to", "ecs", "-o", tmp_path / "out", stdin=LINE)
    assert done.code == 2
    assert "nothing was written; free space there" in done.err
    assert names(tmp_path) == []


def test_an_interrupt_leaves_nothing_and_keeps_what_was_there(cli, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.write_bytes(b"precious")

    def interrupted(self, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(FileOutput, "write", interrupted)
    done = cli("convert", "--to", "ecs", "-o", out, stdin=LINE)
    assert done.code == 130
    assert done.err == f"datto-siem: interrupted: {out} was not written; run it again\n"
    assert out.read_bytes() == b"precious"
    assert names(tmp_path) == ["out"]


def test_broken_input_leaves_the_output_alone(cli, tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(LINE * 3000)[:-9])
    done = cli("convert", "--to", "ecs", "-o", tmp_path / "out", tmp_path / "a.gz")
    assert done.code == 2
    assert f"{tmp_path}/out was not written" in done.err
    assert names(tmp_path) == ["a.gz"]


def test_output_over_an_input_is_refused(cli, tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(LINE)
    (tmp_path / "link").symlink_to(log)
    for out in (log, tmp_path / "link", f"{tmp_path}/./a.log"):
        done = cli("convert", "--to", "ecs", "-o", out, log)
        assert done.code == 2
        assert done.err == f"datto-siem: {out} is input and output: write to another file\n"
    assert log.read_bytes() == LINE


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(b"old")
    real.chmod(0o640)
    (tmp_path / "link").symlink_to(real)
    with FileOutput(str(tmp_path / "link")) as out:
        out.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_device_is_written_straight(cli):
    assert cli("convert", "--to", "ecs", "-o", os.devnull, stdin=LINE).code == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
def test_a_full_device_is_told_without_a_claim(cli):
    done = cli("convert", "--to", "ecs", "-o", "/dev/full", stdin=LINE)
    assert done.code == 2
    assert "cannot write /dev/full: No space left on device: what is there is not whole" in done.err


def test_a_directory_is_no_output(cli, tmp_path):
    done = cli("convert", "--to", "ecs", "-o", tmp_path, stdin=LINE)
    assert done.code == 2
    assert "it is a directory: nothing was written; name a file, not a directory" in done.err


def test_a_missing_directory_is_told(cli, tmp_path):
    done = cli("convert", "--to", "ecs", "-o", tmp_path / "no" / "out", stdin=LINE)
    assert done.code == 2
    assert "No such file or directory: nothing was written; check the path" in done.err


def test_a_name_with_a_nul_is_no_output():
    with pytest.raises(Failure, match="cannot write"):
        FileOutput("a\0b")


def test_a_very_long_name_can_be_written(tmp_path):
    name = "x" * 250
    with FileOutput(str(tmp_path / name)) as out:
        out.write(b"a")
    assert names(tmp_path) == [name]


def test_closed_standard_output_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(Failure, match="standard output is closed: name a file with -o"):
        StandardOutput()


def test_inputs_that_cannot_be_compared_do_not_matter(tmp_path):
    with output(str(tmp_path / "out"), ["-", "a\0b", "missing"]) as out:
        out.write(b"a")
    assert names(tmp_path) == ["out"]
