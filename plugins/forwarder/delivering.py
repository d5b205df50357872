"""The part of a delivering process: one output's pump."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import opening
from datto_siem.plugins.forwarder.pump import Pump

if TYPE_CHECKING:
    from datto_siem.plugins.forwarder.configuration import Configuration, Output
    from datto_siem.plugins.meter import Meter

_GRACE = 10.0


class Delivering:
    """Delivers one output's records until stopped.

    Args:
        found: The configuration.
        output: The output.
        meter: Counts.
    """

    def __init__(self, found: Configuration, output: Output, meter: Meter) -> None:
        """Open the log and the sink; nothing is read yet."""
        self._sink = opening.open_sink(found, output)
        self._log = opening.open_log(found)
        self._reader = self._log.reader(output.name, at_end=output.common.start == "now")
        self._letters = opening.open_dead_letters(found, output)
        self._pump = Pump(
            output.name,
            self._reader,
            self._sink,
            self._letters,
            meter,
            opening.pace(output, _GRACE),
            opening.noise(found, output),
        )

    def run(self) -> None:
        """See `Part.run`."""
        # tables and compiled plans live as long as the process: the collector need not look at
        # them, nor at records that reference counting frees
        gc.freeze()
        gc.set_threshold(50_000)
        try:
            self._pump.run()
        finally:
            self._sink.close()
            self._reader.close()
            self._log.close()

    def stop(self, grace: float) -> None:
        """See `Part.stop`."""
        self._pump.stop(grace)

    def reload(self) -> None:
        """See `Part.reload`: the supervisor starts a new process instead."""
