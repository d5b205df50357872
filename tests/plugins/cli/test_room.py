"""Memory that two processes see."""

from __future__ import annotations

import os

import pytest

from datto_siem.plugins.cli import room
from datto_siem.plugins.cli.room import SIZE, Room


def test_what_is_put_at_one_end_is_seen_at_the_other_until_the_one_after_it():
    here = Room.made()
    if here is None:
        pytest.skip("this system has no files without names")
    there = Room(os.dup(here._descriptor))  # as the process at the other end gets it
    for each in (here, there):
        each.handed_on()
    seen = []
    for size in (3, 5, SIZE, 0):
        content = b"%d" % (size % 10) * size
        assert there.put(content)
        seen.append(here.get(size))
        assert bytes(seen[-1]) == content
    assert not there.put(b"x" * (SIZE + 1)), "too much does not fit"
    assert there.put(b"abc")
    seen.append(here.get(3))
    assert there.put(b"def")
    assert bytes(seen[-1]) == b"abc", "it is there while the next one is put"
    assert bytes(here.get(3)) == b"def"


def test_workers_do_without_where_there_is_none(cli, tmp_path, traffic, monkeypatch):
    (tmp_path / "a.log").write_bytes(traffic * 3)
    args = ("convert", "--to", "ecs", "--received-at", "2026-11-24T10:00:00Z", tmp_path / "a.log")
    with_room = cli(*args, "--workers", 2)
    monkeypatch.setattr(room.os, "memfd_create", None)
    without = cli(*args, "--workers", 2)
    assert (without.code, without.out) == (0, with_room.out)
