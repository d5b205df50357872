"""The compiled paths give what the interpreter gives, on every kind of record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cases import FIXTURES, PEER, RECEIVED, TARGETS, folders
from lines import generate

from datto_siem.converters import Converter, convert
from datto_siem.converters.event import Parts

if TYPE_CHECKING:
    from datto_siem.converters import Event

VERSIONS = [(target, None) for target in TARGETS] + [("ocsf", "1.1.0"), ("ocsf", "1.3.0")]


def records() -> list[bytes]:
    logs = [line for each in folders() for line in (each / "event.log").read_bytes().splitlines()]
    hostile = [path.read_bytes() for path in sorted(FIXTURES.glob("hostile/*.log"))]
    sample = (FIXTURES / "sample.log").read_bytes().splitlines()
    return logs + hostile + sample + [line.raw for line in generate(2_000, seed=5)]


RECORDS = records()


@pytest.mark.parametrize(("target", "version"), VERSIONS)
def test_compiled_plans_equal_the_interpreter(
    target: str, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "_OFTEN", 2)  # every path early: ordinary, plain, one header
    monkeypatch.setattr(convert, "_MOST_SPECIAL", 10_000)
    converter = Converter(target, version)
    paths = {"ordinary": 0, "plain": 0, "special": 0}
    for raw in RECORDS:
        reference = converter.run(_event(converter, raw)).document
        event = _event(converter, raw)
        special = converter.has_own(event.head)
        kind = "ordinary" if event.quick is None else "special" if special else "plain"
        paths[kind] += 1
        assert converter(event) == reference, raw
        written = converter.dump(_event(converter, raw))
        assert json.loads(written) == json.loads(json.dumps(reference)), raw
    assert min(paths.values()) > 100, paths


def _event(converter: Converter, raw: bytes) -> Event:
    return converter.decoder.decode(raw, RECEIVED, PEER)


def test_a_plain_record_has_the_pairs_that_the_whole_scan_finds() -> None:
    converter = Converter("ecs")
    plain = [event for raw in RECORDS if (event := _event(converter, raw)).quick is not None]
    assert len(plain) > 1_000
    for event in plain:
        parts = Parts(None)
        event.entry.dialect.scan(event.text, event.begins, parts)
        assert parts.pairs == event.pairs, event.text
        assert parts.extension == event.extension, event.text
        assert parts.offsets == event.scanned.offsets, event.text
        kinds = [note.kind for note in parts.notes]
        assert kinds == [note.kind for note in event.repairs or ()], event.text


def test_the_same_records_give_the_same_bytes_however_often_they_came_before() -> None:
    fresh, warm = Converter("ecs", switches=["x.example"]), Converter("ecs")
    for _ in range(3):
        for raw in RECORDS[:300]:
            warm.encode(raw, RECEIVED)
    for raw in RECORDS[:300]:
        assert fresh.encode(raw, RECEIVED) == warm.encode(raw, RECEIVED)


def test_a_converter_does_not_change_what_another_says_of_the_event() -> None:
    line = b"CEF:1|Datto|Secure Edge|1.2.1|coredns|allow|1|query_time=1795514300412 action=allow"
    converters = [Converter("ocsf", "1.3.0"), Converter("cim"), Converter("asim")]
    event = _event(converters[0], line)
    first = [converter(event) for converter in converters]
    again = [converter(event) for converter in reversed(converters)]
    assert first == again[::-1]
    assert event.notes == []
