"""Realistic Datto lines with what a careful reader must make of them.

`generate` draws the traffic of a network, quirks and all, the same for a seed on every machine;
`with_quirk` gives lines with just one named quirk. The lines come from the source tables read as
plain YAML; values, quirks and rendering are the simulator's, which reads nothing; what must be
found is `corpus.oracle`'s. So a decoder is compared with something it did not help to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from corpus.catalogue import TEXTS, Event, documented, events, samples
from corpus.oracle import expected

from datto_siem.plugins.simulator import quirks
from datto_siem.plugins.simulator.draft import LIMITS, Draft
from datto_siem.plugins.simulator.oddities import apply_some, groups
from datto_siem.plugins.simulator.undocumented import GARBAGE, unknown
from datto_siem.plugins.simulator.values import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["QUIRKS", "RECEIVED", "Line", "events", "generate", "plain", "samples", "with_quirk"]

# The receive time to decode these lines with: epoch milliseconds, 2026-11-24T10:00:00Z.
RECEIVED = NOW * 1000
QUIRKS: tuple[str, ...] = tuple(quirks.REGISTRY)


@dataclass(frozen=True)
class Line:
    """One record and what it must decode to.

    Attributes:
        raw: The record's bytes, without a line feed.
        product: `access_point`, `secure_edge`, `switch` or `other`.
        event: `class/name` of the source table's row; `*/*` without a row, `text`, `undecodable`.
        expected: Wire key -> text, for every key on which careful readers must agree.
        clean: Nothing forged, cut or told twice differently: `expected` is then all there is.
        quirks: Names of the quirks, in the order applied.
        header: Version, vendor, product, device version, class id, name, severity; () if none.
    """

    raw: bytes
    product: str
    event: str
    expected: dict[str, str]
    clean: bool
    quirks: tuple[str, ...]
    header: tuple[str, ...] = ()


def generate(count: int, seed: int = 1) -> Iterator[Line]:
    """Draw the traffic of a network.

    Args:
        count: How many lines.
        seed: The same seed gives the same lines.

    Yields:
        About 88 % documented events, the rest unknown events, switches, texts and garbage.
    """
    rng = Random(seed)  # noqa: S311 - a reproducible corpus, no secret
    for _ in range(count):
        kind = rng.random()
        if kind < 0.02:
            yield _text(rng.choice(GARBAGE), "other", "undecodable")
        elif kind < 0.05:
            yield _text(rng.choice(TEXTS), "switch", "text")
        else:
            draft = unknown(rng) if kind < 0.12 else documented(_drawn(rng), rng)
            apply_some(draft, rng, groups())
            yield _finish(draft)


def with_quirk(name: str, count: int = 20, seed: int = 1) -> Iterator[Line]:
    """Lines that have one named quirk and no other, over every event that can have it.

    Args:
        name: One of `QUIRKS`.
        count: How many lines.
        seed: The same seed gives the same lines.

    Yields:
        Lines of the documented events, in turn.

    Raises:
        KeyError: There is no quirk of that name.
    """
    change = quirks.REGISTRY[name].change
    rng = Random(seed)  # noqa: S311 - a reproducible corpus, no secret
    made = tried = 0
    while made < count:
        event = events()[tried % len(events())]
        tried += 1
        if tried > 50 * len(events()) and not made:
            raise AssertionError(f"no event can have the quirk {name}")
        draft = documented(event, rng)
        if change(draft, rng):
            draft.quirks.append(name)
            made += 1
            yield _finish(draft)


def plain(event: str, seed: int = 1) -> Line:
    """One line of an event (`class/name` as the line has it) just as the vendor's page has it."""
    rng = Random(seed)  # noqa: S311 - a reproducible corpus, no secret
    found = next(item for item in events() if event in (item.event, item.spelling))
    return _finish(documented(found, rng))


def _drawn(rng: Random) -> Event:
    """Any event with equal odds, then any of its spellings."""
    row = rng.choice(sorted({(item.product, item.event) for item in events()}))
    return rng.choice([item for item in events() if (item.product, item.event) == row])


def _finish(draft: Draft) -> Line:
    raw = draft.render()
    names = draft.quirks
    cut = draft.cut is not None
    tail = raw.rstrip(b"\r\0 ")
    if (len(tail) - len(tail.rstrip(b"\\"))) % 2:
        names = [*names, "ends_inside_an_escape"]  # as a cut line would
        cut = True
    if not cut and {len(raw), len(tail)} & set(LIMITS):
        names = [*names, "ends_at_a_limit"]
        cut = True
    known = expected(draft)
    if "ends_at_a_limit" in names and draft.pairs:
        known.pop(draft.pairs[-1].key, None)
    clean = not draft.injected and not cut and set(known) == {p.key for p in draft.pairs}
    header = (draft.version, *draft.header)
    return Line(raw, draft.product, draft.event, known, clean, tuple(names), header)


def _text(text: str, product: str, event: str) -> Line:
    return Line(text.encode(), product, event, {}, clean=True, quirks=())
