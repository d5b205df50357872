"""A TCP listener that runs, and plain sockets that send to it."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from fakes.recording_intake import PATIENCE, RecordingIntake, running

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import tcp

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listening:
    """A running listener with what it put and counted."""

    def __init__(self, listener: tcp.Tcp, intake: RecordingIntake, meter: Meter) -> None:
        self.listener, self.intake, self.meter = listener, intake, meter
        host, _, port = listener.address.partition("://")[2].rpartition(":")
        self.place = (host.strip("[]"), int(port))

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        found = socket.create_connection(self.place, PATIENCE, (source, 0))
        found.settimeout(PATIENCE)
        return found

    def send(self, data: bytes, source: str = "127.0.0.1") -> None:
        with self.connect(source) as sender:
            sender.sendall(data)

    def counted(self, name: str, **labels: str) -> float:
        return self.meter.get(name, listener="tcp", **labels)

    def refused(self, reason: str) -> float:
        return self.counted("refused_records", reason=reason)


@contextlib.contextmanager
def listening(intake: RecordingIntake | None = None, **options: Any) -> Iterator[Listening]:
    """A listener on a free port, with options as TOML gives them."""
    given = {"address": "127.0.0.1:0", **options}
    intake, meter = intake or RecordingIntake(), Meter()
    listener = tcp.open_listener(build(tcp.Config, given), intake, meter, "tcp")
    found = Listening(listener, intake, meter)
    with running(listener):
        yield found


def ended(sender: socket.socket) -> bool:
    """Wait until the listener closes a connection."""
    try:
        return sender.recv(1) == b""
    except ConnectionError:
        return True
