"""Dead letters: written, read, sent again, never lost."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.scripted_sink import ScriptedSink
from hypothesis import given, settings
from hypothesis import strategies as st

from datto_siem.converters.identity import uid
from datto_siem.plugins.forwarder import dead_letters
from datto_siem.plugins.forwarder.dead_letters import (
    DeadLetters,
    DeadLettersFull,
    Letter,
    RetryRunning,
)
from datto_siem.plugins.forwarder.redelivery import Outcome, retry
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Batching, Item, Next, Reply, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_795_514_400.5


def letters(tmp_path: Path, rotate: int = 1 << 20, most: int = 1 << 30) -> DeadLetters:
    return DeadLetters(tmp_path / "dead-letters", "splunk", lambda: NOW, rotate, most)


def letter(at: int, raw: bytes | None = None, **more: str) -> Letter:
    return Letter(Record(raw or b"raw %d" % at, 1000 + at, "192.0.2.7", at), f"why {at}", **more)


def raws(found: DeadLetters) -> list[str]:
    return [each["raw"] for each in found.listed()]


def test_a_line_holds_all_that_is_known(tmp_path: Path) -> None:
    found = letters(tmp_path)
    record = Record(b"CEF:1|Datto", 1_795_514_000_000, "192.0.2.7", 42)
    found.write([Letter(record, "mapping \x1b[31m", b'{"a":1}', "logs-x")])
    (path,) = found.files()
    assert path == tmp_path / "dead-letters" / "splunk" / "00000001.ndjson"
    assert b"\x1b" not in path.read_bytes()
    assert json.loads(path.read_text()) == {
        "time": "2026-11-24T10:00:00.500Z",
        "output": "splunk",
        "reason": "mapping \x1b[31m",
        "tries": 0,
        "offset": 42,
        "uid": uid(record.raw, record.peer, record.received, 42),
        "received": 1_795_514_000_000,
        "peer": "192.0.2.7",
        "raw": "CEF:1|Datto",
        "key": "logs-x",
        "body": '{"a":1}',
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@given(
    raw=st.binary(max_size=200),
    peer=st.text(max_size=20),
    reason=st.text(max_size=50),
    body=st.none() | st.binary(max_size=100),
    key=st.text(alphabet="abc-", max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    raw: bytes,
    peer: str,
    reason: str,
    body: bytes | None,
    key: str,
) -> None:
    found = letters(tmp_path_factory.mktemp("letters"))
    one = Letter(Record(raw, 7, peer, 8), reason, body, key, 3)
    found.write([one])
    (path,) = found.files()
    assert [each for _, each in found.read(path)] == [one]


def test_a_large_body_is_left_out_but_never_the_record(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([Letter(Record(b"r" * 500_000, 1, "", 1), "big", b"b" * 500_000)])
    (one,) = found.listed()
    assert len(one["raw"]) == 500_000
    assert "body" not in one


def test_files_are_rotated(tmp_path: Path) -> None:
    found = letters(tmp_path, rotate=600)
    for at in range(6):
        found.write([letter(at)])
    assert [path.name for path in found.files()] == ["00000001.ndjson", "00000002.ndjson"]
    assert raws(found) == [f"raw {at}" for at in range(6)]
    assert found.counts() == (6, sum(path.stat().st_size for path in found.files()))


def test_at_the_cap_nothing_is_dropped_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    found = letters(tmp_path, most=600)
    found.write([letter(1), letter(2)])
    with pytest.raises(DeadLettersFull, match="dead-letters retry --output splunk"):
        found.write([letter(3), letter(4), letter(5)])
    assert raws(found) == ["raw 1", "raw 2"]


def test_a_disk_that_refuses_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = letters(tmp_path)
    found.write([letter(1)])
    pwrite = os.pwrite

    def short(descriptor: int, data: bytes, at: int) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data[:-50], at)

    monkeypatch.setattr(os, "pwrite", short)
    with pytest.raises(OSError, match="No space"):
        found.write([letter(2)])
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert raws(found) == ["raw 1"]
    found.write([letter(3)])
    assert raws(found) == ["raw 1", "raw 3"]


def test_a_half_line_of_a_crash_is_cut_off(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(1)])
    (path,) = found.files()
    with path.open("ab") as file:
        file.write(b'{"time":"2026')
    assert raws(found) == ["raw 1"]
    found.write([letter(2)])
    assert raws(found) == ["raw 1", "raw 2"]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.path.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (found.path / "00000001.ndjson").symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic links|Too many"):
        found.write([letter(1)])
    assert victim.read_text() == "mine\n"


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    found = letters(tmp_path, rotate=3000)
    threads = [
        threading.Thread(
            target=lambda at=at: [found.write([letter(at * 100 + n)]) for n in range(10)]
        )
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(raws(found)) == sorted(
        f"raw {at * 100 + n}" for at in range(4) for n in range(10)
    )


def test_nothing_written_is_nothing_to_send(tmp_path: Path) -> None:
    found = letters(tmp_path)
    assert retry(found, ScriptedSink()) == Outcome()
    assert not found.path.exists()


def test_what_is_taken_is_removed_and_what_is_refused_again_stays(tmp_path: Path) -> None:
    found = letters(tmp_path, rotate=500)
    found.write([letter(1), letter(2, b"\xff raw")])
    found.write([letter(3)])
    found.write([letter(4)])

    def answer(items: Sequence[Item]) -> Reply:
        return Reply(rejected={at: "still" for at, i in enumerate(items) if i.body == b"raw 3"})

    sink = ScriptedSink(then=answer)
    assert retry(found, sink) == Outcome(taken=3, refused=1)
    assert sink.taken == [b"raw 1", b"\xff raw", b"raw 4"]
    (one,) = found.listed()
    assert (one["raw"], one["reason"], one["tries"]) == ("raw 3", "still", 1)
    assert retry(found, sink) == Outcome(refused=1)
    assert next(iter(found.listed()))["tries"] == 2
    found.write([letter(5)])
    assert raws(found) == ["raw 3", "raw 5"]


@pytest.mark.parametrize("then", [Next.RETRY, Next.HALT])
def test_a_destination_that_is_away_ends_the_pass_and_all_is_kept(
    tmp_path: Path, then: Next
) -> None:
    found = letters(tmp_path, rotate=1)
    for at in range(4):
        found.write([letter(at)])
    sink = ScriptedSink([TAKEN, whole(1, then, "503 busy")])
    assert retry(found, sink) == Outcome(taken=1, kept=1, stopped="503 busy")
    assert raws(found) == ["raw 1", "raw 2", "raw 3"]
    assert all(each["tries"] == 0 for each in found.listed())


def test_splits_prefixes_and_again_in_vain(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(at) for at in range(8)])

    def answer(items: Sequence[Item]) -> Reply:
        if any(item.body == b"raw 5" for item in items):
            return whole(len(items), Next.SPLIT, "413")
        return TAKEN

    sink = ScriptedSink([Reply(range(2, 8), Next.AGAIN, {1: "bad"})], answer)
    assert retry(found, sink) == Outcome(taken=6, refused=2)
    assert {each["raw"]: each["reason"] for each in found.listed()} == {
        "raw 1": "bad",
        "raw 5": "413",
    }
    again = ScriptedSink(then=lambda items: whole(len(items), Next.AGAIN, "401"))
    assert retry(found, again).stopped == "401"
    assert len(again.sent) == 2


def test_groups_keep_to_the_sinks_limits_and_keys(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(at) for at in range(9)])
    sink = ScriptedSink(
        batching=Batching(count=100, nbytes=20, age=1, each=1, fixed=2),
        key=lambda record: "odd" if record.offset % 2 else "even",
    )
    assert retry(found, sink).taken == 9
    assert max(len(sent) for sent in sink.sent) == 3
    assert raws(found) == []


def test_lines_that_are_no_letters_stay_as_they_are(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(1)])
    (path,) = found.files()
    strange = b'not json\n{"raw":1}\n["x"]\n{"received":1,"peer":"","offset":1,"reason":""}\n'
    path.write_bytes(strange + path.read_bytes())
    outcome = retry(found, ScriptedSink())
    assert (outcome.taken, outcome.kept) == (1, 4)
    assert path.read_bytes() == strange


def test_a_record_that_cannot_be_converted_stays(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(1), letter(2), letter(3)])
    sink = ScriptedSink()

    def made(record: Record) -> Item | None:
        if record.offset == 1:
            raise KeyError("bug")
        return Item(record.raw) if record.offset == 2 else None

    sink.made = made
    assert retry(found, sink) == Outcome(taken=1, skipped=1, refused=1)
    (one,) = found.listed()
    assert "cannot be converted" in one["reason"]


def test_letters_written_meanwhile_are_not_touched(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(1)])
    sink = ScriptedSink()
    send = sink.send

    def writing(items: Sequence[Item]) -> Reply:
        found.write([letter(2)])
        return send(items)

    sink.send = writing  # type: ignore[method-assign]  # another process writes meanwhile
    assert retry(found, sink) == Outcome(taken=1)
    assert raws(found) == ["raw 2"]


def test_one_redelivery_at_a_time(tmp_path: Path) -> None:
    found = letters(tmp_path)
    found.write([letter(1)])
    with found.sealed(), pytest.raises(RetryRunning, match="already"):
        retry(letters(tmp_path), ScriptedSink())
    assert retry(found, ScriptedSink()).taken == 1


def test_a_killed_redelivery_loses_nothing(tmp_path: Path) -> None:
    found = letters(tmp_path, rotate=1)
    for at in range(3):
        found.write([letter(at)])
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from fakes.scripted_sink import ScriptedSink
from datto_siem.plugins.forwarder.dead_letters import DeadLetters
from datto_siem.plugins.forwarder.redelivery import retry
from datto_siem.plugins.sink import TAKEN
seen = []
def answer(items):
    seen.append(items)
    if len(seen) == 2:
        os._exit(9)
    return TAKEN
retry(DeadLetters(Path({str(tmp_path / "dead-letters")!r}), "splunk", lambda: 0.0),
      ScriptedSink(then=answer))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9  # noqa: S603
    assert raws(found) == ["raw 1", "raw 2"]
    assert retry(found, ScriptedSink()).taken == 2


def test_a_rewrite_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = letters(tmp_path)
    found.write([letter(1), letter(2)])

    def refuse(path: Path, lines: bytes) -> None:
        if path.suffix == ".new":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dead_letters, "_append", refuse)
    sink = ScriptedSink([Reply(rejected={0: "still"})])
    with pytest.raises(OSError, match="No space"):
        retry(found, sink)
    assert raws(found) == ["raw 1", "raw 2"]
