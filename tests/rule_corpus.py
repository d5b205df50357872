"""Lines that generated rules are held against the converter on, and how the two are compared."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cases import FIXTURES, PEER, RECEIVED, folders
from lines import generate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.converters import Converter

SIMULATED = 5_000


class Case(NamedTuple):
    """One record, its place in the whole corpus, and where it comes from."""

    ordinal: int
    origin: str
    line: bytes


@cache
def fixtures() -> tuple[Case, ...]:
    """Every line of the fixture folders."""
    found = []
    for folder in folders():
        for line in (folder / "event.log").read_bytes().split(b"\n"):
            if line.strip():
                origin = f"{folder.parent.name}/{folder.name}"
                found.append(Case(len(found), origin, line))
    return tuple(found)


@cache
def hostile() -> tuple[Case, ...]:
    """The hostile corpus: each file split at line feeds, as a shipper would."""
    found = []
    for path in sorted((FIXTURES / "hostile").glob("*.log")):
        for line in path.read_bytes().split(b"\n"):
            if line.strip():
                found.append(Case(10_000 + len(found), f"hostile/{path.stem}", line))
    return tuple(found)


@cache
def simulated(count: int = SIMULATED) -> tuple[Case, ...]:
    """Generated traffic with every quirk, line feeds inside a record left out."""
    lines = (line for line in generate(count, seed=23) if b"\n" not in line.raw)
    return tuple(
        Case(
            20_000 + at, f"simulated/{line.product}/{line.event}/{'+'.join(line.quirks)}", line.raw
        )
        for at, line in enumerate(lines)
    )


def corpus() -> tuple[Case, ...]:
    """All of it, the fixtures first."""
    return (*fixtures(), *hostile(), *simulated())


def document(converter: Converter, case: Case) -> dict[str, Any]:
    """What the converter makes of a case: the truth."""
    found: dict[str, Any] = json.loads(
        converter.encode(case.line, RECEIVED, PEER, None, case.ordinal)
    )
    return found


def differences(
    expected: Mapping[str, Any], got: Mapping[str, Any], at: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(path, expected, got) where two documents differ; absent is None. Lists are leaves."""
    for key in sorted({*expected, *got}):
        path = f"{at}.{key}" if at else key
        left, right = expected.get(key), got.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from differences(left, right, path)
        elif left != right or (isinstance(left, bool) != isinstance(right, bool)):
            yield path, left, right
