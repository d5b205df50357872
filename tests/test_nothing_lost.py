"""Each pair of a line is found in each document: as it was, normalised, or among the leftovers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cases import PEER, RECEIVED, TARGETS
from lines import generate

from datto_siem.converters import Converter
from datto_siem.converters.casts import CASTS
from datto_siem.converters.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters import Event
    from datto_siem.converters.interpret import Run

# where the leftover place keeps pairs that no row carries, a document may say a value another way
PACKED = {"csl"}  # `k=v;k=v` in one column, `;` inside a value written %3B


def texts(node: Any) -> Iterator[str]:
    """Every leaf of a document as text."""
    if isinstance(node, dict):
        for child in node.values():
            yield from texts(child)
    elif isinstance(node, list):
        for child in node:
            yield from texts(child)
    elif isinstance(node, bool):
        yield str(node).lower()
    else:
        yield str(node)


def spellings(event: Event, key: str, text: str) -> set[str]:
    """The ways a value may be written: as sent, folded, or in the form of its type."""
    found = {
        text,
        text.lower(),
        text.upper(),
        text.lower().removesuffix("."),
        text.replace(";", "%3B"),
    }
    for cast in event.reading.casts:
        if cast.key != key or cast.kind not in CASTS:
            continue
        value = CASTS[cast.kind].read(text, event.received)
        parts = value.values() if isinstance(value, dict) else [value]
        for part in parts:
            if isinstance(part, str):
                found |= {part, part.lower(), part.replace(":", "-")}
            elif isinstance(part, int):
                found |= {str(part), str(part / 1000), str(part // 1000), str(part * 1_000_000)}
                if cast.kind in ("time", "span"):
                    found.add(iso(part))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_every_pair_is_found(target: str) -> None:
    converter = Converter(target)
    for line in generate(1_500, seed=21):
        event = converter.decoder.decode(line.raw, RECEIVED, PEER)
        run = converter.run(event)
        said = {key for key, expr in run.plan.said if _present(run, expr, converter)}
        leaves = set(texts(json.loads(json.dumps(run.document))))
        packed = " ".join(leaves) if target in PACKED else ""
        for key, text in event.pairs:
            if not text or key in said:
                continue
            ways = spellings(event, key, text)
            there = ways & leaves or any(way in packed for way in ways if packed)
            parts = _compound(event, key, text, leaves)
            assert there or parts, (key, text, line.raw, run.document)


def _present(run: Run, expr: Any, converter: Converter) -> bool:
    from datto_siem.converters.evaluate import evaluate

    return evaluate(expr, run.values, converter.tables.lookups) is not None


def _compound(event: Event, key: str, text: str, leaves: set[str]) -> bool:
    """A value in parts: an address with its port, a user with the domain, a numbered list."""
    if key in event.parts.listed:
        return any(text in leaf for leaf in leaves)
    for cast in event.reading.casts:
        if cast.key == key and cast.kind in CASTS:
            value = CASTS[cast.kind].read(text, event.received)
            if isinstance(value, dict):
                return all(str(part) in leaves for part in value.values())
    return False


def test_what_no_row_knows_is_among_the_leftovers() -> None:
    raw = (
        b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300412 smac=02:00:5E:10:00:03 beam=7"
    )
    homes = {
        "ecs": ("datto", "extensions", "beam"),
        "cim": ("datto_beam",),
        "ocsf": ("unmapped", "beam"),
        "asim": ("AdditionalFields", "beam"),
    }
    for target, path in homes.items():
        converter = Converter(target)
        node: Any = converter(converter.decoder.decode(raw, RECEIVED))
        for part in path:
            node = node[part]
        assert node == "7"
    row = Converter("csl")(converter.decoder.decode(raw, RECEIVED))
    assert row["AdditionalExtensions"] == "beam=7"


def test_a_key_cannot_take_the_place_of_a_field() -> None:
    raw = (
        b"CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|action=drop event_id=x text=y _time=1 "
        b"vendor=evil ssid=z cef_severity=9"
    )
    converter = Converter("cim")
    document = converter(converter.decoder.decode(raw, RECEIVED))
    assert document["_time"] == RECEIVED // 1000
    assert document["vendor"] == "Datto"
    assert document["datto_raw_event_id"] == "x"
    assert document["datto_event_id"] != "x"
    converter = Converter("ocsf")
    document = converter(converter.decoder.decode(raw, RECEIVED))
    assert document["unmapped"]["cef_severity"] == "7"
    assert document["unmapped"]["raw_cef_severity"] == "9"


def test_a_semicolon_cannot_forge_a_pair_in_the_column_of_pairs() -> None:
    raw = b"CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|action=drop domain=a;action=allow"
    converter = Converter("csl")
    row = converter(converter.decoder.decode(raw, RECEIVED))
    assert "domain=a%3Baction=allow" in row["AdditionalExtensions"].split(";")
