"""Signals that end a run: both as an exception, so that temporary files are taken away."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from datto_siem.plugins.failure import INTERRUPTED, TERMINATED, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as an interrupt does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held() -> Iterator[None]:
    """Hold interrupts back; processes and threads started inside never get any."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def failure(error: KeyboardInterrupt, remedy: str) -> Failure:
    """The message and exit code for an interrupt."""
    if isinstance(error, Terminated):
        return Failure("terminated", remedy, TERMINATED)
    return Failure("interrupted", remedy, INTERRUPTED)
