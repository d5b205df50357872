"""CEF of other vendors and of the standard: what careful decoders agree on, ours agrees on too.

The vectors (`fixtures/foreign/*.json`: line, header, extension) are written for this project after
the agreement of several decoders that know nothing of each other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lines import RECEIVED

from datto_siem.converters import decode

FOREIGN = Path(__file__).parents[2] / "fixtures" / "foreign"
KEYLESS = "_text"  # where our decoder keeps text that stands before the first key
VECTORS = [
    pytest.param(vector, id=f"{path.stem}: {vector['name']}")
    for path in sorted(FOREIGN.glob("*.json"))
    for vector in json.loads(path.read_text("utf-8"))
]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_header_is_read_as_careful_decoders_read_it(vector: dict[str, Any]) -> None:
    header = decode(vector["line"], received=RECEIVED).header
    assert header is not None
    assert [
        header.version,
        header.vendor,
        header.product,
        header.device_version,
        header.class_id,
        header.name,
        header.severity,
    ] == vector["header"]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_extension_is_read_as_careful_decoders_read_it(vector: dict[str, Any]) -> None:
    event = decode(vector["line"], received=RECEIVED)
    read = {key: text for key, text in event.extension.items() if key != KEYLESS}
    assert read == vector["extension"]


@pytest.mark.parametrize("vector", VECTORS)
def test_bytes_and_text_are_read_alike(vector: dict[str, Any]) -> None:
    text = decode(vector["line"], received=RECEIVED)
    raw = decode(vector["line"].encode(), received=RECEIVED)
    assert (text.header, text.pairs, text.fields, text.notes) == (
        raw.header,
        raw.pairs,
        raw.fields,
        raw.notes,
    )


def test_there_are_enough_vectors_and_no_two_of_one_name() -> None:
    names = [param.id for param in VECTORS]
    assert len(names) >= 120
    assert len(set(names)) == len(names)
