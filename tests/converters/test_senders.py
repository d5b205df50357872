"""What is ready for a sender's next record, and how it gives way to what comes instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ordinary_lines import ordinary
from shape_making import FLOW, PROBE, RECEIVED, quick, reference, teach

from datto_siem.converters import Converter, shapes

if TYPE_CHECKING:
    from pathlib import Path

PREFIXED = b"<134>Nov 24 09:37:09 ap-1 " + PROBE


@pytest.fixture(params=["ecs", "ocsf", "cef"])
def converter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Converter:
    """A converter of its own that makes shapes at once."""
    return quick(request.param, monkeypatch)


def taken(converter: Converter, line: bytes, peer: str | None = None) -> bool:
    """Convert a line, see that the bytes are right, tell whether a shape wrote them."""
    found = converter.shapes.write(line, RECEIVED, peer)
    expected = reference(converter, line, peer)
    assert found in (None, expected)
    assert converter.encode(line, RECEIVED, peer) == expected
    return found is not None


@pytest.mark.parametrize("line", [PROBE, PREFIXED])
def test_a_line_end_changes_nothing(converter: Converter, line: bytes) -> None:
    teach(converter, line)
    for end in (b"\r", b"\r\n", b"\0", b""):
        assert taken(converter, line + end)


@pytest.mark.parametrize("line", [PROBE, PREFIXED])
def test_an_odd_record_is_no_reason_to_take_the_next_ones_for_odd(
    converter: Converter, line: bytes
) -> None:
    teach(converter, line)
    odd = line.replace(b"Guest", b'"Guest"')
    for _ in range(20):
        assert not taken(converter, odd)
        assert taken(converter, line)


def test_peers_take_turns(converter: Converter) -> None:
    teach(converter, PROBE)
    for number in range(40):
        peer = (None, "192.0.2.1", "192.0.2.2", "2001:db8::1")[number % 4]
        assert taken(converter, PROBE, peer)
    assert not taken(converter, PROBE, 'a"b')


def test_spellings_take_turns(converter: Converter) -> None:
    less = PROBE.replace(b" cs2:Guest", b"")
    for _ in range(8):
        for line in (PROBE, less):
            converter.encode(line, RECEIVED)
    for number in range(200):  # alone, in turns, and each in long runs
        line = less if number % 2 or 60 < number < 100 else PROBE
        assert taken(converter, line)


def test_an_order_that_comes_again_and_again_is_tried_first(converter: Converter) -> None:
    head, _, body = FLOW.partition(b"client_ip=")
    pairs = [b"client_ip=" + body.partition(b" ")[0], *body.split(b" ")[1:]]
    pairs[4:6] = [b" ".join(pairs[4:6])]  # the value with a blank
    orders = [head + b" ".join(pairs[at:] + pairs[:at]) for at in range(len(pairs))]
    for _ in range(20):
        for line in orders:
            converter.encode(line, RECEIVED)
    for line in [*orders * 5, *[FLOW] * 40, *orders]:
        assert taken(converter, line)


def test_what_is_ready_is_bounded(converter: Converter, monkeypatch: pytest.MonkeyPatch) -> None:
    teach(converter, PROBE)
    monkeypatch.setattr(shapes, "MOST_SENDERS", 8)
    for number in range(50):
        assert taken(converter, PROBE, f"192.0.2.{number}")
        ready = converter.shapes._ready
        assert sum(map(len, ready.values())) <= 8
        assert len(ready) <= 8


def test_all_names_of_a_row_share_its_shapes(converter: Converter) -> None:
    teach(converter, FLOW)
    held = converter.shapes.held.shapes
    for name in (b"video", b"Bulk Transfer", b"a-name.nobody/knows", b"x" * 40):
        line = FLOW.replace(b"web", name)
        converter.encode(line, RECEIVED)
        assert taken(converter, line)
    assert converter.shapes.held.shapes == held


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"class=web", b"class=video"),
        (b"class=web", b"class=Web"),
        (b"class=web", b"class=web "),
        (b"class=web", b"class="),
        (b"|web|", b'|w"eb|'),
        (b"|web|", b"|w\\|eb|"),
        (b"|web|", b"|w=eb|"),
        (b"|web|", b"|caf\xc3\xa9|"),
        (b"|web|", b"||"),
        (b"web", b""),
    ],
)
def test_a_value_that_repeats_the_name_otherwise_is_odd(
    converter: Converter, old: bytes, new: bytes
) -> None:
    teach(converter, FLOW)
    line = FLOW.replace(old, new)
    for _ in range(3):
        assert not taken(converter, line)
    assert taken(converter, FLOW)


def test_a_value_that_repeats_the_name_is_still_read_by_its_cast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources").mkdir()
    row = "fields:\n  class: {as: lower, is: flow.class, agrees: header.name, doc: Small}\n"
    (tmp_path / "sources" / "secure_edge.yaml").write_text(row)
    monkeypatch.setattr(shapes, "OFTEN", 1)
    converter = Converter("ecs", overlay=tmp_path)
    for name in (b"web", b"WEB", b"Bulk"):
        teach(converter, FLOW.replace(b"web", name))
    assert b'"class":"bulk"' in reference(converter, FLOW.replace(b"web", b"Bulk"))


def test_ordinary_lines_are_ready_at_their_second_record(converter: Converter) -> None:
    lines = ordinary(400, 4)
    for line in lines * 3:
        converter.encode(line, RECEIVED)
    assert all(taken(converter, line) for line in lines)
