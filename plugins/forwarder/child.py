"""A child process of the forwarder, `python -m` this module with ROLE NAME CONFIG ORDERS.

Owns how a child talks to its supervisor. ORDERS is the number of an open file (standard input may
be a listener's), an order a line: `stop GRACE`, `reload`; when it ends, the supervisor is gone and
the child stops too. Counts go to standard output
each second, one JSON object a line. Signals are the supervisor's affair: a Ctrl-C on a terminal
reaches all processes, and only the supervisor knows in which order they may end.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from datto_siem.plugins.forwarder import configuration, journal
from datto_siem.plugins.forwarder.configuration import ConfigurationFaults
from datto_siem.plugins.forwarder.log import LogRefused
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.secret import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.forwarder.configuration import Configuration

_LOG = logging.getLogger(__name__)
_EVERY = 1.0


class Part(Protocol):
    """What a child does."""

    def run(self) -> None:
        """Work until stopped or done."""

    def stop(self, grace: float) -> None:
        """End `run` within so many seconds; from another thread."""

    def reload(self) -> None:
        """Read again what may change while running."""


def main(argv: list[str]) -> int:
    """Run one part; returns the exit code."""
    role, name, path, orders = argv
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    journal.begin([], f"{role} {name}")
    meter = Meter()
    ended = threading.Event()
    try:
        found = configuration.read(Path(path))
        journal.begin(found.secrets(), f"{role} {name}")
        part = _part(role, name, found, meter)
    except (ConfigurationFaults, LogRefused, SecretMissing, OSError, LookupError) as error:
        _LOG.error("cannot start: %s", error)
        _report(meter, str(error))
        return 1
    except Exception as error:
        _LOG.exception("cannot start")
        _report(meter, str(error))
        return 1
    reporter = threading.Thread(target=_reporting, args=(meter, ended))
    obeying = threading.Thread(target=_orders, args=(part, int(orders)), daemon=True)
    reporter.start()
    obeying.start()
    try:
        part.run()
    except Exception:
        _LOG.exception("ended by an error of ours, please report it")
        return 1
    finally:
        ended.set()
        reporter.join()
    return 0


def _part(role: str, name: str, found: Configuration, meter: Meter) -> Part:
    if role == "receive":
        from datto_siem.plugins.forwarder.receiving import Receiving

        return Receiving(found, name.split(","), meter)
    from datto_siem.plugins.forwarder.delivering import Delivering

    return Delivering(found, found.output(name), meter)


def _orders(part: Part, number: int) -> None:
    """Obey the supervisor until it is gone."""
    with os.fdopen(number) as orders:
        for order in orders:
            word, *rest = order.split()
            if word == "stop":
                part.stop(float(rest[0]))
                return
            if word == "reload":
                _trying(part.reload)
    part.stop(0.0)


def _trying(do: Callable[[], None]) -> None:
    try:
        do()
    except Exception:
        _LOG.exception("reload failed, going on as before")


def _reporting(meter: Meter, ended: threading.Event) -> None:
    """Send counts at once, which tells that it has started, then regularly, and at the end."""
    _report(meter)
    while not ended.wait(_EVERY):
        _report(meter)
    _report(meter)


def _report(meter: Meter, fault: str = "") -> None:
    values, texts = meter.snapshot()
    told = {
        "values": [[name, labels, value] for (name, labels), value in values.items()],
        "texts": [[name, labels, text] for (name, labels), text in texts.items()],
        "fault": fault,
    }
    content = (json.dumps(told) + "\n").encode()
    try:
        while content:
            content = content[os.write(1, content) :]
    except OSError:
        return  # the supervisor is gone: `_orders` sees it too


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
