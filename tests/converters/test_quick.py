"""The quick way through a plain record finds what the scanner finds, or nothing."""

from __future__ import annotations

import os

from cases import RECEIVED
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rule_corpus import corpus

from datto_siem.converters import decode
from datto_siem.converters.event import Parts

UUID = "3f2b0c1e-5a77-4c1b-9a33-0c1d2e3f4a5b"
HEADS = (
    "CEF:1|Datto|AccessPoint|7.1.0|wifi|auth|0|",
    "CEF:1|Datto|AccessPoint|7.1.0|dhcp|up|0|",
    "CEF:1|Datto|Secure Edge|1.2.1|coredns|allow|0|",
    "CEF:1|Datto|Secure Edge|1.2.1|traffigatord|drop|7|",
    "CEF:1|Datto|Secure Edge|1.2.1|telemeterd|flow|0|",
)
KEYS = (
    *("rt", "smac", "dmac", "cs2", "dvc", "dvchost", "reason", "domain", "policy_id", "proto"),
    *("external_id", "client_ip", "subscriber", "groups.0", "groups.11", "other", "query_time"),
)
VALUES = (
    *("", "1", "136", UUID, "02:00:5E:10:00:09", "192.0.2.1", "Guest", "a.co", "peer", "é"),
    *("1795514300456", "drop", "x=y", "AP_MAC_ADDR", "\\=", "\t"),
)


pair = st.builds(
    "{}{}{}".format, st.sampled_from(KEYS), st.sampled_from("=:"), st.sampled_from(VALUES)
)
word = st.one_of(pair, st.builds("{}{}".format, pair, pair), st.sampled_from(VALUES))


def taken(line: bytes) -> bool:
    """Whether the quick way was taken; the scanner must then find the same."""
    event = decode(line, RECEIVED)
    if event.quick is None:
        return False
    scanned = Parts(event.early)
    event.entry.scan(event, scanned)
    assert list(event.quick.items()) == scanned.pairs
    assert sorted(event.repairs or ()) == sorted(scanned.notes[len(event.early or ()) :])
    return True


def test_the_whole_corpus() -> None:
    ways = [taken(case.line) for case in corpus()]
    assert sum(ways) > len(ways) / 2


@settings(max_examples=int(os.environ.get("DATTO_QUICK", "1500")))
@given(st.sampled_from(HEADS), st.lists(word, max_size=7))
@example(HEADS[2], [f"domain=a.coexternal_id={UUID}"])
@example(HEADS[1], ["cs2=Guestdmac=02:00:5E:10:00:09"])
@example(HEADS[3], ["peer_id=a=bsubscriber="])
@example(HEADS[3], [f"policy_id=136external_id={UUID}", "peer", "client_ip=192.0.2.1"])
def test_any_words(head: str, words: list[str]) -> None:
    taken((head + " ".join(words)).encode())
