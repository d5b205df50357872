"""Metrics, health and status over HTTP: what is told, to whom, and in which words."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from datto_siem.plugins.forwarder.admin import Admin
from datto_siem.plugins.forwarder.sections import Admin as Options
from datto_siem.plugins.forwarder.totals import Totals
from datto_siem.plugins.meter import METRICS, Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

EVIL = 'evil"\n\\\x1b[31m'


def told(meter: Meter) -> dict[str, Any]:
    """What a child sends of its meter."""
    values, texts = meter.snapshot()
    return {
        "values": [[name, labels, value] for (name, labels), value in values.items()],
        "texts": [[name, labels, text] for (name, labels), text in texts.items()],
    }


def process(title: str, ready: bool = True, fault: str = "") -> SimpleNamespace:
    return SimpleNamespace(title=title, pid=7, ready=ready, restarts=2, fault=fault)


class Supervised:
    """A supervisor's face."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.started = 1.0
        self.alive = True
        self.processes = [process("receive udp"), process("deliver splunk")]

    @property
    def ready(self) -> bool:
        return all(each.ready for each in self.processes)


@pytest.fixture
def supervised() -> Supervised:
    return Supervised()


@pytest.fixture
def port(supervised: Supervised) -> Iterator[int]:
    yield from serving(supervised, Options("127.0.0.1:0"))


def serving(supervised: Supervised, options: Options) -> Iterator[int]:
    admin = Admin(options, supervised)  # type: ignore[arg-type]  # a supervisor's face is enough
    with admin:
        yield admin._server.server_port


def get(port: int, path: str, host: str | None = None, to: str = "127.0.0.1") -> tuple[int, str]:
    with closing(http.client.HTTPConnection(to, port, timeout=30)) as connection:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_every_metric_is_exposed_under_its_name_with_its_help(
    port: int, supervised: Supervised
) -> None:
    meter = Meter()
    for name, metric in METRICS.items():
        meter.add(name, 3, **dict.fromkeys(metric.labels, "a"))
    supervised.totals.take("child", told(meter))
    code, text = get(port, "/metrics")
    families = {each.name: each for each in text_string_to_metric_families(text)}
    assert code == 200
    for name, metric in METRICS.items():
        family = families[f"datto_siem_{name}"]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        (sample,) = family.samples
        assert sample.name == f"datto_siem_{name}" + "_total" * (metric.kind == "counter")
        assert sample.value == 3
        assert sample.labels == dict.fromkeys(metric.labels, "a")
    assert [each.value for each in families["datto_siem_restarts"].samples] == [2, 2]


def test_no_label_breaks_the_exposition(port: int, supervised: Supervised) -> None:
    meter = Meter()
    meter.add("lost_records", 5, reason=EVIL)
    supervised.totals.take("child", told(meter))
    (family,) = [
        each
        for each in text_string_to_metric_families(get(port, "/metrics")[1])
        if each.name == "datto_siem_lost_records"
    ]
    assert [(each.labels, each.value) for each in family.samples] == [({"reason": EVIL}, 5)]


def test_health_is_of_the_supervisor_and_readiness_of_all(
    port: int, supervised: Supervised
) -> None:
    assert get(port, "/healthz") == (200, "ok\n")
    assert get(port, "/readyz") == (200, "ready\n")
    supervised.processes[0] = process("receive udp", False, "port 5514 is in use")
    assert get(port, "/readyz") == (503, "not running: receive udp: port 5514 is in use\n")
    assert get(port, "/healthz")[0] == 200
    supervised.alive = False
    assert get(port, "/healthz")[0] == 503


def test_status_is_by_listener_and_output(port: int, supervised: Supervised) -> None:
    meter = Meter()
    meter.add("received_records", 10, listener="udp")
    meter.add("refused_records", 2, listener="udp", reason="network")
    meter.add("requests", 4, output="splunk", result="retry")
    meter.add("lost_records", 1, reason="age")
    meter.say("last_error", EVIL, output="splunk")
    supervised.totals.take("child", told(meter))
    found = json.loads(get(port, "/status")[1])
    assert found["listeners"] == {"udp": {"received_records": 10, "refused_records/network": 2}}
    assert found["outputs"] == {"splunk": {"requests/retry": 4, "last_error": EVIL}}
    assert found["totals"] == {"lost_records/age": 1}
    assert found["ready"] is True
    assert [each["name"] for each in found["processes"]] == ["receive udp", "deliver splunk"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9514", "127.0.0.1.evil.example"])
def test_a_web_page_with_a_name_of_its_own_learns_nothing(port: int, host: str) -> None:
    for path in ("/status", "/metrics", "/healthz"):
        assert get(port, path, host) == (403, "only by a loopback name\n")


@pytest.mark.parametrize("host", ["localhost", "localhost:9514", "127.0.0.1", "[::1]:9514"])
def test_loopback_names_are_answered(port: int, host: str) -> None:
    assert get(port, "/healthz", host)[0] == 200


def test_another_machine_is_answered_when_that_is_wanted(supervised: Supervised) -> None:
    for port in serving(supervised, Options("127.0.0.1:0", allow_remote=True)):
        assert get(port, "/healthz", "forwarder.example")[0] == 200


def test_it_listens_on_ipv6_loopback(supervised: Supervised) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    for port in serving(supervised, Options("[::1]:0")):
        assert get(port, "/healthz", to="::1")[0] == 200


def test_what_is_not_there_is_told(port: int) -> None:
    assert get(port, "/../etc/passwd") == (404, "/metrics /healthz /readyz /status\n")


def test_counters_of_an_ended_process_stay_and_its_gauges_go() -> None:
    totals, meter = Totals(), Meter()
    meter.add("delivered_records", 10, output="a")
    meter.set("lag_records", 7, output="a")
    totals.take("deliver a", told(meter))
    totals.ended("deliver a")
    assert totals.values() == {("delivered_records", ("a",)): 10}
    fresh = Meter()
    fresh.add("delivered_records", 2, output="a")
    totals.take("deliver a", told(fresh))
    totals.take("deliver a", told(fresh))
    assert totals.values() == {("delivered_records", ("a",)): 12}
