"""Lines that shapes are taught with, and converters that learn at once: for the tests of shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters import Converter, shapes
from datto_siem.converters.output import dump

if TYPE_CHECKING:
    import pytest

RECEIVED = 1_795_514_400_000
PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"
    b"rt=1795513152051 smac=02:00:5E:10:00:01 cs2:Guest dmac:7E:10:9B:55:D0:3A"
)
FLOW = (
    b"CEF:1|Datto|Secure Edge|1.2.1|telemeterd|web|3|client_ip=100.64.12.7 port_dst=443 "
    b"agg_ts=1795513286872 class=web proto=Bulk Transfer ip_proto=udp flow_type=UL"
)


def forgetful(target: str) -> Converter:
    """A converter with shapes of its own, and none yet."""
    made = Converter(target)
    table = None if target == "cef" else made.target
    made.shapes = shapes.Shapes(made.decoder, table, made.types)
    return made


def quick(target: str, monkeypatch: pytest.MonkeyPatch) -> Converter:
    """The same, that makes shapes as soon as a header comes again."""
    monkeypatch.setattr(shapes, "OFTEN", 1)
    return forgetful(target)


def reference(converter: Converter, line: bytes, peer: str | None = None) -> bytes:
    """What the interpreter makes of a line."""
    event = converter.decoder.decode(line, RECEIVED, peer)
    if converter.name == "cef":
        return converter.line(event).encode()
    return dump(converter.run(event).document)


def teach(converter: Converter, line: bytes) -> None:
    """Show a line often enough, and see that a shape takes it now."""
    for _ in range(3):
        converter.encode(line, RECEIVED)
    assert converter.shapes.write(line, RECEIVED) == reference(converter, line)
