"""A batch's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.plugins.forwarder import columns
from datto_siem.plugins.source import Arrival

PEERS = st.text(max_size=20) | st.sampled_from(["192.0.2.1", "2001:db8::1", "", "bad\udcff"])
ARRIVALS = st.lists(
    st.builds(Arrival, st.binary(max_size=300), st.integers(-(2**63), 2**63 - 1), PEERS),
    min_size=1,
    max_size=30,
)


@given(first=st.integers(0, 2**63), given_arrivals=ARRIVALS)
def test_what_was_put_in_comes_out(first: int, given_arrivals: list[Arrival]) -> None:
    blob = columns.encode(first, given_arrivals)
    records = columns.decode(blob)
    assert [(r.raw, r.received, r.peer) for r in records] == given_arrivals
    assert [r.offset for r in records] == list(range(first, first + len(records)))
    assert columns.extent(blob) == (first, len(records))
    assert list(columns.times(blob)) == [each.received for each in given_arrivals]


@given(given_arrivals=ARRIVALS, data=st.data())
def test_any_damaged_byte_is_noticed(given_arrivals: list[Arrival], data: st.DataObject) -> None:
    blob = bytearray(columns.encode(7, given_arrivals))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(columns.Damaged):
        columns.decode(bytes(blob))


@given(given_arrivals=ARRIVALS, data=st.data())
def test_a_cut_batch_is_noticed(given_arrivals: list[Arrival], data: st.DataObject) -> None:
    blob = columns.encode(7, given_arrivals)
    with pytest.raises(columns.Damaged):
        columns.decode(blob[: data.draw(st.integers(0, len(blob) - 1))])


@given(junk=st.binary(max_size=200))
def test_junk_is_no_batch(junk: bytes) -> None:
    with pytest.raises(columns.Damaged):
        columns.decode(junk)
