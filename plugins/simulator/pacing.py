"""When to send how many: a steady rate by short sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 512
SHORTEST = 0.001  # seconds; one batch for each at high rates
PATIENCE = 1.0  # seconds of lag that are made up for; a longer stall is not


def batches(
    rate: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[int]:
    """How many to send now, again and again; sleeps in between.

    Args:
        rate: A second; None: as fast as possible.
        clock: Tells seconds.
        sleep: Waits that many.
    """
    if rate is None:
        while True:
            yield BATCH
    begun, sent = clock(), 0
    while True:
        due = int((clock() - begun) * rate) + 1 - sent
        if due <= 0:
            sleep(max(SHORTEST, begun + sent / rate - clock()))
            continue
        if due > rate * PATIENCE + BATCH:
            begun = clock() - sent / rate  # stalled: go on from here
            due = 1
        now = min(due, BATCH)
        yield now
        sent += now
