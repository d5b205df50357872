"""What becomes of a batch by what the destination replies."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

import pytest
from fakes.scripted_sink import ScriptedSink
from hypothesis import given, settings
from hypothesis import strategies as st

from datto_siem.plugins.forwarder.batches import Batch
from datto_siem.plugins.forwarder.dead_letters import DeadLetters, Letter
from datto_siem.plugins.forwarder.delivery import Delivery
from datto_siem.plugins.forwarder.gate import Gate, Patience
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import TAKEN, Item, Next, Reply, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OUT = "out"
AT_ONCE = Patience(first=0, most=0, halted=0, longest=0, slow=0)


class Letters(DeadLetters):
    """Kept in memory; fails as often as told."""

    def __init__(self, faults: Sequence[OSError] = ()) -> None:
        self.letters: list[Letter] = []
        self.faults = list(faults)

    def write(self, letters: Sequence[Letter]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.letters += letters

    @property
    def reasons(self) -> dict[bytes, str]:
        return {letter.record.raw: letter.reason for letter in self.letters}


class Bench:
    """A delivery with a scripted sink."""

    def __init__(self, sink: ScriptedSink, letters: Letters | None = None) -> None:
        self.sink, self.meter = sink, Meter()
        self.letters = letters or Letters()
        self.gate = Gate(OUT, self.meter, AT_ONCE)
        self.delivery = Delivery(OUT, sink, self.gate, self.letters, self.meter, lambda: 1234.0)

    def settle(self, count: int) -> bool:
        return self.delivery.settle(batch(count))

    def count(self, name: str, **labels: str) -> float:
        return self.meter.get(name, output=OUT, **labels)


def body(at: int) -> bytes:
    return b"%03d" % at


def bodies(*at: int) -> list[bytes]:
    return [body(each) for each in at]


def batch(count: int) -> Batch:
    made = Batch(1, 0.0, 0)
    for at in range(count):
        made.records.append(Record(body(at), 1000, "192.0.2.1", at + 1))
        made.items.append(Item(body(at)))
    return made


def test_a_batch_that_is_taken_is_settled_and_counted() -> None:
    bench = Bench(ScriptedSink())
    assert bench.settle(4)
    assert bench.sink.sent == [bodies(0, 1, 2, 3)]
    assert bench.count("delivered_records") == 4
    assert bench.count("delivered_bytes") == 12
    assert bench.count("requests", result="taken") == 1
    assert bench.count("last_delivery") == 1234
    assert bench.count("retried_records") == 0


def test_only_what_was_left_is_sent_again() -> None:
    bench = Bench(ScriptedSink([Reply([1, 3], Next.RETRY, reason="429"), Reply([0], Next.RETRY)]))
    assert bench.settle(5)
    assert bench.sink.sent == [bodies(0, 1, 2, 3, 4), bodies(1, 3), bodies(1)]
    assert sorted(bench.sink.taken) == bodies(0, 1, 2, 3, 4)
    assert bench.count("retried_records") == 3
    assert bench.count("delivered_records") == 5
    assert bench.count("delivered_bytes") == 15
    assert bench.count("requests", result="retry") == 2


@pytest.mark.parametrize("then", [Next.RETRY, Next.HALT])
def test_a_dead_destination_is_tried_without_end_and_nothing_is_lost(then: Next) -> None:
    bench = Bench(ScriptedSink([whole(3, then, "away")] * 200))
    assert bench.settle(3)
    assert len(bench.sink.sent) == 201
    assert bench.sink.taken == bodies(0, 1, 2)
    assert bench.letters.letters == []
    assert bench.count("halted") == 0


def test_a_halt_shows_while_it_lasts() -> None:
    seen: list[float] = []
    sink = ScriptedSink([whole(2, Next.HALT, "token disabled")])
    bench = Bench(sink)

    def look(items: Sequence[Item]) -> Reply:
        seen.append(bench.count("halted"))
        return TAKEN

    sink.then = look
    assert bench.settle(2)
    assert seen == [1]
    assert bench.count("halted") == 0


def test_refused_items_become_dead_letters_and_their_neighbours_are_taken() -> None:
    bench = Bench(ScriptedSink([Reply(rejected={1: "mapping", 3: "no date"})]))
    assert bench.settle(5)
    assert bench.letters.reasons == {body(1): "mapping", body(3): "no date"}
    assert bench.sink.taken == bodies(0, 2, 4)
    assert bench.count("dead_letters") == 2
    assert bench.count("requests", result="rejected") == 1
    assert bench.letters.letters[0].body == body(1)


def test_the_good_prefix_of_a_stopped_request_is_not_sent_again() -> None:
    sink = ScriptedSink([Reply([3, 4], Next.AGAIN, {2: "code 6"})])
    bench = Bench(sink)
    assert bench.settle(5)
    assert sink.sent == [bodies(0, 1, 2, 3, 4), bodies(3, 4)]
    assert bench.letters.reasons == {body(2): "code 6"}
    assert bench.gate.wait == 0


def test_again_in_vain_is_done_once_then_pauses() -> None:
    bench = Bench(ScriptedSink([whole(2, Next.AGAIN, "401")] * 3))
    assert bench.settle(2)
    assert len(bench.sink.sent) == 4
    text = bench.meter.snapshot()[1]
    assert text["last_error", (OUT,)] == "401"


def too_large(limit: int) -> Any:
    def answer(items: Sequence[Item]) -> Reply:
        if len(items) > limit:
            return whole(len(items), Next.SPLIT, "413")
        return TAKEN

    return answer


def test_halves_are_sent_in_order() -> None:
    bench = Bench(ScriptedSink(then=too_large(2)))
    assert bench.settle(7)
    assert bench.sink.taken == bodies(*range(7))
    assert bench.letters.letters == []
    assert bench.count("requests", result="split") == 3


def test_a_single_item_that_does_not_fit_is_a_dead_letter() -> None:
    def answer(items: Sequence[Item]) -> Reply:
        bad = any(item.body == body(5) for item in items)
        return whole(len(items), Next.SPLIT, "413 too large") if bad else TAKEN

    bench = Bench(ScriptedSink(then=answer))
    assert bench.settle(9)
    assert bench.letters.reasons == {body(5): "413 too large"}
    assert bench.sink.taken == bodies(0, 1, 2, 3, 4, 6, 7, 8)


def test_a_split_of_a_part_keeps_what_was_taken() -> None:
    bench = Bench(ScriptedSink([Reply([1, 2, 3], Next.SPLIT)]))
    assert bench.settle(4)
    assert bench.sink.sent == [bodies(0, 1, 2, 3), bodies(1), bodies(2, 3)]


def test_a_fault_of_the_sink_costs_no_records(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(ScriptedSink([RuntimeError("bug")]))
    with caplog.at_level(logging.ERROR):
        assert bench.settle(3)
    assert bench.sink.taken == bodies(0, 1, 2)
    assert "fault while sending" in caplog.text


def test_dead_letters_that_cannot_be_written_halt_the_output_and_are_not_lost() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    sink = ScriptedSink([Reply(rejected={0: "bad"})])
    bench = Bench(sink, Letters([full] * 3))
    halts: list[float] = []
    write = bench.letters.write

    def watched(letters: Sequence[Letter]) -> None:
        halts.append(bench.count("halted"))
        write(letters)

    bench.letters.write = watched  # type: ignore[method-assign]  # to look at each try
    assert bench.settle(2)
    assert halts == [0, 1, 1, 1]
    assert bench.count("halted") == 0
    assert bench.letters.reasons == {body(0): "bad"}
    assert "cannot write dead letters" in bench.meter.snapshot()[1]["last_error", (OUT,)]


def test_slowing_down_and_diverted_records() -> None:
    bench = Bench(ScriptedSink([Reply(slow=True, after=50.0, diverted=2)]))
    assert bench.settle(3)
    assert bench.count("diverted_records") == 2
    assert 49 < bench.gate.wait <= 50
    assert bench.count("delivered_records") == 3


def test_pauses_follow_the_reply() -> None:
    sink = ScriptedSink([whole(1, Next.RETRY, "busy", after=3600)])
    bench = Bench(sink)
    send = sink.send

    def then_stop(items: Sequence[Item]) -> Reply:
        reply = send(items)
        bench.gate.stop()
        return reply

    sink.send = then_stop  # type: ignore[method-assign]  # stop while it waits
    assert not bench.settle(1)
    assert 3590 < bench.gate.wait <= 3600


def test_a_rewound_batch_is_given_up() -> None:
    bench = Bench(ScriptedSink())
    made = batch(3)
    made.forgotten = True
    assert not bench.delivery.settle(made)
    assert bench.sink.sent == []


def test_bad_positions_of_a_reply_do_not_send_twice_or_lose() -> None:
    bench = Bench(ScriptedSink([Reply([2, 2, 0], Next.RETRY, {0: "no"})]))
    assert bench.settle(3)
    assert bench.sink.sent == [bodies(0, 1, 2), bodies(2)]
    assert bench.letters.reasons == {body(0): "no"}


FAULTS = st.lists(
    st.tuples(st.sampled_from(["retry", "halt", "again", "lie", "raise", "some"]), st.integers()),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)), FAULTS)
def test_any_script_of_replies_takes_each_good_record_as_often_as_it_must(
    count: int, bad: set[int], large: set[int], faults: list[tuple[str, int]]
) -> None:
    lies = {body(at): 0 for at in range(count)}
    taken = {body(at): 0 for at in range(count)}

    def answer(items: Sequence[Item]) -> Reply:
        names = [int(item.body) for item in items]
        kind, number = faults.pop() if faults else ("", 0)
        if kind == "raise":
            raise RuntimeError("bug")
        if kind in ("retry", "halt"):
            return whole(len(items), Next(kind), kind)
        if kind == "lie":  # taken, but the answer got lost
            for item in items:
                taken[item.body] += 1
                lies[item.body] += 1
            return whole(len(items), Next.RETRY, "reset")
        if large & set(names):
            return whole(len(items), Next.SPLIT, "large")
        left = list(range(len(items)))
        if kind == "again":
            left = left[number % (len(items) + 1) :]
        elif kind == "some":
            left = [at for at in left if (number >> at) & 1]
        else:
            left = []
        rejected = {at: "bad" for at, name in enumerate(names) if name in bad and at not in left}
        for at, item in enumerate(items):
            if at not in rejected and at not in left:
                taken[item.body] += 1
        return Reply(left, Next.AGAIN if kind == "again" else Next.RETRY, rejected)

    bench = Bench(ScriptedSink(then=answer))
    assert bench.settle(count)
    good = set(range(count)) - bad - large
    buried = [int(letter.record.raw) for letter in bench.letters.letters]
    assert sorted(buried) == sorted(set(range(count)) - good)
    for at in range(count):
        assert taken[body(at)] == lies[body(at)] + (at in good)
    assert bench.count("delivered_records") == len(good)
    assert bench.count("dead_letters") == count - len(good)


def test_a_name_that_would_leave_the_directory_is_refused(tmp_path: Path) -> None:
    for name in ("../x", "a/b", "", ".", "..", "-x", "a" * 65, "a\n"):
        with pytest.raises(ValueError, match="output's name"):
            DeadLetters(tmp_path, name, lambda: 0.0)
