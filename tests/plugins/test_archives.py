from __future__ import annotations

import gzip
import os
import re
import sys
import zlib

import pytest

from datto_siem.plugins.archives import BLOCK, LONGEST, Lines, Source, record, split
from datto_siem.plugins.failure import Failure
from datto_siem.plugins.unpacking import Broken, Unpacker

AT = ("--received-at", "2026-11-24T10:00:00Z")
LINE = b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 smac=02:00:5E:10:00:03\n"


def read(path):
    return [line for batch in Source(str(path)).lines() for line in batch.numbered()]


def test_lines_are_numbered_from_one_with_blank_ones_counted(tmp_path):
    (tmp_path / "a").write_bytes(b"a\n\nb\r\nc")
    assert read(tmp_path / "a") == [(1, b"a"), (2, b""), (3, b"b\r"), (4, b"c")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_do_not_depend_on_the_blocks(size):
    content = b"one\ntwo\n\nthree and more\n" * 20 + b"last"
    blocks = [content[at : at + size] for at in range(0, len(content), size)]
    found = [line for batch in split(blocks, 8) for line in batch.numbered()]
    expected = []
    for number, line in enumerate(content.split(b"\n"), 1):
        expected += [(number, line[at : at + 8]) for at in range(0, max(len(line), 1), 8)]
    assert found == expected


def test_a_line_of_a_mebibyte_is_one_record_and_a_longer_one_several(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * LONGEST + b"\n" + b"y" * (2 * LONGEST + 5) + b"\nz")
    found = [(number, len(line)) for number, line in read(tmp_path / "a")]
    assert found == [(1, LONGEST), (2, LONGEST), (2, LONGEST), (2, 5), (3, 1)]


def test_an_endless_line_is_handed_on_while_it_comes():
    taken = 0

    def blocks():
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * BLOCK

    batches = split(blocks(), LONGEST)
    assert [(batch.first, batch.last) for batch in (next(batches), next(batches))] == [(1, 1)] * 2
    assert taken <= 2 * LONGEST // BLOCK + 2


def test_a_long_line_is_converted_as_several_records(cli):
    done = cli("convert", "--to", "ecs", stdin=b"x" * (LONGEST + 1) + b"\n")
    assert len(done.lines) == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a\r", "a"),
        ("a\0", "a"),
        ("a\r\0\r", "a"),
        (" a ", " a "),
        ("", None),
        (" \t\r", None),
        ("\0\0", None),
    ],
)
def test_framing_is_taken_off_and_blank_lines_are_none(line, expected):
    assert record(line) == expected


def test_lines_become_records_as_each_one_does():
    texts = ["a", "", " a", "b\r", "\0", "c\0", "\td", "!", "\x0e"]
    for lines in (["a", "b"], *([text, "a"] for text in texts), texts):
        wanted = [raw for raw in map(record, lines) if raw is not None]
        assert Lines(1, lines).records() == wanted
        assert Lines(1, lines, is_plain=not re.search("[\r\0]", "".join(lines))).records() == wanted


def test_gzip_is_read_by_its_first_bytes_whatever_the_name(cli, tmp_path, traffic):
    plain = cli("convert", "--to", "ecs", *AT, stdin=traffic)
    for name in ("a.gz", "a.log"):
        (tmp_path / name).write_bytes(gzip.compress(traffic))
        assert cli("convert", "--to", "ecs", *AT, tmp_path / name).out == plain.out
    assert cli("convert", "--to", "ecs", *AT, stdin=gzip.compress(traffic)).out == plain.out


def test_gzip_members_follow_each_other_with_zeros_between(tmp_path):
    content = gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0" * 700 + gzip.compress(b"d\n")
    (tmp_path / "a.gz").write_bytes(content + b"\0" * 5000)
    assert [line for _, line in read(tmp_path / "a.gz")] == [b"a", b"bc", b"d"]


def test_an_empty_gzip_file_and_an_empty_member_hold_no_lines(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b""))
    assert read(tmp_path / "a.gz") == read(tmp_path / "b.gz") == []


def test_one_byte_is_read_as_a_line(tmp_path):
    (tmp_path / "a").write_bytes(b"\x1f")
    assert read(tmp_path / "a") == [(1, b"\x1f")]


def test_text_named_gz_is_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"plain")
    with pytest.raises(Failure, match="is not gzip data: rename it if it is plain text"):
        read(tmp_path / "a.gz")


def test_what_comes_before_a_cut_in_gzip_is_delivered(cli, tmp_path):
    packed = gzip.compress(LINE * 3000, mtime=0)
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    done = cli("convert", "--to", "ecs", *AT, tmp_path / "a.gz")
    assert done.code == 2
    count = len(done.lines)
    assert 100 < count < 3000
    whole = cli("convert", "--to", "ecs", *AT, stdin=LINE * count)
    assert done.out == whole.out
    assert f"a.gz: gzip data cut off after line {count}: get the file again" in done.err
    assert "the output is not whole" in done.err


def test_all_lines_before_a_bad_checksum_are_delivered(cli, tmp_path):
    packed = bytearray(gzip.compress(LINE * 3000))
    packed[-6] ^= 255
    (tmp_path / "a.gz").write_bytes(packed)
    done = cli("convert", "--to", "ecs", tmp_path / "a.gz")
    assert (done.code, len(done.lines)) == (2, 3000)
    assert "gzip data broken after line 3000" in done.err


def test_garbage_after_a_member_is_told(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"a\n") + b"garbage")
    with pytest.raises(Failure, match="broken after line 1"):
        read(tmp_path / "a.gz")


def test_a_small_file_that_unpacks_to_much_comes_in_bounded_parts():
    packed = gzip.compress(b"\n" * (64 << 20), 9)
    sizes = [len(part) for part in Unpacker().unpack([packed])]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= 1 << 18


def test_unpacked_parts_do_not_depend_on_the_blocks():
    content = os.urandom(5000) + b"a" * 300_000
    packed = gzip.compress(content) * 2
    for size in (1, 13, 1024, 1025):
        blocks = (packed[at : at + size] for at in range(0, len(packed), size))
        assert b"".join(Unpacker().unpack(blocks)) == content * 2


def test_every_cut_of_gzip_data_is_noticed():
    packed = gzip.compress(b"some lines\n" * 5)
    for end in range(1, len(packed)):
        with pytest.raises(Broken, match="cut off"):
            list(Unpacker().unpack([packed[:end]]))


def test_zlib_without_gzip_is_broken():
    with pytest.raises(Broken, match="broken"):
        list(Unpacker().unpack([zlib.compress(b"a")]))


def test_every_input_is_looked_at_before_any_work(cli, tmp_path):
    (tmp_path / "a.log").write_bytes(LINE)
    done = cli("convert", "--to", "ecs", tmp_path / "a.log", tmp_path / "missing.log")
    assert (done.code, done.out) == (2, b"")
    assert done.err == (
        f"datto-siem: cannot read {tmp_path}/missing.log: No such file or directory:"
        " check the path\n"
    )


def test_a_directory_is_no_input(cli, tmp_path):
    done = cli("convert", "--to", "ecs", tmp_path)
    assert done.code == 2
    assert done.err == (
        f"datto-siem: {tmp_path} is a directory: name its files: {tmp_path}/*.log\n"
    )


def test_a_file_without_permission_is_told(cli, tmp_path, monkeypatch):
    (tmp_path / "a.log").write_bytes(LINE)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    done = cli("convert", "--to", "ecs", tmp_path / "a.log")
    assert done.code == 2
    assert "a.log: permission denied: check the permissions" in done.err


def test_control_characters_in_a_file_name_are_escaped(cli):
    done = cli("convert", "--to", "ecs", "\x1b[31mred")
    assert done.code == 2
    assert "\\x1b[31mred" in done.err
    assert "\x1b" not in done.err


def test_a_file_name_with_a_nul_is_refused(cli):
    assert cli("convert", "--to", "ecs", "a\0b").code == 2


def test_closed_standard_input_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Failure, match="standard input is closed"):
        Source("-")


def test_a_read_error_half_way_is_told_after_the_lines_before_it(monkeypatch):
    class Failing:
        left = (LINE * 2, OSError(5, "Input/output error"))

        def read1(self, size):
            first, *self.left = self.left
            if isinstance(first, OSError):
                raise first
            return first

    class Stdin:
        buffer = Failing()

    monkeypatch.setattr(sys, "stdin", Stdin)
    batches = Source("-").lines()
    assert [number for number, _ in next(batches).numbered()] == [1, 2]
    with pytest.raises(Failure, match="cannot read standard input: Input/output error"):
        next(batches)
