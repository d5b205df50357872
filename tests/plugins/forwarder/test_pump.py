"""From the log to the destination: everything, in order, as often as it must, within bounds."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes.memory_log import MemoryLog
from fakes.scripted_sink import ScriptedSink
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datto_siem.converters import Decoder
from datto_siem.plugins.forwarder.batches import Limits
from datto_siem.plugins.forwarder.dead_letters import DeadLetters, Letter
from datto_siem.plugins.forwarder.gate import Patience
from datto_siem.plugins.forwarder.noise import Noise
from datto_siem.plugins.forwarder.pump import Pace, Pump
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.sink import TAKEN, Batching, Item, Next, Reply, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datto_siem.plugins.record import Record

OUT = "out"
LONG = 30.0
AT_ONCE = Patience(first=0, most=0, halted=0, longest=0, slow=0)
FOR_EVER = Patience(first=3600, most=3600, halted=3600, longest=3600)


class Letters(DeadLetters):
    """Kept in memory; fails while `full`."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.full = False

    def write(self, letters: Sequence[Letter]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.letters += letters


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


class Bench:
    """A pump over a log in memory."""

    def __init__(
        self,
        sink: ScriptedSink,
        log: MemoryLog | None = None,
        pace: Pace | None = None,
        noise: Noise | None = None,
    ) -> None:
        self.sink, self.log, self.meter = sink, log or MemoryLog(), Meter()
        self.letters = Letters()
        self.pump = Pump(
            OUT,
            self.log.reader(OUT),
            sink,
            self.letters,
            self.meter,
            replace(pace or Pace(patience=AT_ONCE), commit=0.002),
            noise,
        )
        self.settled: list[bool] = []
        self.fault: BaseException | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        def run() -> None:
            try:
                self.settled.append(self.pump.run())
            except BaseException as error:  # looked at by the test
                self.fault = error

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            self.pump.stop()
            thread.join(LONG)
            assert not thread.is_alive()

    def deliver(self) -> None:
        """Run until everything is committed."""
        with self.running():
            until(lambda: self.committed == self.log.end)
        assert self.settled == [True]

    @property
    def committed(self) -> int:
        return self.log.offsets[OUT]

    def count(self, name: str, **labels: str) -> float:
        return self.meter.get(name, output=OUT, **labels)


def raws(first: int, last: int) -> list[bytes]:
    return [b"%05d" % at for at in range(first, last)]


def filled(count: int, first: int = 1) -> MemoryLog:
    log = MemoryLog(first)
    log.append(raws(first, first + count))
    return log


def test_everything_arrives_once_in_order_and_is_committed() -> None:
    bench = Bench(ScriptedSink(), filled(1003))
    bench.deliver()
    assert bench.sink.taken == raws(1, 1004)
    assert [len(sent) for sent in bench.sink.sent[:100]] == [10] * 100
    assert bench.log.commits == sorted(set(bench.log.commits))
    assert bench.count("converted_records") == 1003
    assert bench.count("delivered_records") == 1003


def test_records_that_come_later_are_delivered_too() -> None:
    bench = Bench(ScriptedSink())
    with bench.running():
        for at in range(1, 31, 3):
            bench.log.append(raws(at, at + 3))
            until(lambda at=at: len(bench.sink.taken) == at + 2)  # type: ignore[misc]  # a default
    assert bench.sink.taken == raws(1, 31)
    assert bench.committed == 31


def test_a_batch_that_is_not_full_waits_for_its_age() -> None:
    sink = ScriptedSink(batching=Batching(count=10, nbytes=10**6, age=3600))
    bench = Bench(sink, filled(15))
    with bench.running():
        until(lambda: bench.committed == 11)
        assert sink.taken == raws(1, 11)
    assert sink.taken == raws(1, 16)  # the end sends what is left
    assert bench.settled == [True]
    assert bench.committed == 16


def test_the_configuration_makes_batches_smaller() -> None:
    bench = Bench(ScriptedSink(), filled(20), Pace(patience=AT_ONCE, limits=Limits(count=4)))
    bench.deliver()
    assert [len(sent) for sent in bench.sink.sent] == [4] * 5


def test_several_threads_send_at_once_and_each_record_arrives_once() -> None:
    together = threading.Barrier(3, timeout=LONG)

    def answer(items: Sequence[Item]) -> Reply:
        if int(items[0].body) <= 30:
            together.wait()  # breaks unless three are here at once
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), filled(300), Pace(3, patience=AT_ONCE))
    bench.deliver()
    assert sorted(bench.sink.taken) == raws(1, 301)


def test_nothing_behind_an_unsettled_batch_is_committed() -> None:
    gone_on = threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        if items[0].body == b"00011" and not gone_on.wait(LONG):
            pytest.fail("the others did not go on")
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), filled(60), Pace(2, patience=AT_ONCE))
    with bench.running():
        until(lambda: len(bench.sink.taken) == 50)
        until(lambda: bench.committed == 11)
        assert max(bench.log.commits) == 11
        gone_on.set()
        until(lambda: bench.committed == 61)


def test_a_slow_destination_stops_the_reading_and_memory_stays_bounded() -> None:
    let_go = threading.Event()
    made: list[int] = []

    def answer(items: Sequence[Item]) -> Reply:
        assert let_go.wait(LONG)
        return TAKEN

    sink = ScriptedSink(then=answer, batching=Batching(count=10, nbytes=10**6, age=0.01))

    def item(record: Record) -> Item:
        made.append(record.offset)
        return Item(record.raw)

    sink.made = item
    bench = Bench(sink, filled(5000), Pace(2, patience=AT_ONCE, chunk=100))
    with bench.running():
        until(lambda: len(sink.sent) == 2)
        before = -1
        while before != len(made):
            before = len(made)
            time.sleep(0.05)
        assert len(made) <= 10 * (2 + 2 + 2) + 100 // 5  # sending, queued, in hand; a chunk
        let_go.set()
        until(lambda: bench.committed == 5001)


@pytest.mark.parametrize("keys", [1, 40])
def test_bytes_held_are_bounded(keys: int) -> None:
    let_go = threading.Event()
    held: list[int] = []

    def answer(items: Sequence[Item]) -> Reply:
        assert let_go.wait(LONG)
        return TAKEN

    sink = ScriptedSink(
        then=answer,
        batching=Batching(count=10**6, nbytes=10**5, age=3600),
        key=lambda record: str(record.offset % keys),
    )

    def item(record: Record) -> Item:
        held.append(record.offset)
        return Item(b"x" * 10_000, sink.key(record))

    sink.made = item
    log = MemoryLog()
    log.append([b"r" * 1000] * 3000)
    most = 2_000_000
    bench = Bench(sink, log, Pace(4, patience=AT_ONCE, chunk=10_000, held=most))
    with bench.running():
        before = -1
        while before != len(held) or not sink.sent:
            before = len(held)
            time.sleep(0.05)
        assert len(held) * 11_400 < most + 10 * 11_400 + 3 * 10**5
        let_go.set()
    assert bench.settled == [True]


def test_an_output_that_is_down_keeps_everything_and_stops_at_once() -> None:
    sink = ScriptedSink(then=lambda items: whole(len(items), Next.HALT, "token disabled"))
    bench = Bench(sink, filled(500), Pace(3, patience=FOR_EVER))
    with bench.running():
        until(lambda: bench.count("halted") == 1)
        begun = time.monotonic()
    assert time.monotonic() - begun < LONG / 2
    assert bench.settled == [False]
    assert bench.log.commits == []
    assert len(sink.sent) <= 3
    assert bench.letters.letters == []


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_request_that_never_ends_is_left_behind_uncommitted(concurrency: int) -> None:
    let_go = threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        if items[0].body == b"00011":
            let_go.wait(LONG)
        return TAKEN

    pace = Pace(concurrency, patience=AT_ONCE, grace=0.2)
    bench = Bench(ScriptedSink(then=answer), filled(20), pace)
    with bench.running():
        until(lambda: len(bench.sink.taken) == 10)
    let_go.set()
    assert bench.settled == [False]
    assert bench.committed == 11


def test_stop_lets_a_request_under_way_finish_and_commits_it() -> None:
    inside, let_go = threading.Event(), threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        inside.set()
        assert let_go.wait(LONG)
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), filled(10))
    with bench.running():
        assert inside.wait(LONG)
        bench.pump.stop()
        let_go.set()
    assert bench.settled == [True]
    assert bench.committed == 11


def test_a_stop_in_the_middle_of_a_chunk_leaves_no_hole() -> None:
    inside, let_go = threading.Event(), threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        inside.set()
        assert let_go.wait(LONG)
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), filled(500))
    with bench.running():
        assert inside.wait(LONG)
        time.sleep(0.05)  # let the pump come to wait for room; the outcome does not depend on it
        bench.pump.stop()
        let_go.set()
    assert len(bench.sink.taken) >= 10
    assert bench.sink.taken == raws(1, len(bench.sink.taken) + 1)
    assert bench.committed == len(bench.sink.taken) + 1


def test_whoever_stops_may_say_how_long_to_wait() -> None:
    let_go = threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        let_go.wait(LONG)
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), filled(10), Pace(patience=AT_ONCE, grace=LONG * 100))
    with bench.running():
        until(lambda: len(bench.sink.sent) == 1)
        bench.pump.stop(0.0)
    let_go.set()
    assert bench.settled == [False]
    assert bench.committed == 1


def test_stop_before_anything_came() -> None:
    bench = Bench(ScriptedSink())
    with bench.running():
        pass
    assert bench.settled == [True]
    assert bench.log.commits == []


def test_stop_while_dead_letters_cannot_be_written() -> None:
    sink = ScriptedSink(then=lambda items: Reply(rejected={0: "bad"}))
    bench = Bench(sink, filled(10), Pace(patience=FOR_EVER))
    bench.letters.full = True
    with bench.running():
        until(lambda: bench.count("halted") == 1)
    assert bench.settled == [False]
    assert bench.log.commits == []


def test_stop_while_a_record_cannot_be_set_aside() -> None:
    bench = Bench(ScriptedSink(), filled(10), Pace(patience=FOR_EVER))
    bench.sink.made = broken_at(5)
    bench.letters.full = True
    with bench.running():
        until(lambda: bench.count("halted") == 1)
    assert bench.committed <= 5


def broken_at(offset: int) -> Callable[[Record], Item]:
    def made(record: Record) -> Item:
        if record.offset == offset:
            raise ZeroDivisionError("a bug")
        return Item(record.raw)

    return made


def test_a_record_that_cannot_be_converted_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(ScriptedSink(), filled(30))
    bench.sink.made = broken_at(7)
    with caplog.at_level(logging.ERROR):
        bench.deliver()
    assert bench.sink.taken == [raw for raw in raws(1, 31) if raw != b"00007"]
    (letter,) = bench.letters.letters
    assert letter.record.raw == b"00007"
    assert "a bug" in letter.reason
    assert bench.count("dead_letters") == 1
    assert bench.count("converted_records") == 29


def test_records_without_a_place_are_counted_and_passed_by() -> None:
    bench = Bench(ScriptedSink(), filled(30))
    bench.sink.made = lambda record: Item(record.raw) if record.offset % 3 else None
    bench.deliver()
    assert len(bench.sink.taken) == 20
    assert bench.count("dropped_records", reason="skipped") == 10


def test_when_nothing_has_a_place_the_offset_moves_all_the_same() -> None:
    bench = Bench(ScriptedSink(), filled(30))
    bench.sink.made = lambda record: None
    bench.deliver()
    assert bench.sink.sent == []


def test_noise_is_left_out_and_counted() -> None:
    probe = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514400"
    auth = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|auth|0|rt=1795514400"
    log = MemoryLog()
    log.append([probe, auth, probe] * 10)
    bench = Bench(ScriptedSink(), log, noise=Noise(Decoder(), ["wifi/probe"]))
    bench.deliver()
    assert bench.sink.taken == [auth] * 10
    assert bench.count("dropped_records", reason="drop") == 20
    assert bench.count("converted_records") == 10


def test_a_log_that_cannot_be_read_is_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datto_siem.plugins.forwarder.pump._TROUBLE", (0.001, 0.001))
    log = filled(30)
    log.read_faults = [
        sqlite3.DatabaseError("malformed"),
        sqlite3.OperationalError("locked"),
        OSError("io"),
    ]
    bench = Bench(ScriptedSink(), log)
    with caplog.at_level(logging.WARNING):
        bench.deliver()
    assert bench.sink.taken == raws(1, 31)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "output out: the log cannot be read",
        "output out: the log can be read again",
    ]
    assert bench.meter.snapshot()[1]["last_error", (OUT,)] == "log: io"


def test_a_commit_that_fails_is_tried_again_and_loses_no_record_of_its_chunk(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = filled(500)
    log.commit_faults = [sqlite3.OperationalError("disk full")] * 5
    bench = Bench(ScriptedSink(), log)
    with caplog.at_level(logging.ERROR):
        bench.deliver()
    assert bench.sink.taken == raws(1, 501)
    assert len(caplog.records) == 1


def test_damaged_records_are_counted() -> None:
    log = filled(5)
    log.lost = 3
    bench = Bench(ScriptedSink(), log)
    bench.deliver()
    assert bench.meter.get("lost_records", reason="damaged") == 3


def test_a_replay_reads_again_from_the_new_place() -> None:
    bench = Bench(ScriptedSink(), filled(100))
    with bench.running():
        until(lambda: bench.committed == 101)
        bench.log.move(OUT, 41)
        until(lambda: len(bench.sink.taken) == 160)
        until(lambda: bench.committed == 101)
    assert bench.sink.taken == raws(1, 101) + raws(41, 101)


def test_a_replay_forgets_what_is_under_way() -> None:
    let_go = threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        if not let_go.is_set():
            return whole(len(items), Next.RETRY, "away")
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), filled(100), Pace(2, patience=AT_ONCE))
    with bench.running():
        until(lambda: len(bench.sink.sent) > 5)
        bench.log.move(OUT, 91)
        bench.log.append([b"later"])
        until(lambda: bench.log.offsets[OUT] == 91 and bench.sink.sent[-1][0] >= b"00091")
        let_go.set()
        until(lambda: bench.committed == 102)
    assert set(bench.sink.taken) <= {*raws(1, 101), b"later"}
    assert {*raws(91, 101), b"later"} <= set(bench.sink.taken)
    assert bench.log.commits[-1] == 102


def test_lag_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datto_siem.plugins.forwarder.pump._STANDING_EVERY", 0.0)
    log = MemoryLog()
    log.append(raws(1, 101), received=int(time.time() * 1000) - 90_000)
    let_go = threading.Event()

    def answer(items: Sequence[Item]) -> Reply:
        let_go.wait(LONG)
        return TAKEN

    bench = Bench(ScriptedSink(then=answer), log)
    with bench.running():
        until(lambda: bench.count("lag_records") == 100)
        assert 89 < bench.count("lag_seconds") < 90 + LONG
        let_go.set()
        until(lambda: bench.count("lag_records") == 0)
        assert bench.count("lag_seconds") == 0


def test_a_fault_in_a_sender_ends_the_run_and_commits_nothing_unsettled() -> None:
    bench = Bench(ScriptedSink(), filled(100))

    def broken(letters: Sequence[Letter]) -> None:
        raise ZeroDivisionError("a bug of ours")

    bench.letters.write = broken  # type: ignore[method-assign]  # no fault the contract knows
    bench.sink.then = lambda items: Reply(rejected={0: "bad"})
    with bench.running():
        until(lambda: bench.fault is not None)
    assert isinstance(bench.fault, RuntimeError)
    assert bench.log.commits == []


def test_windows_make_the_same_requests_after_a_crash() -> None:
    def log() -> MemoryLog:
        made = MemoryLog()
        for at in range(40):
            made.append([b"%05d" % at], received=at * 3000)
        return made

    def sink(stop_after: int) -> ScriptedSink:
        def answer(items: Sequence[Item]) -> Reply:
            return TAKEN if len(one.sent) <= stop_after else whole(len(items), Next.RETRY, "away")

        one = ScriptedSink(
            then=answer,
            batching=Batching(count=7, nbytes=10**6, age=0, window=60),
            key=lambda record: "ab"[record.offset % 2],
        )
        return one

    undisturbed = Bench(sink(10**6), log())
    undisturbed.deliver()
    for stop_after in range(0, len(undisturbed.sink.sent), 2):
        first = Bench(sink(stop_after), log(), Pace(patience=FOR_EVER))
        with first.running():
            until(lambda first=first, n=stop_after: len(first.sink.sent) > n)  # type: ignore[misc]  # defaults
        second = Bench(sink(10**6), first.log)
        second.deliver()
        requests = {tuple(sent) for sent in first.sink.sent + second.sink.sent}
        assert requests == {tuple(sent) for sent in undisturbed.sink.sent}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    count=st.integers(1, 120),
    concurrency=st.integers(1, 4),
    keys=st.integers(1, 3),
    bad=st.sets(st.integers(1, 120)),
    large=st.sets(st.integers(1, 120)),
    broken=st.sets(st.integers(1, 120), max_size=5),
    skipped=st.sets(st.integers(1, 120)),
    faults=st.lists(st.sampled_from(["retry", "halt", "again", "lie", "raise"]), max_size=20),
    refusals=st.lists(st.booleans(), max_size=4),
)
def test_any_script_of_replies_loses_nothing_and_commits_nothing_unsettled(
    count: int,
    concurrency: int,
    keys: int,
    bad: set[int],
    large: set[int],
    broken: set[int],
    skipped: set[int],
    faults: list[str],
    refusals: list[bool],
) -> None:
    lock = threading.Lock()
    settled: set[int] = set()
    taken = dict.fromkeys(range(1, count + 1), 0)
    lies = dict.fromkeys(range(1, count + 1), 0)
    violations: list[int] = []

    def answer(items: Sequence[Item]) -> Reply:
        names = [int(item.body) for item in items]
        with lock:
            kind = faults.pop() if faults else ""
            if kind == "raise":
                raise RuntimeError("bug")
            if kind in ("retry", "halt"):
                return whole(len(items), Next(kind), kind)
            if kind == "lie":
                for name in names:
                    taken[name] += 1
                    lies[name] += 1
                return whole(len(items), Next.RETRY, "reset")
            if large & set(names):
                return whole(len(items), Next.SPLIT, "large")
            keep = len(names) // 2 if kind == "again" else len(names)
            rejected = {at: "bad" for at, name in enumerate(names[:keep]) if name in bad}
            for name in set(names[:keep]) - bad:
                taken[name] += 1
                settled.add(name)
            return Reply(range(keep, len(names)), Next.AGAIN, rejected)

    sink = ScriptedSink(
        then=answer,
        batching=Batching(count=7, nbytes=60, age=0.0, each=1, fixed=2),
        key=lambda record: str(record.offset % keys),
    )

    def made(record: Record) -> Item | None:
        if record.offset in broken:
            raise ZeroDivisionError("bug")
        if record.offset in skipped:
            settled.add(record.offset)
            return None
        return Item(record.raw, sink.key(record))

    sink.made = made
    bench = Bench(sink, filled(count), Pace(concurrency, patience=AT_ONCE, chunk=100))
    write = bench.letters.write

    def reluctant(letters: Sequence[Letter]) -> None:
        with lock:
            if refusals and refusals.pop():
                raise OSError(errno.ENOSPC, "No space left on device")
            write(letters)
            settled.update(letter.record.offset for letter in letters)

    bench.letters.write = reluctant  # type: ignore[method-assign]  # fails now and then

    def look(end: int) -> None:
        violations.extend(set(range(1, min(end, count + 1))) - settled)

    bench.log.on_commit = look
    bench.deliver()
    every = set(range(1, count + 1))
    buried = sorted(letter.record.offset for letter in bench.letters.letters)
    assert violations == []
    assert buried == sorted(every & (broken | ((bad | large) - skipped)))
    for name in every:
        good = name not in bad | large | broken | skipped
        assert taken[name] == lies[name] + good
