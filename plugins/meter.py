"""Counters and gauges of one process; the supervisor adds up those of all processes.

Names, kinds and help texts stand once, in `METRICS`. Prometheus text, the status view and the
documentation read that table.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

COUNTER = "counter"
GAUGE = "gauge"


class Metric(NamedTuple):
    """One metric: its kind, labels and meaning."""

    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: dict[str, Metric] = {
    "received_records": Metric(COUNTER, ("listener",), "Records received"),
    "received_bytes": Metric(COUNTER, ("listener",), "Bytes of records received"),
    "refused_records": Metric(
        COUNTER, ("listener", "reason"), "Records or connections refused (network, rate, cap)"
    ),
    "framing_errors": Metric(COUNTER, ("listener",), "Broken frames on stream connections"),
    "truncated_records": Metric(COUNTER, ("listener",), "Datagrams or frames above the size cap"),
    "kernel_drops": Metric(COUNTER, ("listener",), "Datagrams the kernel dropped"),
    "connections": Metric(GAUGE, ("listener",), "Open stream connections"),
    "durable_records": Metric(COUNTER, (), "Records made durable in the log"),
    "lost_records": Metric(
        COUNTER,
        ("reason",),
        "Records lost: full log, log away, age, damaged log; each is also logged",
    ),
    "log_commits": Metric(COUNTER, (), "Group commits of the log"),
    "log_bytes": Metric(GAUGE, (), "Bytes the log takes on disk"),
    "log_records": Metric(GAUGE, (), "Records in the log, delivered ones kept for replay included"),
    "converted_records": Metric(COUNTER, ("output",), "Records converted for an output"),
    "dropped_records": Metric(
        COUNTER, ("output", "reason"), "Records left out by configuration (drop, sample, skipped)"
    ),
    "delivered_records": Metric(COUNTER, ("output",), "Records the destination took"),
    "delivered_bytes": Metric(COUNTER, ("output",), "Bytes of items the destination took"),
    "diverted_records": Metric(COUNTER, ("output",), "Records it took and put aside"),
    "retried_records": Metric(COUNTER, ("output",), "Records sent again"),
    "dead_letters": Metric(COUNTER, ("output",), "Records the destination will never take"),
    "requests": Metric(COUNTER, ("output", "result"), "Requests by what became of them"),
    "lag_records": Metric(GAUGE, ("output",), "Records between the log's end and the offset"),
    "lag_seconds": Metric(GAUGE, ("output",), "Age of the oldest undelivered record"),
    "halted": Metric(GAUGE, ("output",), "1 while the output waits for somebody to mend it"),
    "last_delivery": Metric(GAUGE, ("output",), "Epoch seconds of the last delivery"),
}

Key = tuple[str, tuple[str, ...]]


class Meter:
    """Counts; cheap enough for each batch, not meant for each record. Safe between threads."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._values: dict[Key, float] = {}
        self._texts: dict[Key, str] = {}
        self._lock = threading.Lock()

    def add(self, name: str, count: float = 1, **labels: str) -> None:
        """Add to a counter."""
        key = _key(name, labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0) + count

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        key = _key(name, labels)
        with self._lock:
            self._values[key] = value

    def get(self, name: str, **labels: str) -> float:
        """What stands there; 0 when nothing was counted."""
        return self._values.get(_key(name, labels), 0)

    def say(self, name: str, text: str, **labels: str) -> None:
        """Keep a text for the status view, such as an output's last error."""
        with self._lock:
            self._texts[name, tuple(labels.values())] = text

    def snapshot(self) -> tuple[dict[Key, float], dict[Key, str]]:
        """Copies of all values and texts."""
        with self._lock:
            return dict(self._values), dict(self._texts)


def _key(name: str, labels: dict[str, str]) -> Key:
    wanted = METRICS[name].labels
    return name, tuple([labels[label] for label in wanted])
