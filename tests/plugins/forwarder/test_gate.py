"""How long an output waits, and who tries first."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from datto_siem.plugins.forwarder.gate import Gate, Patience, shown
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.sink import Next


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def gate(jitter: float = 1.0, clock: Clock | None = None) -> tuple[Gate, Clock, Meter]:
    clock = clock or Clock()
    meter = Meter()
    return Gate("out", meter, Patience(), clock, lambda: jitter), clock, meter


def text(meter: Meter, name: str) -> str:
    return meter.snapshot()[1][name, ("out",)]


def test_pauses_double_up_to_a_minute_with_full_jitter() -> None:
    patience = Patience()
    assert [patience.pause(Next.RETRY, n, 1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert patience.pause(Next.RETRY, 5, 0.25) == 4
    assert patience.pause(Next.RETRY, 10**6, 1.0) == 60


def test_a_halted_output_is_probed_after_one_minute_then_up_to_five() -> None:
    assert [Patience().pause(Next.HALT, n, 0.0) for n in range(1, 6)] == [60, 120, 240, 300, 300]


def test_failures_in_a_row_grow_the_pause_and_success_resets_it() -> None:
    one, clock, _ = gate()
    waits = []
    for _ in range(3):
        one.failed(Next.RETRY, "away")
        waits.append(one.wait)
        clock.now += one.wait
        assert one.enter()
    assert waits == [1, 2, 4]
    one.succeeded()
    assert one.state is None
    one.failed(Next.RETRY, "away")
    assert one.wait == 1


def test_the_destination_may_ask_for_a_longer_pause_but_not_for_a_shorter_one() -> None:
    one, clock, _ = gate()
    one.failed(Next.RETRY, "busy", after=17)
    assert one.wait == 17
    clock.now += 17
    assert one.enter()
    one.failed(Next.RETRY, "busy", after=0.5)
    assert one.wait == 2


def test_requests_under_way_when_it_broke_count_as_one_outage() -> None:
    one, clock, _ = gate()
    for _ in range(5):
        one.failed(Next.RETRY, "away")
    assert one.wait == 1
    clock.now += 1
    assert one.enter()
    one.failed(Next.RETRY, "away")
    assert one.wait == 2


def test_progress_lets_pauses_begin_small_again_without_opening() -> None:
    one, clock, _ = gate()
    for _ in range(4):
        one.failed(Next.RETRY, "away")
        clock.now += one.wait
        assert one.enter()
    one.failed(Next.RETRY, "busy", moved=True)
    assert one.wait == 1
    assert one.state is Next.RETRY


def test_halt_shows_and_each_change_of_state_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, clock, meter = gate()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            one.failed(Next.HALT, "token \x1b[31mdisabled")
            clock.now += one.wait
            assert one.enter()
        assert meter.get("halted", output="out") == 1
        assert text(meter, "state") == "halted"
        assert text(meter, "last_error") == "token \\x1b[31mdisabled"
        one.succeeded()
        one.succeeded()
    assert meter.get("halted", output="out") == 0
    assert text(meter, "state") == "delivering"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "\x1b" not in caplog.text


def test_a_halt_outweighs_a_retry_of_a_request_under_way() -> None:
    one, _, meter = gate()
    one.failed(Next.RETRY, "away")
    one.failed(Next.HALT, "token")
    one.failed(Next.RETRY, "away")
    assert one.state is Next.HALT
    assert one.wait == 60
    assert meter.get("halted", output="out") == 1


def test_asking_to_slow_down_delays_the_next_but_is_no_failure() -> None:
    one, clock, meter = gate()
    one.slow(None)
    assert one.wait == 1
    assert one.state is None
    one.slow(5)
    assert one.wait == 5
    clock.now += 5
    assert one.enter()
    assert text(meter, "state") == "delivering"


def test_one_thread_probes_and_the_others_wait_for_what_it_finds() -> None:
    one = Gate("out", Meter(), Patience(first=0.0), time.monotonic, lambda: 0.0)
    one.failed(Next.RETRY, "away")
    entered: list[int] = []
    asked = threading.Barrier(5)

    def enter(me: int) -> None:
        asked.wait()
        if one.enter():
            entered.append(me)

    threads = [threading.Thread(target=enter, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    asked.wait()
    while not entered:
        time.sleep(0.001)
    assert len(entered) == 1
    one.succeeded()
    for thread in threads:
        thread.join(10)
    assert sorted(entered) == [0, 1, 2, 3]


def test_a_probe_that_sends_nothing_lets_another_probe() -> None:
    one = Gate("out", Meter(), Patience(first=0.0), time.monotonic, lambda: 0.0)
    one.failed(Next.RETRY, "away")
    assert one.enter()
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(one.enter()))
    other.start()
    one.leave()
    other.join(10)
    assert found == [True]


@pytest.mark.parametrize("then", [Next.RETRY, Next.HALT])
def test_stop_frees_those_who_wait(then: Next) -> None:
    one = Gate("out", Meter(), Patience(first=3600, most=3600), time.monotonic, lambda: 1.0)
    one.failed(then, "away")
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(one.enter()))
    waiting.start()
    one.stop()
    waiting.join(10)
    assert found == [False]
    assert not one.enter()


def test_after_stop_an_open_gate_still_lets_through() -> None:
    one, _, _ = gate()
    one.stop()
    assert one.enter()


def test_reasons_are_short_and_printable() -> None:
    assert shown("a\r\n\x9b\u202eb" + "x" * 1000)[:22] == "a\\r\\n\\x9b\\u202eb" + "x" * 6
    assert len(shown("é" * 1000)) == 500
