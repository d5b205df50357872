"""The registry of quirks: each a named way in which a real line may differ from the page.

A quirk is a function of (draft, rng) that changes the draft and says whether it could. Quirks of
one group exclude each other. They are applied in the order of registration, so the modules that
register them are imported in the order values, keys, frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from datto_siem.plugins.simulator.draft import Draft

    Change = Callable[[Draft, Random], bool]


class Quirk(NamedTuple):
    """One named quirk."""

    name: str
    group: str
    change: Change
    wild: bool  # forged or cut: drawn seldom


REGISTRY: dict[str, Quirk] = {}


def quirk(group: str, name: str | None = None, wild: bool = False) -> Callable[[Change], Change]:
    """Register a function as the quirk of its name."""

    def register(change: Change) -> Change:
        called = name or change.__name__
        if called in REGISTRY:
            raise ValueError(f"two quirks are called {called}")
        REGISTRY[called] = Quirk(called, group, change, wild)
        return change

    return register
