"""When a batch closes, and what may be committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datto_siem.plugins.forwarder.batches import Batch, Batches, Limits, capped
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import Batching, Item


def record(offset: int, received: int = 0, raw: bytes = b"x") -> Record:
    return Record(raw, received, "", offset)


def offsets(batches: list[Batch]) -> list[list[int]]:
    return [[each.offset for each in batch.records] for batch in batches]


def test_a_batch_closes_before_the_item_that_would_break_its_count() -> None:
    batches = Batches(Batching(count=3, nbytes=10**6, age=1))
    closed = [b for at in range(7) for b in batches.add(record(at), Item(b"x"), 0)]
    assert offsets(closed) == [[0, 1, 2], [3, 4, 5]]


def test_bytes_count_the_framing() -> None:
    batches = Batches(Batching(count=100, nbytes=50, age=1, each=2, fixed=6))
    closed = [b for at in range(9) for b in batches.add(record(at), Item(b"x" * 9), 0)]
    assert offsets(closed) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [batch.nbytes for batch in closed] == [50, 50]


def test_an_item_above_the_limit_goes_alone() -> None:
    batches = Batches(Batching(count=100, nbytes=50, age=1))
    closed = []
    for at, size in enumerate((10, 500, 10)):
        closed += batches.add(record(at), Item(b"x" * size), 0)
    assert offsets(closed + batches.close_all()) == [[0], [1], [2]]


def test_items_of_a_batch_share_their_key() -> None:
    batches = Batches(Batching(count=2, nbytes=10**6, age=1))
    closed = []
    for at, key in enumerate("abaab"):
        closed += batches.add(record(at), Item(b"x", key), 0)
    assert offsets(closed) == [[0, 2]]
    assert offsets(batches.close_all()) == [[1, 4], [3]]


def test_age_counts_from_a_batchs_first_item() -> None:
    batches = Batches(Batching(count=100, nbytes=10**6, age=5))
    batches.add(record(1), Item(b"x", "a"), 100)
    batches.add(record(2), Item(b"x", "b"), 103)
    batches.add(record(3), Item(b"x", "a"), 104)
    assert batches.due(104, 0) == 1
    assert batches.aged(104.9, 0) == []
    assert offsets(batches.aged(105, 0)) == [[1, 3]]
    assert batches.due(105, 0) == 3
    assert offsets(batches.aged(108, 0)) == [[2]]
    assert batches.due(108, 0) is None


def test_the_watermark_is_the_first_offset_not_settled() -> None:
    batches = Batches(Batching(count=1, nbytes=10**6, age=5))
    closed = [b for at in (10, 12, 15, 20) for b in batches.add(record(at), Item(b"x"), 0)]
    assert batches.watermark(21) == 10
    batches.settled(closed[1])
    assert batches.watermark(21) == 10
    batches.settled(closed[0])
    assert batches.watermark(21) == 15
    batches.settled(closed[2])
    (last,) = batches.close_all()
    assert batches.watermark(21) == 20
    batches.settled(last)
    assert batches.watermark(21) == 21
    assert batches.watermark(5) == 5


def test_what_is_forgotten_holds_nothing_back_and_knows_it() -> None:
    batches = Batches(Batching(count=1, nbytes=10**6, age=5))
    closed = [b for at in (1, 2) for b in batches.add(record(at), Item(b"x"), 0)]
    batches.forget()
    assert closed[0].forgotten
    assert batches.close_all() == []
    assert batches.watermark(40) == 40


def test_the_configuration_can_only_make_requests_smaller() -> None:
    proposed = Batching(count=500, nbytes=1000, age=1, each=1, fixed=2, window=60)
    assert capped(proposed, Limits()) == proposed
    small = capped(proposed, Limits(count=10, nbytes=100, age=7))
    assert (small.count, small.nbytes, small.age, small.window) == (10, 100, 7, 60)
    large = capped(proposed, Limits(count=9999, nbytes=9999))
    assert (large.count, large.nbytes) == (500, 1000)


def test_the_oldest_batch_closes_first_when_memory_is_short() -> None:
    batches = Batches(Batching(count=100, nbytes=10**6, age=5))
    for at, key in enumerate("bac"):
        batches.add(record(at, raw=b"r" * 100), Item(b"x" * 50, key), 0)
    held = batches.held
    assert held > 3 * 150
    assert offsets(batches.close_oldest()) == [[0]]
    assert batches.held < held


WINDOWED = Batching(count=5, nbytes=40, age=2, each=1, fixed=4, window=10)


def windowed(records: list[tuple[Record, Item]], read_at: list[float]) -> list[list[int]]:
    """The batches of a log, with the pump looking for aged ones after every record."""
    batches = Batches(WINDOWED)
    closed = []
    for (each, item), now in zip(records, read_at, strict=True):
        closed += batches.add(each, item, now)
        closed += batches.aged(now, each.received / 1000)  # late by nothing: no window is over
    return offsets(closed)


LOG = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from("ab"), st.integers(1, 20)), min_size=1
)


@given(LOG, st.data())
def test_windows_give_the_same_batches_whenever_they_are_read(
    log: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    received, records = 0, []
    for offset, (step, key, size) in enumerate(log):
        received += step
        records.append((record(offset, received), Item(b"x" * size, key)))
    times = st.lists(st.floats(0, 1e6), min_size=len(log), max_size=len(log))
    first = windowed(records, data.draw(times))
    assert windowed(records, data.draw(times)) == first
    for batch in first:
        assert len({records[at][0].received // 10_000 for at in batch}) == 1
        assert len(batch) <= WINDOWED.count


@given(LOG, st.integers(0, 100))
def test_windows_give_the_same_batches_after_a_restart_at_the_watermark(
    log: list[tuple[int, str, int]], settled: int
) -> None:
    received, records = 0, []
    for offset, (step, key, size) in enumerate(log):
        received += step
        records.append((record(offset, received), Item(b"x" * size, key)))
    batches = Batches(WINDOWED)
    closed = [b for each, item in records for b in batches.add(each, item, 0)]
    for batch in closed[: settled % (len(closed) + 1)]:
        batches.settled(batch)
    start = batches.watermark(len(records))
    again = windowed(records[start:], [0.0] * (len(records) - start))
    assert again == [batch for batch in offsets(closed) if batch[0] >= start]


def test_a_window_closes_by_the_clock_when_it_is_over_and_nothing_follows() -> None:
    batches = Batches(WINDOWED)
    batches.add(record(1, 12_000), Item(b"x", "a"), 0)
    batches.add(record(2, 13_000), Item(b"x", "b"), 0)
    assert batches.aged(10**9, 21.9) == []
    assert batches.due(0, 21.5) == 0.5
    assert batches.watermark(3) == 1
    assert offsets(batches.aged(0, 22)) == [[1], [2]]


def test_a_window_that_is_not_over_is_left_in_the_log_at_the_end() -> None:
    batches = Batches(WINDOWED)
    batches.add(record(1, 12_000), Item(b"x"), 0)
    assert batches.close_rest() == []
    assert batches.watermark(2) == 1
    plain = Batches(Batching(count=5, nbytes=100, age=1))
    plain.add(record(1), Item(b"x"), 0)
    assert offsets(plain.close_rest()) == [[1]]
