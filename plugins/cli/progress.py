"""A progress bar on a terminal, for input that takes a while."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tqdm import tqdm

    from datto_siem.plugins.archives import Source

LARGE = 8 << 20
PATIENCE = 2.0  # seconds


class Progress:
    """Bytes of files whose sizes are known, else records.

    It shows itself only when standard error is a terminal and standard output is not (a bar would
    run through the data), at once for more than 8 MiB, else after two seconds.

    Args:
        inputs: What is read; none when records are made.
        quiet: Show nothing.
        records: How many will be made, when that is known.
        data: Whether data goes to standard output.
    """

    def __init__(
        self,
        inputs: Sequence[Source],
        quiet: bool,
        records: int | None = None,
        data: bool = True,
    ) -> None:
        """Show nothing yet."""
        self._inputs = inputs
        sizes = [each.size for each in inputs if each.size is not None]
        self._bytes = bool(inputs) and len(sizes) == len(inputs)
        total = sum(sizes) if self._bytes else records
        self._bar: tqdm[NoReturn] | None = None
        if not quiet and _terminal(data):
            from tqdm import tqdm  # only here: it takes a tenth of a short command's time

            tqdm.monitor_interval = 0  # no thread beside ours
            self._bar = tqdm(
                total=total,
                unit="B" if self._bytes else " records",
                unit_scale=True,
                unit_divisor=1024 if self._bytes else 1000,
                delay=0 if self._bytes and total is not None and total > LARGE else PATIENCE,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
            )

    def update(self, records: int) -> None:
        """Tell of records that are done."""
        if self._bar is None:
            return
        done = sum(each.consumed for each in self._inputs) if self._bytes else self._bar.n + records
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _terminal(data: bool) -> bool:
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    return not data or sys.stdout is None or not sys.stdout.isatty()
