"""Lanes: each in order by itself, committed by itself, gone without the others."""

from __future__ import annotations

from datto_siem.plugins.forwarder.lanes import Lanes
from datto_siem.plugins.forwarder.log import LANE, lane_of
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import Batching, Item

TWO = 2 << LANE


def lanes(window: float | None = None, count: int = 10) -> Lanes:
    return Lanes(Batching(count=count, nbytes=10_000, age=1.0, window=window))


def add(given: Lanes, offset: int, key: str = "", received: int = 0) -> list[int]:
    """Add a record; the first offsets of batches that closed."""
    lane = given.at(offset)
    record = Record(b"x", received, "", offset)
    closed = lane.batches.add(record, Item(b"x", key), 0.0)
    lane.reached = offset + 1
    return [batch.first for batch in closed]


def test_the_number_of_a_lane_stands_in_the_offset() -> None:
    assert [lane_of(offset) for offset in (0, TWO - 1, TWO, TWO + 5)] == [0, 1, 2, 2]


def test_batches_of_two_lanes_do_not_mix_and_hold_each_other_back_in_nothing() -> None:
    both = lanes()
    add(both, 7)
    add(both, TWO)
    add(both, TWO + 1)
    first, second = both.close_rest()
    assert [record.offset for record in first.records] == [7]
    assert [record.offset for record in second.records] == [TWO, TWO + 1]
    both.at(7).committed, both.at(TWO).committed = 7, TWO
    assert [lane.mark for lane in both] == [None, None]
    both.settled(second)
    assert [lane.mark for lane in both] == [None, TWO + 2]
    both.settled(first)
    assert [lane.mark for lane in both] == [8, TWO + 2]


def test_a_lane_that_leaves_soon_is_closed_and_the_other_waits_on() -> None:
    both = lanes()
    add(both, 7)
    add(both, TWO)
    assert [batch.first for batch in both.leave(TWO)] == [TWO]
    assert [batch.first for batch in both.close_rest()] == [7]


def test_a_window_of_a_lane_that_leaves_is_left_to_the_next() -> None:
    windows = lanes(window=300.0)
    add(windows, TWO)
    assert windows.leave(TWO) == []


def test_a_lane_that_is_gone_is_forgotten_whatever_becomes_of_its_batches() -> None:
    both = lanes()
    add(both, 7)
    add(both, TWO)
    kept, gone = both.close_rest()
    both.forget(TWO)
    assert (kept.forgotten, gone.forgotten) == (False, True)
    add(both, TWO)  # it comes back, from where its group was
    both.settled(gone)
    assert both.at(TWO).batches.watermark(TWO + 1) == TWO
    both.forget()
    assert kept.forgotten
    assert list(both) == []


def test_what_is_due_and_what_is_held_is_that_of_all_lanes() -> None:
    both = lanes()
    assert both.due(0.0, 0.0) is None
    add(both, 7)
    add(both, TWO)
    add(both, TWO + 1)
    assert both.due(0.5, 0.0) == 0.5
    assert both.held == sum(lane.batches.held for lane in both) > 0
    assert [batch.first for batch in both.close_oldest()] == [TWO]  # its lane holds most
    assert [batch.first for batch in both.aged(1.0, 0.0)] == [7]
    assert both.close_oldest() == []
