"""The sender threads and the queue before them."""

from __future__ import annotations

import threading

from datto_siem.plugins.forwarder.batches import Batch
from datto_siem.plugins.forwarder.senders import Senders

LONG = 30.0


def batch(first: int, held: int = 1) -> Batch:
    made = Batch(first, 0.0, 0)
    made.held = held
    return made


def test_what_could_not_be_settled_at_the_end_is_not_overtaken() -> None:
    seen: list[int] = []

    def settle(one: Batch) -> bool:
        seen.append(one.first)
        return one.first != 2

    senders = Senders(settle, "out", 1, 100)
    senders.start()
    senders.finish([batch(1), batch(2), batch(3)], LONG)
    assert seen == [1, 2]
    assert [one.first for one in senders.settled()] == [1]


def test_a_rewound_batch_does_not_end_its_thread() -> None:
    def settle(one: Batch) -> bool:
        return not one.forgotten

    senders = Senders(settle, "out", 1, 100)
    gone = batch(1)
    gone.forgotten = True
    senders.start()
    senders.finish([gone, batch(2)], LONG)
    assert [one.first for one in senders.settled()] == [2]


def test_one_batch_always_fits_and_more_only_within_the_memory() -> None:
    let_go = threading.Event()

    def settle(one: Batch) -> bool:
        return let_go.wait(LONG)

    senders = Senders(settle, "out", 4, 100)
    senders.start()
    assert senders.offer(batch(1, 1000), 0)
    assert not senders.offer(batch(2, 1), 0)
    let_go.set()
    while not senders.offer(batch(2, 60), 0.05):
        assert threading.active_count() > 1
    senders.finish([], LONG)
    assert [one.first for one in senders.settled()] == [1, 2]


def test_what_is_queued_can_be_forgotten() -> None:
    inside, let_go = threading.Event(), threading.Event()

    def settle(one: Batch) -> bool:
        inside.set()
        return let_go.wait(LONG)

    senders = Senders(settle, "out", 1, 100)
    senders.start()
    assert senders.offer(batch(1, 50), 0)
    assert inside.wait(LONG)
    assert senders.offer(batch(2, 40), 0)
    assert not senders.offer(batch(3, 40), 0)
    senders.forget()
    assert senders.offer(batch(4, 40), 0)
    let_go.set()
    senders.finish([], LONG)
    assert [one.first for one in senders.settled()] == [1, 4]


def test_a_fault_is_kept_for_the_pump() -> None:
    def settle(one: Batch) -> bool:
        raise ZeroDivisionError

    senders = Senders(settle, "out", 1, 100)
    senders.start()
    senders.finish([batch(1)], LONG)
    assert isinstance(senders.fault, ZeroDivisionError)
    assert senders.settled() == []
