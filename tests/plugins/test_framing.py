"""Records out of a stream are the same however the stream is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datto_siem.plugins.framing import Framing, Mode

LONGEST = 24
TOKENS = [
    b"\n",
    b"\r\n",
    b"\0",
    b"<34>",
    b"CEF:1|a",
    b"7 <1>abc",
    b"12 ",
    b"5 CEF:",
    b"0",
    b"9",
    b" ",
]
BYTES = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=40)).map(b"".join)
MODES: list[Mode] = ["auto", "octet", "lf", "nul"]


def taken(mode: Mode, pieces: list[bytes], longest: int = LONGEST) -> tuple[list[bytes], int, int]:
    framing = Framing(mode, longest)
    records = [record for piece in pieces for record in framing.feed(piece)]
    records += framing.end()
    return records, framing.errors, framing.cut


def records(stream: bytes, mode: Mode = "auto", longest: int = 1000) -> list[bytes]:
    return taken(mode, [stream], longest)[0]


@given(BYTES, st.lists(st.integers(0, 200)), st.sampled_from(MODES))
@example(b"12 <34>abc\nxx<1>\n", [3, 7], "auto")
@example(b"\n\n7 <1>abc\n7", [1, 2, 3], "auto")
def test_pieces_do_not_matter(stream: bytes, cuts: list[int], mode: Mode) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    whole = taken(mode, [stream])
    assert taken(mode, pieces) == whole
    assert taken(mode, [stream[at : at + 1] for at in range(len(stream))]) == whole


@given(st.lists(st.binary(min_size=1, max_size=60).map(lambda raw: b"<34>" + raw + b".")))
def test_counted_records_come_back_whatever_is_in_them(sent: list[bytes]) -> None:
    stream = b"".join(b"%d %b" % (len(raw), raw) for raw in sent)
    assert taken("auto", [stream], 1000) == (sent, 0, 0)


@given(BYTES, st.sampled_from(MODES))
def test_no_record_is_longer_than_the_cap_and_none_is_empty(stream: bytes, mode: Mode) -> None:
    assert all(0 < len(record) <= LONGEST for record in taken(mode, [stream])[0])


@given(st.binary(max_size=200))
def test_lines_lose_nothing_but_their_endings(stream: bytes) -> None:
    found = records(stream, "lf")
    assert found == [line for each in stream.split(b"\n") if (line := each.rstrip(b"\r\n\0"))]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"<34>a\n<34>b\n", [b"<34>a", b"<34>b"]),
        (b"<34>a\r\n\r\n<34>b", [b"<34>a", b"<34>b"]),
        (b"<34>a\0<34>b\0", [b"<34>a", b"<34>b"]),
        (b"<34>a\0<34>b\n<34>c", [b"<34>a", b"<34>b", b"<34>c"]),
        (b"<34>a\n<34>b\0c\n", [b"<34>a", b"<34>b\0c"]),
        (b"5 <34>a5 <34>b", [b"<34>a", b"<34>b"]),
        (b"7 CEF:0|a\n7 CEF:0|b\n", [b"CEF:0|a", b"CEF:0|b"]),
        (b"7 <34>a\nb5 <34>c", [b"<34>a\nb", b"<34>c"]),
        (b"2026-11-24T10:00:00Z gw CEF:1|x\n", [b"2026-11-24T10:00:00Z gw CEF:1|x"]),
        (b"1|Datto|x\n0|Datto|y\n", [b"1|Datto|x", b"0|Datto|y"]),
        (b"12 apples\n", [b"12 apples"]),
        (b"12", [b"12"]),
        (b"\n\n", []),
    ],
)
def test_framing_is_found_out(stream: bytes, expected: list[bytes]) -> None:
    assert records(stream) == expected


def test_a_line_cannot_choose_to_be_a_count() -> None:
    assert records(b"<34>a\n200 <34>b\n<34>c\n") == [b"<34>a", b"200 <34>b", b"<34>c"]


def test_a_broken_count_costs_one_line_and_is_counted() -> None:
    assert taken("auto", [b"5 <34>a<34>oops\n5 <34>b"]) == ([b"<34>a", b"<34>oops", b"<34>b"], 1, 0)
    assert taken("octet", [b"999999999 <34>a\n5 <34>b"])[1:] == (1, 0)


def test_what_is_above_the_cap_is_cut_counted_and_skipped() -> None:
    long = b"<34>" + b"a" * 100
    assert taken("auto", [long + b"\n<34>b\n"]) == ([long[:LONGEST], b"<34>b"], 0, 1)
    counted = b"%d %b5 <34>b" % (len(long), long)
    assert taken("auto", [counted]) == ([long[:LONGEST], b"<34>b"], 0, 1)


def test_a_frame_that_does_not_end_is_kept_and_counted() -> None:
    assert taken("auto", [b"50 <34>half"]) == ([b"<34>half"], 1, 0)


def test_pending_tells_of_a_record_that_has_begun() -> None:
    framing = Framing("auto", 100)
    assert not framing.pending
    framing.feed(b"<34>a")
    assert framing.pending
    framing.feed(b"\n")
    assert not framing.pending


@given(BYTES, st.integers(0, 200))
def test_a_stream_read_again_from_what_is_not_given_out_goes_on(stream: bytes, cut: int) -> None:
    whole, first = Framing("lf", LONGEST), Framing("lf", LONGEST)
    expected = whole.feed(stream) + whole.end()
    found = first.feed(stream[:cut])
    again = Framing("lf", LONGEST)
    if first.skipping:
        again.skip_line()
    place = len(stream[:cut]) - first.held
    assert found + again.feed(stream[place:]) + again.end() == expected
