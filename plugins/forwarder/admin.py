"""Metrics, health and status of a running forwarder over HTTP on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from datto_siem.plugins.forwarder.sections import loopback
from datto_siem.plugins.meter import COUNTER, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from prometheus_client.core import Metric

    from datto_siem.plugins.forwarder import sections
    from datto_siem.plugins.forwarder.supervisor import Supervisor

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Admin:
    """The HTTP server, in a thread while in a `with` block.

    Args:
        admin: Its options.
        supervisor: What it tells of.
    """

    def __init__(self, admin: sections.Admin, supervisor: Supervisor) -> None:
        """Bind.

        Raises:
            OSError: The address is taken.
        """
        host, port = loopback(admin)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = {"daemon_threads": True, "address_family": family}
        self._server = type("_Server", (ThreadingHTTPServer,), kind)((host, port), _Handler)
        self._server.supervisor = supervisor
        self._server.remote = admin.allow_remote
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    server_version = "datto-siem"
    sys_version = ""
    timeout = 5

    def do_GET(self) -> None:
        supervisor: Supervisor = self.server.supervisor  # type: ignore[attr-defined]  # set by Admin
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if not self.server.remote and host not in _LOCAL:  # type: ignore[attr-defined]  # as above
            # a web page that resolves its own name to loopback must not read this
            self._answer(403, "text/plain", b"only by a loopback name\n")
        elif self.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", exposition(supervisor))
        elif self.path == "/healthz":
            said = b"ok\n" if supervisor.alive else b"processes are not looked after\n"
            self._answer(200 if supervisor.alive else 503, "text/plain", said)
        elif self.path == "/readyz":
            said = b"ready\n" if supervisor.ready else _why(supervisor)
            self._answer(200 if supervisor.ready else 503, "text/plain", said)
        elif self.path == "/status":
            body = json.dumps(status(supervisor)).encode()
            self._answer(200, "application/json", body)
        else:
            self._answer(404, "text/plain", b"/metrics /healthz /readyz /status\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: a scrape each few seconds is no news."""


def _why(supervisor: Supervisor) -> bytes:
    absent = [each for each in supervisor.processes if not each.ready]
    told = [f"{each.title}: {each.fault}" if each.fault else each.title for each in absent]
    return f"not running: {', '.join(told)}\n".encode()


class _Collector:
    """Turns totals into Prometheus families."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for name, metric in METRICS.items():
            kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
            families[name] = kind(f"datto_siem_{name}", metric.help, labels=metric.labels)
        for (name, labels), value in self._supervisor.totals.values().items():
            families[name].add_metric(labels, value)  # type: ignore[attr-defined]  # both have it
        restarts = CounterMetricFamily(
            "datto_siem_restarts", "Times a process was started again", labels=("process",)
        )
        for process in self._supervisor.processes:
            restarts.add_metric((process.title,), process.restarts)
        yield from families.values()
        yield restarts


def exposition(supervisor: Supervisor) -> bytes:
    """All metrics as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_Collector(supervisor))
    return generate_latest(registry)


def status(supervisor: Supervisor) -> dict[str, Any]:
    """What `forward status` shows: counts by listener and output, processes, the log."""
    found: dict[str, Any] = {
        "version": metadata.version("datto-siem"),
        "started": supervisor.started,
        "now": time.time(),
        "ready": supervisor.ready,
        "totals": {},
        "listeners": {},
        "outputs": {},
        "processes": [
            {
                "name": each.title,
                "pid": each.pid,
                "ready": each.ready,
                "restarts": each.restarts,
                "fault": each.fault,
            }
            for each in supervisor.processes
        ],
    }
    for (name, labels), value in supervisor.totals.values().items():
        told = dict(zip(METRICS[name].labels, labels, strict=True))
        place = _place(found, told)
        rest = "/".join(told.values())
        place[f"{name}/{rest}" if rest else name] = value
    for (name, labels), text in supervisor.totals.texts().items():
        if len(labels) == 1:
            found["outputs"].setdefault(labels[0], {})[name] = text
    return found


def _place(found: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
    for kind, label in (("listeners", "listener"), ("outputs", "output")):
        if label in told:
            place: dict[str, Any] = found[kind].setdefault(told.pop(label), {})
            return place
    totals: dict[str, Any] = found["totals"]
    return totals
