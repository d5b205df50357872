"""Which quirks a line gets, and how often: none, those to be expected of real devices, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Imported in the order in which their quirks are applied.
from datto_siem.plugins.simulator import quirk_values, quirk_keys, quirk_frame, quirks  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from datto_siem.plugins.simulator.draft import Draft
    from datto_siem.plugins.simulator.shapes import Shape

CHOICES = ("none", "real", "all")
REGISTERED_BY = (quirk_values, quirk_keys, quirk_frame)

# Event, or its class with `/*`, or its product -> quirk -> share of its lines. What the vendor's
# own examples show comes often; what relays and firmware do to any line comes seldom.
REAL: Mapping[str, Mapping[str, float]] = {
    "traffigatord/drop": {"glued_pair": 0.5},
    "coredns/drop": {"domain_missing": 0.25, "external_type_typo": 0.25},
    "coredns/allow": {"socket_swapped": 0.05, "src_addr_ampersand": 0.03},
    "instance-agent/disconnected": {"duration_timestamp": 0.4, "duration_go": 0.1},
    "system/boot": {"time_1970": 0.3},
    "dhcp/up": {"host_odd": 0.04, "host_empty": 0.04},
    "wifi/deauth": {"other_spelling": 0.2},
    "access_point": {"equals_separators": 0.01, "time_seconds": 0.01, "cef_blank": 0.002},
    "secure_edge": {"shuffled": 0.04, "time_rfc3339": 0.002, "external_type_case": 0.01},
}
SPELLING = "other_spelling"  # the event under another of its names: no quirk of the registry


class Oddities:
    """The quirks of one run.

    Attributes:
        odds: `class/name` -> how likely a line of it has any.
    """

    def __init__(self, choice: str, shapes: Mapping[str, list[Shape]]) -> None:
        """`choice` is one of `CHOICES`."""
        self._all = choice == "all"
        self._shapes = shapes
        self._weights: dict[str, dict[str, float]] = {}
        self._groups = groups()
        for event, (shape, *_) in shapes.items():
            mine = {**REAL.get(shape.product, {}), **REAL.get(event, {})}
            self._weights[event] = mine if choice == "real" else {}
        self.odds = {
            event: 1.0 if self._all else sum(weights.values())
            for event, weights in self._weights.items()
        }

    def spelling(self, event: str, rng: Random) -> Shape:
        """The shape to write, under one of its names."""
        names = self._shapes[event]
        if len(names) == 1 or self._all:
            return rng.choice(names)
        weights = self._weights[event]
        other = rng.random() < weights.get(SPELLING, 0) / sum(weights.values())
        return rng.choice(names[1:]) if other else names[0]

    def apply(self, draft: Draft, rng: Random) -> None:
        """Give a draft one quirk, or with `all` at most one of each group."""
        if self._all:
            return apply_some(draft, rng, self._groups)
        weights = {k: v for k, v in self._weights[draft.event].items() if k != SPELLING}
        name = rng.choices(tuple(weights), tuple(weights.values()))[0]
        if quirks.REGISTRY[name].change(draft, rng):
            draft.quirks.append(name)
        return None


def groups() -> dict[str, list[quirks.Quirk]]:
    """Group -> its quirks, both in the order of registration."""
    found: dict[str, list[quirks.Quirk]] = {}
    for item in quirks.REGISTRY.values():
        found.setdefault(item.group, []).append(item)
    return found


def apply_some(draft: Draft, rng: Random, among: Mapping[str, list[quirks.Quirk]]) -> None:
    """Apply at most one quirk of each group, in the order of registration."""
    for group, items in among.items():
        if group == "order" and draft.injected:
            continue  # the vendor's order is what tells the true value of an access point
        chosen = rng.choice(items)
        odds = 0.7 if group == "prefix" else 0.08 if chosen.wild else 0.15
        if rng.random() < odds and chosen.change(draft, rng):
            draft.quirks.append(chosen.name)
