"""Counters of one process."""

from __future__ import annotations

import threading

import pytest

from datto_siem.plugins.meter import METRICS, Meter


def test_counts_by_labels() -> None:
    meter = Meter()
    meter.add("received_records", 3, listener="a")
    meter.add("received_records", listener="a")
    meter.add("received_records", 5, listener="b")
    meter.set("log_bytes", 7)
    assert meter.get("received_records", listener="a") == 4
    assert meter.get("received_records", listener="b") == 5
    assert meter.get("received_records", listener="c") == 0
    values, _ = meter.snapshot()
    assert values["log_bytes", ()] == 7


def test_a_name_or_label_that_is_not_declared_is_a_fault_of_ours() -> None:
    meter = Meter()
    with pytest.raises(KeyError):
        meter.add("no_such")
    with pytest.raises(KeyError):
        meter.add("received_records", output="x")


def test_threads_do_not_lose_counts() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(2000):
            meter.add("log_commits")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.get("log_commits") == 8000


def test_every_metric_is_explained() -> None:
    for name, metric in METRICS.items():
        assert metric.kind in ("counter", "gauge"), name
        assert metric.help, name
