"""The supervisor: starts the parts as processes, keeps them running, ends them in order.

Receivers end first, so that all that was received is durable; then outputs get the grace to
deliver what waits. What they do not deliver stays in the log for the next start.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from datto_siem.converters import TableErrors
from datto_siem.plugins.forwarder import configuration, opening, readiness
from datto_siem.plugins.forwarder.admin import Admin
from datto_siem.plugins.forwarder.configuration import ConfigurationFaults
from datto_siem.plugins.forwarder.process import Process
from datto_siem.plugins.forwarder.totals import Totals
from datto_siem.plugins.meter import Meter

if TYPE_CHECKING:
    from types import FrameType

    from datto_siem.plugins.forwarder.configuration import Configuration
    from datto_siem.plugins.forwarder.log import Reader
    from datto_siem.plugins.forwarder.opening import Role

_LOG = logging.getLogger(__name__)
_TURN = 0.1
_SWEEP = 5.0
_STALLED = 5.0  # seconds without a delivery, after which the end waits no longer
_STUCK = 30.0
_SETTLE = 10.0  # seconds for requests under way, where what is not settled goes to others


class Supervisor:
    """Runs the forwarder until a signal ends it, or until all its sources have ended.

    Args:
        found: The configuration.
        grace: Seconds that outputs get at the end to deliver what waits.
        role: Whether it receives, delivers, or both.
    """

    def __init__(self, found: Configuration, grace: float = 30.0, role: Role = "both") -> None:
        """Open the log: what hinders that is known before anything starts."""
        self._found, self._grace, self._role = found, grace, role
        self._log = opening.open_log(found, role)
        self._meter = Meter()
        self.totals = Totals()
        self.started = time.time()
        self.receivers = [
            Process("receive", names, found.path, self.totals, stdin=stdin, number=number)
            for names, stdin, number in (self._groups() if role != "worker" else ())
        ]
        self.deliverers = [
            Process("deliver", output.name, found.path, self.totals)
            for output in (found.outputs if role != "receiver" else ())
        ]
        self._readers: list[Reader] = []
        self._signals = 0
        self._reload = False
        self._turned = time.monotonic()
        self._swept = 0.0

    def _groups(self) -> list[tuple[str, bool, int]]:
        """Listeners of each process, whether they read standard input, and which one it is.

        Each socket of a UDP listener has a process, so that nothing else delays its receiving.
        """
        listeners = self._found.listeners
        datagrams = [
            (each.name, False, number)
            for each in listeners
            if each.common.type == "udp"
            for number in range(1, each.config.sockets + 1)
        ]
        streams = [each for each in listeners if each.common.type != "udp"]
        stdin = any(each.common.type == "stdin" for each in streams)
        names = ",".join(each.name for each in streams)
        return [*datagrams, *([(names, stdin, 1)] if streams else [])]

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.receivers, *self.deliverers]

    @property
    def ready(self) -> bool:
        """Whether every part runs."""
        return all(process.ready for process in self.processes)

    def run(self) -> int:
        """Run; returns the exit code: 0 when it ended in order.

        Raises:
            OSError: The admin address is taken.
            LogRefused: Another forwarder uses the log.
        """
        with closing(self._log), ExitStack() as stack:
            self._log.claim()
            for output in self._found.outputs if self._role == "both" else ():
                reader = self._log.reader(output.name, at_end=output.common.start == "now")
                self._readers.append(stack.enter_context(closing(reader)))
            stack.enter_context(Admin(self._found.admin, self))
            self._watch_signals()
            for process in self.processes:
                process.start()
            told = False
            while not self._signals and not self._dry:
                self._turn()
                if not told and self.ready:
                    told = True
                    _LOG.info("ready")
                    _notify("READY=1")
            return self._end()

    @property
    def _dry(self) -> bool:
        """Whether all sources have ended; a worker's are elsewhere, and go on."""
        return self._role != "worker" and all(each.done for each in self.receivers)

    @property
    def alive(self) -> bool:
        """Whether processes are being looked after."""
        return time.monotonic() - self._turned < _STUCK

    def _turn(self) -> None:
        for process in self.processes:
            process.tend()
        if self._reload:
            self._reload = False
            self._reloaded()
        self._sweep()
        _notify("WATCHDOG=1")
        self._turned = time.monotonic()
        time.sleep(_TURN)

    def _sweep(self) -> None:
        """Keep the log within its limits and count what it lost."""
        now = time.monotonic()
        if now - self._swept < _SWEEP:
            return
        self._swept = now
        try:
            lost = self._log.sweep([output.name for output in self._found.outputs])
            size = self._log.size()
        except OSError as error:
            _LOG.error("the log cannot be swept: %s", error)
            return
        for reason, count in lost.items():
            if count:
                self._meter.add("lost_records", count, reason=reason)
                _LOG.error("%d undelivered records lost: %s", count, reason)
        if size is not None:
            self._meter.set("log_bytes", size[0])
            self._meter.set("log_records", size[1])
        values, texts = self._meter.snapshot()
        self.totals.take(
            "supervisor",
            {
                "values": [[name, labels, value] for (name, labels), value in values.items()],
                "texts": [[name, labels, text] for (name, labels), text in texts.items()],
            },
        )

    def _reloaded(self) -> None:
        """SIGHUP: certificates and lists of listeners; outputs start anew with all of theirs."""
        try:
            found = configuration.read(self._found.path)
            faults = readiness.faults(found, self._role)
        except (ConfigurationFaults, TableErrors, OSError) as error:
            faults = [str(error)]
        else:
            if self._parts(found) != self._parts(self._found):
                faults.append("listeners or outputs came or went: that needs a restart")
        if faults:
            _LOG.error("not reloaded, going on as before: %s", "; ".join(faults))
            return
        _LOG.info("reloading; a change of listeners needs a restart")
        for process in self.receivers:
            process.order("reload")
        for process in self.deliverers:
            process.restart()

    def _parts(self, found: Configuration) -> list[str]:
        """Names of all listeners and outputs."""
        return [*(each.name for each in found.listeners), *(each.name for each in found.outputs)]

    def _end(self) -> int:
        """End receivers, let outputs deliver, end them."""
        _notify("STOPPING=1")
        _LOG.info("ending; a second signal ends at once")
        until = time.monotonic() + self._grace
        for process in self.receivers:
            process.stop(self._grace)
        orderly = True
        for process in self.receivers:
            orderly &= process.wait(self._until(until))
        shared = self._found.log.type == "kafka"
        if not (shared and self._signals):  # what waits there, others deliver
            self._delivered(until)
        for process in self.deliverers:
            process.stop(_SETTLE if shared else 0.0)
        last = time.monotonic() + (15.0 if self._signals < 2 else 1.0)
        for process in self.deliverers:
            orderly &= process.wait(last)
        waiting = 0 if shared else self._waiting()
        if waiting:
            _LOG.warning("%d deliveries wait in the log for the next start", waiting)
        return 0 if orderly else 1

    def _delivered(self, until: float) -> None:
        """Let outputs deliver what waits, as long as they get on with it.

        When all sources have ended and nobody is in a hurry, that may take any time.
        """
        least, moved = self._waiting(), time.monotonic()
        while least and self._signals < 2:
            now = time.monotonic()
            if now > moved + self._grace or (self._signals and now > min(until, moved + _STALLED)):
                return
            for process in self.deliverers:
                process.tend()
            self._turned = now
            _notify("WATCHDOG=1")
            time.sleep(_TURN)
            waiting = self._waiting()
            if waiting < least:
                least, moved = waiting, now

    def _until(self, until: float) -> float:
        return until if self._signals < 2 else time.monotonic() + 1.0

    def _waiting(self) -> int:
        """Records that outputs have not settled yet, of all outputs together."""
        try:
            return sum(reader.standing().waiting for reader in self._readers)
        except OSError:
            return 0

    def _watch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_end)
        signal.signal(signal.SIGHUP, self._asked_to_reload)

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _asked_to_reload(self, number: int, frame: FrameType | None) -> None:
        self._reload = True


def _notify(state: str) -> None:
    """Tell systemd, when it asked to be told (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect("\0" + path[1:] if path.startswith("@") else path)
            out.send(state.encode())
        except OSError:
            return
