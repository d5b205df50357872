"""Records from standard input, until it ends.

The supervisor leaves its own standard input to the process of this listener.
"""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.plugins.framing import Framing, Mode
from datto_siem.plugins.options import Size, option
from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Intake

USAGE = """\
Records from standard input: `journalctl -f -o cat | datto-siem forward --config ...`.

The listener ends with its input. There is one standard input, so use this once.
"""

EXAMPLE = """\
[[listen]]
type = "stdin"
"""

_PIECE = 256 * 1024
_WAIT = 1.0


@dataclass(frozen=True)
class Config:
    """Options of standard input."""

    framing: Mode = option("How records are framed; lf: one a line", "lf")
    max_record: Size = option("Longer records are cut and counted", Size(64 * 1024))

    def __post_init__(self) -> None:
        """Check what the schema cannot."""
        if self.max_record < 480:
            raise ValueError("max_record: every syslog receiver must take 480 bytes: raise it")


def open_listener(config: Config, intake: Intake, meter: Meter, name: str) -> Stdin:
    """Open standard input.

    Args:
        config: Its options.
        intake: Where records go.
        meter: Where they are counted.
        name: The listener's label there.

    Raises:
        OSError: Standard input is closed.
    """
    return Stdin(os.dup(0), config, intake, meter, name)


class Stdin:
    """A file descriptor that is read to its end."""

    def __init__(
        self, source: int, config: Config, intake: Intake, meter: Meter, name: str
    ) -> None:
        """Take over a file descriptor."""
        self.address = "stdin:"
        self._source = source
        self._framing = Framing(config.framing, config.max_record)
        self._intake, self._meter, self._name = intake, meter, name
        self._stopping = False
        self._running = False
        self._ended = False
        self._begin = threading.Lock()  # a stop may come before or while `run` begins
        self._woken, self._wake = os.pipe()

    def run(self) -> None:
        """Read until the input ends or `stop`."""
        with self._begin:
            if self._stopping:
                return
            self._running = True
        try:
            self._loop()
            self._put(self._framing.end())
        finally:
            with self._begin:
                self._ended = True
                self._close()

    def stop(self) -> None:
        """Stop reading; what was read is put, a record that has not ended included."""
        with self._begin:
            stopped, self._stopping = self._stopping, True
            if self._running and not self._ended:
                os.write(self._wake, b"\0")
            elif not stopped and not self._ended:
                self._close()

    def reload(self) -> None:
        """Nothing of this listener stands in files of its own."""

    def _loop(self) -> None:
        waiting = select.poll()
        waiting.register(self._source, select.POLLIN)
        waiting.register(self._woken, select.POLLIN)
        while not self._stopping:
            if self._intake.pressed():
                self._intake.relieved(_WAIT)
                continue
            ready = dict(waiting.poll())
            if self._source not in ready:
                continue
            piece = os.read(self._source, _PIECE)
            if not piece:
                break
            self._put(self._framing.feed(piece))

    def _put(self, records: list[bytes]) -> None:
        framing = self._framing
        for metric, count in (
            ("framing_errors", framing.errors),
            ("truncated_records", framing.cut),
            ("received_records", len(records)),
            ("received_bytes", sum(map(len, records))),
        ):
            if count:
                self._meter.add(metric, count, listener=self._name)
        framing.errors = framing.cut = 0
        if records:
            received = time.time_ns() // 1_000_000
            self._intake.put([Arrival(raw, received, "") for raw in records])

    def _close(self) -> None:
        for each in (self._source, self._woken, self._wake):
            os.close(each)
