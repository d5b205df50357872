"""Memory that two processes see."""

from __future__ import annotations

import multiprocessing

import pytest

from datto_siem.plugins.cli import room
from datto_siem.plugins.cli.room import SIZE, Room


def put(there: Room, sizes: list[int], pipe) -> None:
    for size in sizes:
        pipe.send(there.put(b"%d" % (size % 10) * size))
        pipe.recv()


def test_what_another_process_puts_is_seen_here_until_the_one_after_it():
    here = Room.made()
    if here is None:
        pytest.skip("this system has no files without names")
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=put, args=(here, [3, 5, SIZE, 0, SIZE + 1], theirs))
    process.start()
    here.handed_on()
    seen = []
    for size in (3, 5, SIZE, 0):
        assert pipe.recv() is True
        seen.append(here.get(size))
        if size == 5:
            assert bytes(seen[0]) == b"333", "the one before is still there"
        assert bytes(seen[-1]) == b"%d" % (size % 10) * size
        pipe.send(None)
    assert pipe.recv() is False, "too much does not fit"
    pipe.send(None)
    process.join(20)
    assert process.exitcode == 0


def test_workers_do_without_where_there_is_none(cli, tmp_path, traffic, monkeypatch):
    (tmp_path / "a.log").write_bytes(traffic * 3)
    args = ("convert", "--to", "ecs", "--received-at", "2026-11-24T10:00:00Z", tmp_path / "a.log")
    with_room = cli(*args, "--workers", 2)
    monkeypatch.setattr(room.os, "memfd_create", None)
    without = cli(*args, "--workers", 2)
    assert (without.code, without.out) == (0, with_room.out)
