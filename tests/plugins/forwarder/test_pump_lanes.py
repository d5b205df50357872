"""The pump over a log of several lanes, kept by a service that may be away."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fakes.scripted_sink import ScriptedSink
from running import until

from datto_siem.plugins.forwarder.dead_letters import DeadLetters
from datto_siem.plugins.forwarder.gate import Patience
from datto_siem.plugins.forwarder.log import LANE, Chunk, LogAway, Standing, lane_of
from datto_siem.plugins.forwarder.pump import Pace, Pump
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Batching, Item, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pytest


class Lanes:
    """A reader that gives chunks, or raises, as it is told."""

    def __init__(self) -> None:
        self.given: list[Chunk | Exception] = []
        self.then: Exception | None = None
        self.commits: list[int] = []

    def read(self, nbytes: int) -> Chunk | None:
        if self.given:
            return self.given.pop(0)  # type: ignore[return-value]
        if self.then is not None:
            raise self.then
        return None

    def commit(self, end: int) -> None:
        self.commits.append(end)

    def standing(self) -> Standing:
        return Standing(None, 0, 3, None)

    def close(self) -> None:
        """Nothing to let go of."""

    def committed(self, lane: int) -> int:
        return max([end for end in self.commits if lane_of(end) == lane], default=-1)


def chunk(lane: int, first: int, count: int, **more: Any) -> Chunk:
    base = lane << LANE
    records = [
        Record(b"%d-%d" % (lane, at), 0, "", base + at) for at in range(first, first + count)
    ]
    return Chunk(records, base + first + count, **more)


@contextmanager
def running(
    folder: Path, reader: Lanes, sink: ScriptedSink, meter: Meter, concurrency: int = 1
) -> Iterator[None]:
    letters = DeadLetters(folder, "out", now=lambda: 0.0)
    pace = Pace(concurrency, patience=Patience(0, 0, 0, 0, 0), commit=0.002)
    pump = Pump("out", reader, sink, letters, meter, pace)
    thread = threading.Thread(target=pump.run)
    thread.start()
    try:
        yield
    finally:
        pump.stop(5.0)
        thread.join(30)
        assert not thread.is_alive()


def test_each_lane_is_committed_by_itself(tmp_path: Path) -> None:
    reader, meter = Lanes(), Meter()
    reader.given = [chunk(0, 5, 3), chunk(2, 100, 4), chunk(0, 8, 2), chunk(2, 104, 1)]
    held = threading.Event()

    def take(items: Sequence[Item]) -> Reply:
        if items[0].body.startswith(b"2-"):
            held.wait(30)
        return TAKEN

    with running(tmp_path, reader, ScriptedSink(then=take), meter, concurrency=2):
        until(lambda: reader.committed(0) == 10, "lane 0 committed")
        assert reader.committed(2) == -1
        assert meter.get("lag_records", output="out") == 3
        held.set()
        until(lambda: reader.committed(2) == (2 << LANE) + 105, "lane 2 committed")


def test_a_lane_that_leaves_soon_waits_for_no_company(tmp_path: Path) -> None:
    reader, sink = Lanes(), ScriptedSink(batching=Batching(count=1000, nbytes=10**6, age=1e6))
    reader.given = [chunk(0, 0, 3), chunk(1, 0, 3), Chunk([], 1 << LANE, leaving="soon")]
    with running(tmp_path, reader, sink, Meter()):
        until(lambda: reader.committed(1) == (1 << LANE) + 3, "settled and committed")
        assert sink.taken == [b"1-0", b"1-1", b"1-2"]
        reader.given.append(Chunk([], 1 << LANE, leaving="now"))
        reader.given.append(chunk(1, 50, 1))  # it comes back, further on
        reader.given.append(Chunk([], 1 << LANE, leaving="soon"))
        until(lambda: reader.committed(1) == (1 << LANE) + 51, "committed")


def test_a_lane_that_is_gone_is_committed_no_more(tmp_path: Path) -> None:
    reader = Lanes()
    held = threading.Event()

    def slowly(items: Sequence[Item]) -> Reply:
        held.wait(30)
        return TAKEN

    sink = ScriptedSink(then=slowly, batching=Batching(count=3, nbytes=10**6, age=0.0))
    reader.given = [chunk(1, 0, 3)]
    with running(tmp_path, reader, sink, Meter()):
        until(lambda: sink.sent, "under way")
        reader.given.append(Chunk([], 1 << LANE, leaving="now"))
        until(lambda: not reader.given, "told")
        reader.given.append(chunk(0, 0, 3))
        until(lambda: not reader.given, "read on")
        held.set()
        until(lambda: reader.committed(0) == 3, "the other lane")
    assert reader.committed(1) == -1


def test_what_was_read_is_delivered_while_the_log_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader, sink = Lanes(), ScriptedSink(batching=Batching(count=1000, nbytes=10**6, age=0.2))
    reader.given, reader.then = [chunk(0, 0, 3)], LogAway("no broker answers: start it")
    meter = Meter()
    with running(tmp_path, reader, sink, meter):
        until(lambda: reader.committed(0) == 3, "delivered and committed")
        texts = meter.snapshot()[1]
        assert texts["last_error", ("out",)] == "log: no broker answers: start it"
        reader.then = None
        until(lambda: "can be read again" in caplog.text, "recovered")
    assert caplog.text.count("the log cannot be read: no broker answers: start it") == 1


def test_what_a_lane_lost_is_counted_by_its_reason(tmp_path: Path) -> None:
    reader, meter = Lanes(), Meter()
    reader.given = [chunk(0, 7, 1, lost=7, why="age")]
    with running(tmp_path, reader, ScriptedSink(), meter):
        until(lambda: meter.get("lost_records", reason="age") == 7, "counted")
