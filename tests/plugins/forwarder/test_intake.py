"""The intake: groups, memory, policies, and what happens when the log refuses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from durable import arrivals, drain, number

from datto_siem.plugins.forwarder.intake import Closed, Intake
from datto_siem.plugins.forwarder.log import LogFull, Policy
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.source import Arrival, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LONG = 60.0


class Scripted:
    """A writer that refuses while it is told to, and can be held."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.appended: list[list[Arrival]] = []
        self.marks: dict[str, str] = {}
        self.go = threading.Event()
        self.go.set()
        self.tried = threading.Event()
        self.dropped = 0

    def append(self, given: Sequence[Arrival], marks: Sequence[Mark] = ()) -> int:
        self.tried.set()
        assert self.go.wait(LONG)
        if self.trouble:
            raise self.trouble
        self.appended.append(list(given))
        self.marks.update({mark.source: mark.position for mark in marks})
        return self.dropped

    def mark(self, source: str) -> str | None:
        return self.marks.get(source)

    def close(self) -> None:
        pass

    @property
    def records(self) -> list[Arrival]:
        return [each for group in self.appended for each in group]


def intake(writer: Scripted, meter: Meter, policy: Policy = "block", bound: int = 5000) -> Intake:
    return Intake(writer, meter, policy=policy, interval=0.001, bound=bound, retry=0.001)


def lost(meter: Meter, reason: str) -> float:
    return meter.get("lost_records", reason=reason)


def test_records_are_committed_in_groups_and_in_order() -> None:
    writer, meter = Scripted(), Meter()
    writer.go.clear()
    into = Intake(writer, meter)
    for place in range(100):
        into.put(arrivals(place, 1))
    writer.go.set()
    assert into.flush(LONG)
    assert writer.records == arrivals(0, 100)
    assert len(writer.appended) < 10
    assert meter.get("durable_records") == 100
    assert meter.get("log_commits") == len(writer.appended)
    assert into.close()


def test_a_group_is_committed_when_it_is_large_enough() -> None:
    writer, meter = Scripted(), Meter()
    into = Intake(writer, meter, interval=10**6, group=1000)
    into.put(arrivals(0, 10))
    assert into.flush(LONG)
    assert into.close()


def test_with_no_interval_put_returns_when_it_is_durable() -> None:
    writer, meter = Scripted(), Meter()
    into = Intake(writer, meter, interval=0)
    for place in range(5):
        into.put(arrivals(place, 1))
        assert len(writer.records) == place + 1
    assert into.close()


def test_closing_makes_everything_durable(tmp_path: Path) -> None:
    log, meter = SqliteLog(tmp_path / "log"), Meter()
    writer = log.writer()
    into = Intake(writer, meter, interval=10**6)
    for place in range(50):
        into.put(arrivals(place, 1), Mark("8:1", str(place)))
    assert into.close()
    assert [number(each) for each in drain(log)[0]] == list(range(50))
    assert writer.mark("8:1") == "49"
    with pytest.raises(Closed):
        into.put(arrivals(50, 1))
    writer.close()
    log.close()


@pytest.mark.parametrize("trouble", [LogFull("full"), OSError("no space left")])
def test_under_block_a_refusing_log_is_tried_until_it_takes(trouble: Exception) -> None:
    writer, meter = Scripted(trouble), Meter()
    into = intake(writer, meter)
    into.put(arrivals(0, 3))
    assert writer.tried.wait(LONG)
    assert not into.flush(0.01)
    assert into.pressed()
    assert not into.relieved(0.01)
    writer.trouble = None
    assert into.relieved(LONG)
    assert into.flush(LONG)
    assert writer.records == arrivals(0, 3)
    assert into.close()
    assert not any(name == "lost_records" for name, _ in meter.snapshot()[0])


def test_under_block_put_waits_for_memory() -> None:
    writer, meter = Scripted(LogFull("full")), Meter()
    into = intake(writer, meter)

    def put() -> None:
        for place in range(100):
            into.put(arrivals(place, 1))

    putting = threading.Thread(target=put)
    putting.start()
    putting.join(0.1)
    assert putting.is_alive()
    assert into.pressed()
    writer.trouble = None
    putting.join(LONG)
    assert into.close()
    assert writer.records == arrivals(0, 100)


def test_refuse_newest_counts_what_a_full_log_does_not_take() -> None:
    writer, meter = Scripted(LogFull("full")), Meter()
    into = intake(writer, meter, "refuse-newest")
    into.put(arrivals(0, 7))
    assert into.flush(LONG)
    assert lost(meter, "full") == 7
    assert not into.pressed()
    writer.trouble = None
    into.put(arrivals(7, 3))
    assert into.close()
    assert writer.records == arrivals(7, 3)


@pytest.mark.parametrize("policy", ["refuse-newest", "drop-oldest"])
def test_with_a_mark_nothing_is_lost(policy: Policy) -> None:
    writer, meter = Scripted(LogFull("full")), Meter()
    into = intake(writer, meter, policy)
    into.put(arrivals(0, 7), Mark("8:1", "x"))
    assert writer.tried.wait(LONG)
    assert not into.flush(0.01)
    writer.trouble = None
    assert into.close()
    assert writer.records == arrivals(0, 7)
    assert into.mark("8:1") == "x"
    assert lost(meter, "full") == 0


def test_refuse_newest_keeps_what_memory_holds_while_the_disk_refuses() -> None:
    writer, meter = Scripted(OSError("disk")), Meter()
    into = intake(writer, meter, "refuse-newest")
    for place in range(100):
        into.put(arrivals(place, 1))
        assert writer.tried.wait(LONG)
    writer.trouble = None
    assert into.close()
    kept = 5000 // 240
    assert writer.records == arrivals(0, kept)
    assert lost(meter, "disk") + lost(meter, "overrun") == 100 - kept


def test_drop_oldest_keeps_the_newest_in_memory() -> None:
    writer, meter = Scripted(OSError("disk")), Meter()
    into = intake(writer, meter, "drop-oldest")
    into.put(arrivals(0, 1))
    assert writer.tried.wait(LONG)
    for place in range(1, 100):
        into.put(arrivals(place, 1))
    writer.trouble = None
    assert into.close()
    assert writer.records[-15:] == arrivals(85, 15)
    total = lost(meter, "disk") + lost(meter, "overrun")
    assert total + len(writer.records) == 100
    assert total > 50


def test_what_the_log_dropped_for_room_is_counted() -> None:
    writer, meter = Scripted(), Meter()
    writer.dropped = 5
    into = intake(writer, meter, "drop-oldest")
    into.put(arrivals(0, 1))
    assert into.close()
    assert lost(meter, "full") == 5


def test_closing_gives_up_on_a_log_that_never_takes_and_counts() -> None:
    writer, meter = Scripted(LogFull("full")), Meter()
    into = intake(writer, meter)
    into.put(arrivals(0, 3))
    into.put(arrivals(3, 4), Mark("8:1", "x"))  # its source has these still
    assert writer.tried.wait(LONG)
    assert not into.close(timeout=0.05)
    assert lost(meter, "full") == 3


def test_a_failed_commit_thread_is_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    writer, meter = Scripted(ArithmeticError("a fault of ours")), Meter()
    into = intake(writer, meter)
    into.put(arrivals(0, 1))
    assert not into.flush(LONG)
    with pytest.raises(Closed):
        into.put(arrivals(1, 1))
    assert not into.close()
    assert "commit thread has failed" in caplog.text


def test_trouble_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    writer, meter = Scripted(LogFull("log.max_bytes is reached")), Meter()
    into = intake(writer, meter, "refuse-newest")
    for place in range(50):
        into.put(arrivals(place, 1))
        assert into.flush(LONG)
    assert into.close()
    assert caplog.text.count("log.max_bytes is reached") == 1
    assert caplog.text.count("records lost") == 1


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    log, meter = SqliteLog(tmp_path / "log"), Meter()
    writer = log.writer()
    into = Intake(writer, meter, bound=50_000)

    def put(start: int) -> None:
        for place in range(start, start + 1000):
            into.put(arrivals(place, 1))

    threads = [threading.Thread(target=put, args=(turn * 10_000,)) for turn in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert into.close()
    numbers = [number(each) for each in drain(log)[0]]
    for turn in range(4):
        own = [each for each in numbers if each // 10_000 == turn]
        assert own == list(range(turn * 10_000, turn * 10_000 + 1000))
    writer.close()
    log.close()
