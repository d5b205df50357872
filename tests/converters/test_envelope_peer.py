"""Whoever sent a record: an address where there is one, never a file's name in an address field."""

from __future__ import annotations

import json

import pytest

from datto_siem.converters import Converter
from datto_siem.converters.identity import uid

RECEIVED = 1_795_514_400_000
LINE = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300456 dmac:02:00:5E:10:00:01"
LONG = b" smac=02:00:5E:10:00:02 cs2:Guest"


@pytest.mark.parametrize("target", ["ecs", "cim", "ocsf", "asim", "csl"])
@pytest.mark.parametrize("peer", ["/var/log/datto.log", "host.example", "192.0.2.300", "fe80::1%2"])
def test_what_is_no_address_is_in_no_document(target: str, peer: str) -> None:
    converter = Converter(target)
    texts = {converter.encode(LINE + LONG, RECEIVED, peer, "u") for _ in range(60)}
    assert len(texts) == 1  # by the interpreter at first, by a shape later
    assert json.dumps(peer)[1:-1] not in texts.pop().decode()


def test_an_address_is_the_observers_and_every_peer_counts_in_the_id() -> None:
    converter = Converter("ecs")
    for peer in ("192.0.2.9", "2001:db8::9"):
        document = json.loads(converter.encode(LINE + LONG, RECEIVED, peer))
        assert document["observer"]["ip"] == [peer]
    ocsf = json.loads(Converter("ocsf").encode(LINE + LONG, RECEIVED, "/var/log/a", None, 3))
    assert ocsf["metadata"]["uid"] == uid(LINE + LONG, "/var/log/a", RECEIVED, 3)
