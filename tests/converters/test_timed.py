"""Times and durations as shapes reckon them, at the edges, against the interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from shape_making import RECEIVED, quick, reference, teach

if TYPE_CHECKING:
    from datto_siem.converters import Converter

SESSION = (
    "CEF:1|Datto|Secure Edge|1.2.1|instance-agent|disconnected|4|"
    "subscriber=a.b@example.com service_instance_id=7 client_event=disconnected "
    "external_id=28b88184-9485-4053-abd5-b357c0bcc72f cloud_ip=100.64.1.2 duration={duration} "
    "identification_code=ORG-1 peer_id=12 network_id=3 timestamp={time} wan_ip=192.0.2.7"
)
QUERY = (
    "CEF:1|Datto|Secure Edge|1.2.1|coredns|allow|1|identification_code=ORG-1 "
    "subscriber=a.b@example.com socket_family=INET domain=www.example.com "
    "external_id=28b88184-9485-4053-abd5-b357c0bcc72f client_ip=100.64.0.29 action=allow "
    "response_time={end} policy_id=105 user_id=1019 external_type=software query_time={start} "
    "socket_protocol=UDP src_addr=100.64.0.29:63659 peer_id=10019"
)


@pytest.fixture(params=["ecs", "ocsf", "cim", "asim", "csl"])
def converter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Converter:
    """A converter of its own that makes shapes at once."""
    return quick(request.param, monkeypatch)


def check(converter: Converter, teacher: str, line: str) -> None:
    """A line that a shape writes as the interpreter does."""
    teach(converter, teacher.encode())
    raw = line.encode()
    assert converter.shapes.write(raw, RECEIVED) == reference(converter, raw)


@pytest.mark.parametrize("duration", ["0", "1", "59", "3600", "86399", "999999999"])
@pytest.mark.parametrize("time", ["1500000000000", "1795513152051", "1795514399999"])
def test_a_session_begins_its_duration_before_its_end(
    converter: Converter, duration: str, time: str
) -> None:
    teacher = SESSION.format(duration="3725", time="1795513152051")
    check(converter, teacher, SESSION.format(duration=duration, time=time))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("1795513152051", "1795513152051"),
        ("1795513152051", "1795513152052"),
        ("1795513152999", "1795513153000"),
        ("1795513152000", "1795513152999"),
        ("1795513152052", "1795513152051"),
        ("1795513153000", "1795513152999"),
        ("1500000000000", "1795513152051"),
        ("1795513152051", "1500000000000"),
    ],
)
def test_an_answer_takes_what_lies_between_its_times(
    converter: Converter, start: str, end: str
) -> None:
    teacher = QUERY.format(start="1795513152040", end="1795513152051")
    check(converter, teacher, QUERY.format(start=start, end=end))
