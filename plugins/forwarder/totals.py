"""Counts of all processes added up, a restarted process's on top of what it counted before."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.meter import COUNTER, METRICS

if TYPE_CHECKING:
    from datto_siem.plugins.meter import Key


class Totals:
    """Adds up snapshots of processes. Safe between threads."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._ended: dict[Key, float] = {}
        self._running: dict[str, dict[Key, float]] = {}
        self._texts: dict[Key, str] = {}
        self._lock = threading.Lock()

    def take(self, process: str, told: dict[str, Any]) -> None:
        """Take a process's snapshot; it replaces the one before."""
        values = {(name, tuple(labels)): value for name, labels, value in told["values"]}
        texts = {(name, tuple(labels)): text for name, labels, text in told["texts"]}
        with self._lock:
            self._running[process] = values
            self._texts |= texts

    def ended(self, process: str) -> None:
        """A process ended: its counters stay, its gauges go."""
        with self._lock:
            for key, value in self._running.pop(process, {}).items():
                if METRICS[key[0]].kind == COUNTER:
                    self._ended[key] = self._ended.get(key, 0) + value

    def values(self) -> dict[Key, float]:
        """All metrics."""
        with self._lock:
            found = dict(self._ended)
            for values in self._running.values():
                for key, value in values.items():
                    found[key] = found.get(key, 0) + value
            return found

    def texts(self) -> dict[Key, str]:
        """All texts."""
        with self._lock:
            return dict(self._texts)
