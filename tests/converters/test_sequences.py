"""Sequences of keys that were learnt give what the scanner finds, and few are kept."""

from __future__ import annotations

import re
from random import Random

import pytest
from cases import RECEIVED
from hypothesis import given, settings
from hypothesis import strategies as st
from ordinary_lines import ordinary

from datto_siem.converters import sequences
from datto_siem.converters.decoder import Decoder
from datto_siem.converters.event import Parts
from datto_siem.converters.spelling import capturing, uncaptured

FLOW = (
    b"CEF:1|Datto|Secure Edge|1.2.1|telemeterd|web|3|client_ip=100.64.12.7 port_dst=443 "
    b"agg_ts=1795513286872 class=web proto=Bulk Transfer ip_proto=udp flow_type=UL"
)
PROBE = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"
    b"rt=1795513152051 smac=02:00:5E:10:00:01 cs2:Guest dmac:7E:10:9B:55:D0:3A"
)


def known(decoder: Decoder, line: bytes) -> int:
    return len(decoder.decode(line, RECEIVED).entry.dialect.sequences.known)  # type: ignore[attr-defined]


def is_quick(decoder: Decoder, line: bytes) -> bool:
    """Whether the record is plain; the scanner must then find the same."""
    event = decoder.decode(line, RECEIVED)
    if event.quick is None:
        return False
    scanned = Parts(event.early)
    event.entry.scan(event, scanned)
    assert list(event.quick.items()) == scanned.pairs, line
    return True


def by_pattern(decoder: Decoder, line: bytes) -> bool:
    """Whether a pattern matches the record."""
    event = decoder.decode(line, RECEIVED)
    readers = event.entry.dialect.sequences.known  # type: ignore[attr-defined]
    return any(read(event.text, event.begins) for read in readers)


@pytest.fixture(scope="module")
def taught() -> Decoder:
    decoder = Decoder()
    for line in ordinary(3_000, seed=1):
        decoder.decode(line, RECEIVED)
    return decoder


@pytest.mark.parametrize("line", [FLOW, PROBE])
def test_a_sequence_that_comes_often_is_learnt(line: bytes) -> None:
    decoder = Decoder()
    for times in range(1, sequences.OFTEN + 2):
        assert known(decoder, line) == (times >= sequences.OFTEN), times
    assert by_pattern(decoder, line)
    assert is_quick(decoder, line)


def test_nearly_all_ordinary_lines_match_a_pattern(taught: Decoder) -> None:
    lines = ordinary(1_000, seed=2)
    assert sum(by_pattern(taught, line) for line in lines) > 0.97 * len(lines)
    assert sum(is_quick(taught, line) for line in lines) > 0.97 * len(lines)


def test_keys_in_random_order_leave_no_patterns_behind() -> None:
    decoder, rng = Decoder(), Random(1)  # noqa: S311 - a reproducible corpus, no secret
    head, _, body = FLOW.replace(b"Bulk ", b"Bulk").rpartition(b"|")
    words = body.split(b" ")
    for _ in range(300):
        rng.shuffle(words)
        assert is_quick(decoder, head + b"|" + b" ".join(words))
    assert known(decoder, FLOW) == 0


def test_a_flood_of_sequences_is_bounded() -> None:
    decoder = Decoder()
    head, _, body = FLOW.replace(b"Bulk ", b"Bulk").rpartition(b"|")
    words = body.split(b" ")
    for turn in range(len(words)):
        line = head + b"|" + b" ".join(words[turn:] + words[:turn])
        for _ in range(sequences.OFTEN):
            assert is_quick(decoder, line)
    assert known(decoder, FLOW) == sequences.MOST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"cs2:Guest", b"cs2:a dmac:x"),
        (b"cs2:Guest", b"cs2:a reason:7"),
        (b"cs2:Guest", b"cs2:a:b"),
        (b"cs2:Guest", b"cs2:a b:c"),
        (b"cs2:Guest", b"cs2:a=b"),
        (b"cs2:Guest", b"cs2:"),
        (b"cs2:Guest", b"cs2:a  b"),
        (b"cs2:Guest", b"cs2:Guest "),
        (b"cs2:Guest", b"cs2: Guest"),
        (b"cs2:Guest", b"cs2:caf\xc3\xa9"),
        (b"cs2:Guest", b"cs2:a\\b"),
        (b"cs2:Guest", b"cs2:a\tb"),
        (b"dmac:7E", b"dmac:7"),
        (b"D0:3A", b"D0:3A x"),
        (b"D0:3A", b"D0:3A "),
        (b"D0:3A", b"D0:3A dmac:7E:10:9B:55:D0:3B"),
    ],
)
def test_what_is_unusual_is_read_as_the_scanner_does(old: bytes, new: bytes) -> None:
    decoder = Decoder()
    for _ in range(sequences.OFTEN):
        decoder.decode(PROBE, RECEIVED)
    assert by_pattern(decoder, PROBE)
    line = PROBE.replace(old, new)
    assert line != PROBE
    is_quick(decoder, line)


_BITS = st.sampled_from(
    [
        *(bytes([code]) for code in (*b' =:|\\";.@A01-', 0, 9, 13, 27, 127)),
        *(b"\xc3\xa9", b"  ", b" x=1", b" cs2:y", b" action=drop", b" dmac:z", b"groups.3=q"),
    ]
)
LINES = ordinary(400, seed=3)


@settings(max_examples=600, deadline=None)
@given(pick=st.integers(0, 10_000), place=st.integers(0, 10_000), bit=_BITS, cut=st.integers(0, 3))
def test_a_mutated_line_never_becomes_something_else(
    taught: Decoder, pick: int, place: int, bit: bytes, cut: int
) -> None:
    line = LINES[pick % len(LINES)]
    places = [match.start() for match in re.finditer(rb"[ =:|.@]", line)]
    at = places[place % len(places)] + place % 2
    is_quick(taught, line[:at] + bit + line[at + cut :])


def test_groups_that_nobody_reads_are_not_captured() -> None:
    assert capturing(r"a\((b)(c(?:d))(e)", [False, True, False]) == r"a\((?:b)(c(?:d))(?:e)"
    assert re.compile(uncaptured("email")).groups == 0
