"""The compiled paths give what the interpreter gives, on every kind of record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from cases import FIXTURES, PEER, RECEIVED, TARGETS, folders
from hypothesis import given, settings
from hypothesis import strategies as st
from lines import QUIRKS, generate, with_quirk
from ordinary_lines import ordinary

from datto_siem.converters import Converter, shapes
from datto_siem.converters.event import Parts
from datto_siem.converters.output import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datto_siem.converters import Event

VERSIONS = [(target, None) for target in TARGETS] + [("ocsf", "1.1.0"), ("ocsf", "1.3.0")]
EVERY = [*VERSIONS, ("cef", None)]


def records() -> list[bytes]:
    logs = [line for each in folders() for line in (each / "event.log").read_bytes().splitlines()]
    hostile = [path.read_bytes() for path in sorted(FIXTURES.glob("hostile/*.log"))]
    sample = (FIXTURES / "sample.log").read_bytes().splitlines()
    return logs + hostile + sample + [line.raw for line in generate(2_000, seed=5)]


RECORDS = records()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes are made at once, and as many as there are."""
    monkeypatch.setattr(shapes, "OFTEN", 1)
    monkeypatch.setattr(shapes, "MOST_SHAPES", 10_000)


def fresh(target: str, version: str | None = None) -> Converter:
    """A converter that has learnt nothing yet."""
    converter = Converter(target, version)
    table = None if target == "cef" else converter.target
    converter.shapes = shapes.Shapes(converter.decoder, table, converter.types, 0)
    return converter


def reference(converter: Converter, event: Event) -> bytes:
    if converter.name == "cef":
        return converter.line(event).encode()
    return dump(converter.run(event).document)


def mismatches(converter: Converter, raws: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each record, and whether a shape wrote it; every output is held against the reference."""
    for ordinal, raw in enumerate(raws):
        event = converter.decoder.decode(raw, RECEIVED, PEER, None, ordinal)
        text = raw.decode("latin-1")
        found, noted, unknown = converter.shapes.lines(
            [text], RECEIVED, absent, PEER, None, ordinal
        )
        if found[0]:
            assert noted == bool(event.notes), raw
            assert unknown == (event.reading.activity == "unknown"), raw
        want = reference(converter, event)
        assert converter.encode(raw, RECEIVED, PEER, None, ordinal) == want, raw
        yield raw, bool(found[0])


def absent(_raw: bytes, _ordinal: int) -> bytes:
    return b""


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("target", "version"), EVERY)
def test_every_record_becomes_the_bytes_that_the_interpreter_gives(
    target: str, version: str | None
) -> None:
    converter = fresh(target, version)
    taken = [by_shape for _, by_shape in mismatches(converter, [*RECORDS, *RECORDS])]
    assert sum(taken) > 500, sum(taken)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("target", "version"), EVERY)
def test_nearly_all_ordinary_lines_take_the_short_way(target: str, version: str | None) -> None:
    converter = fresh(target, version)
    for _ in mismatches(converter, ordinary(1_500, seed=1)):
        pass
    taken = [by_shape for _, by_shape in mismatches(converter, ordinary(600, seed=2))]
    assert sum(taken) > 0.97 * len(taken), f"{sum(taken)} of {len(taken)}"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("target", ["ecs", "csl", "cef"])
def test_lines_with_their_keys_in_any_order_take_the_short_way_too(target: str) -> None:
    converter = fresh(target)
    for _ in mismatches(converter, ordinary(1_500, seed=1, shuffled=True)):
        pass
    lines = ordinary(600, seed=2, shuffled=True)
    taken = [by_shape for _, by_shape in mismatches(converter, lines)]
    assert sum(taken) > 0.85 * len(taken), f"{sum(taken)} of {len(taken)}"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("target", ["ecs", "ocsf"])
def test_quirks_that_come_again_and_again_are_written_as_the_interpreter_does(target: str) -> None:
    converter = fresh(target)
    for quirk in QUIRKS:
        for _ in mismatches(converter, [line.raw for line in with_quirk(quirk, 40)]):
            pass


def taught() -> tuple[Converter, list[bytes]]:
    """A converter with shapes, and lines that take them."""
    converter = fresh("ocsf")
    lines = ordinary(400, seed=3)
    for _ in range(3):
        for line in lines:
            converter.encode(line, RECEIVED, PEER)
    return converter, [line for line in lines if converter.shapes.write(line, RECEIVED, PEER)]


@pytest.fixture(scope="module")
def with_shapes() -> tuple[Converter, list[bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "OFTEN", 1)
        return taught()


_PLACES = re.compile(rb"[ =:|.@<>]")
_BITS = st.sampled_from(
    [
        *(bytes([code]) for code in (*b' =:|\\";.@A01-', 0, 9, 13, 27, 127)),
        *(b"\xc3\xa9", b"  ", b" x=1", b" cs2:y", b" action=drop", b"999999", b"groups.3=q"),
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    pick=st.integers(0, 10_000),
    place=st.integers(0, 10_000),
    bit=_BITS,
    cut=st.integers(0, 3),
    beside=st.booleans(),
)
def test_a_mutated_line_never_becomes_something_else(
    with_shapes: tuple[Converter, list[bytes]],
    pick: int,
    place: int,
    bit: bytes,
    cut: int,
    beside: bool,
) -> None:
    converter, lines = with_shapes
    line = lines[pick % len(lines)]
    places = [match.start() for match in _PLACES.finditer(line)] if beside else []
    at = places[place % len(places)] + 1 if places else place % (len(line) + 1)
    raw = line[:at] + bit + line[at + cut :]
    event = converter.decoder.decode(raw, RECEIVED, PEER, None, 7)
    found = converter.shapes.write(raw, RECEIVED, PEER, None, 7)
    if found is not None:
        assert found == reference(converter, event)


def test_documents_of_events_are_the_interpreters() -> None:
    for target, version in VERSIONS:
        converter = Converter(target, version)
        ways = {"ordinary": 0, "plain": 0}
        for raw in RECORDS:
            event = _event(converter, raw)
            ways["ordinary" if event.quick is None else "plain"] += 1
            assert converter(event) == converter.run(_event(converter, raw)).document, raw
        assert min(ways.values()) > 100, ways


def test_hostile_input_makes_no_memory_grow() -> None:
    converter = fresh("ecs")
    for number in range(6_000):
        name = f"telemeterd|class{number}"
        line = f"CEF:1|Datto|Secure Edge|1|{name}|3|agg_ts=1795513143676 packets=1".encode()
        converter.encode(line, RECEIVED)
    held = converter.shapes.held
    assert held.headers <= 2 * shapes.MOST_HEADERS
    assert held.shapes <= shapes.MOST_SHAPES
    assert held.senders <= shapes.MOST_SENDERS


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
    fresh_one, warm = Converter("ecs", switches=["x.example"]), Converter("ecs")
    for _ in range(3):
        for raw in RECORDS[:300]:
            warm.encode(raw, RECEIVED)
    for raw in RECORDS[:300]:
        assert fresh_one.encode(raw, RECEIVED) == warm.encode(raw, RECEIVED)


def test_a_converter_does_not_change_what_another_says_of_the_event() -> None:
    line = b"CEF:1|Datto|Secure Edge|1.2.1|coredns|allow|1|query_time=1795514300412 action=allow"
    converters = [Converter("ocsf", "1.3.0"), Converter("cim"), Converter("asim")]
    event = _event(converters[0], line)
    first = [converter(event) for converter in converters]
    again = [converter(event) for converter in reversed(converters)]
    assert first == again[::-1]
    assert event.notes == []
