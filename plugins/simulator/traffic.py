"""Traffic: what happens next, and when.

Ordinary events are cards of a deck that is shuffled, dealt and shuffled again, so that the mix is
exact and every event comes in each thousand cards. Stories that have begun go on among them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import edge, switches, wifi
from datto_siem.plugins.simulator.scenarios import SCENARIOS
from datto_siem.plugins.simulator.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from datto_siem.plugins.simulator.stage import Line, Options, Story

AT_ONCE: tuple[tuple[int, Callable[[Stage], Line | None]], ...] = (  # how often in a deck
    (260, wifi.probe),
    (300, edge.allow),
    (300, edge.flow),
    (25, edge.block),
    (10, edge.app_block),
    (10, switches.text),
    (2, switches.undocumented),
)
STORIES: tuple[tuple[int, Callable[[Stage], Story]], ...] = (
    (13, wifi.arrive),
    (12, wifi.leave),
    (10, wifi.roam),
    (2, wifi.mistype),
    (1, wifi.restart),
    (6, edge.connect),
    (6, edge.disconnect),
)
GO_ON = 0.6  # how likely a story that has begun goes on before anything else
LEAST, MOST = 0.25, 0.9  # share of a scenario's lines


def traffic(options: Options) -> Iterator[Line]:
    """The lines of a network, without end.

    Args:
        options: What it is to be like.
    """
    stage = Stage(options)
    draw, step = stage.draw, 1000 / options.natural
    attack, share = None, 0.0
    if options.scenario is not None:
        scenario = SCENARIOS[options.scenario]
        attack = scenario.story(stage)
        share = min(max(scenario.pace / options.natural, LEAST), MOST)
    running: deque[Story] = deque()
    cards = _cards(stage, options.quirks == "all")
    number = 0
    while True:
        line: Line | None
        if attack is not None and draw() < share:
            line = next(attack)
        elif running and draw() < GO_ON:
            story = running.popleft()
            line = next(story, None)
            if line is not None:
                running.append(story)
        else:
            at_once, story_of = next(cards)
            line = at_once(stage) if at_once else None
            if story_of:
                running.append(story_of(stage))
        if line is not None:
            yield line
            number += 1
            stage.now = options.start + int(number * step)


def _cards(
    stage: Stage, garbage: bool
) -> Iterator[tuple[Callable[[Stage], Line | None] | None, Callable[[Stage], Story] | None]]:
    """Cards: something that happens at once, or a story that begins."""
    deck: list[tuple[Callable[[Stage], Line | None] | None, Callable[[Stage], Story] | None]] = []
    for count, at_once in (*AT_ONCE, *(((20, switches.garbage),) if garbage else ())):
        deck += [(at_once, None)] * count
    for count, story in STORIES:
        deck += [(None, story)] * count
    while True:
        stage.rng.shuffle(deck)
        yield from deck
