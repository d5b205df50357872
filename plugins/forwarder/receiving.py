"""The part of a receiving process: listeners, one intake each, one writer of the log."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.intake import Intake
from datto_siem.plugins.forwarder.opening import open_log
from datto_siem.plugins.registry import plugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datto_siem.plugins.forwarder.configuration import Configuration, Listen
    from datto_siem.plugins.forwarder.log import Writer
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Listener

_LOG = logging.getLogger(__name__)


class Receiving:
    """Runs listeners until stopped, or until all sources have ended.

    Args:
        found: The configuration.
        names: The listeners of this process.
        meter: Counts.
    """

    def __init__(self, found: Configuration, names: Sequence[str], meter: Meter) -> None:
        """Open all of them: a port that is taken is known before anything is received."""
        self._log = open_log(found)
        self._intakes: list[tuple[Intake, Writer]] = []
        self._listeners: list[tuple[str, Listener]] = []
        for listen in found.listeners:
            if listen.name in names:
                self._open(found, listen, meter)
        self._failed = False

    def _open(self, found: Configuration, listen: Listen, meter: Meter) -> None:
        policy = listen.common.policy or found.log.policy
        if policy == "block" and listen.common.type == "udp":
            policy = "refuse-newest"  # nothing makes a sender of datagrams wait
        writer = self._log.writer(policy)
        intake = Intake(writer, meter, policy=policy, interval=found.log.commit_interval)
        self._intakes.append((intake, writer))
        module = plugin("sources", listen.common.type)
        listener: Listener = module.open_listener(listen.config, intake, meter, listen.name)
        _LOG.info("listening on %s", listener.address)
        self._listeners.append((listen.name, listener))

    def run(self) -> None:
        """See `Part.run`.

        Raises:
            RuntimeError: A listener failed; the others were stopped in order.
        """
        threads = [
            threading.Thread(target=self._listen, args=pair, name=pair[0])
            for pair in self._listeners
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for intake, writer in self._intakes:
            intake.close()
            writer.close()
        self._log.close()
        if self._failed:
            raise RuntimeError("a listener failed")

    def stop(self, grace: float) -> None:
        """See `Part.stop`; what was received is made durable however long that takes."""
        for _, listener in self._listeners:
            listener.stop()

    def reload(self) -> None:
        """See `Part.reload`."""
        for _, listener in self._listeners:
            listener.reload()

    def _listen(self, name: str, listener: Listener) -> None:
        try:
            listener.run()
        except Exception:
            _LOG.exception("listener %s failed", name)
            self._failed = True
            self.stop(0.0)
