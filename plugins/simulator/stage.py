"""What a story needs to be told: the clock, the dice, the network, and writing one line.

Owns how a line is written: the syslog header before it and the quirks in it. What happens, and in
which order, is the stories' (`wifi`, `edge`, `switches`, `scenarios`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from datto_siem.plugins.simulator import network, oddities
from datto_siem.plugins.simulator.shapes import shapes

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from datto_siem.plugins.simulator.draft import Draft
    from datto_siem.plugins.simulator.network import AccessPoint, Station, Subscriber, Switch
    from datto_siem.plugins.simulator.shapes import Shape

    Story: TypeAlias = "Generator[Line, None, None]"

LOCAL0 = 16 * 8
HEADERS = ("3164", "5424", "none")


class Line(NamedTuple):
    """One record and what it is: `product:class/name`, the row of the source table."""

    label: str
    record: bytes


@dataclass(frozen=True)
class Options:
    """What the traffic is to be like.

    Attributes:
        seed: The same seed and options give the same bytes.
        start: Time of the first line, epoch milliseconds.
        rate: Lines a second of event time; None: as many as such a network would send.
        scenario: Name of an attack or fault, or None.
        quirks: `none`, `real` or `all`.
        header: The syslog header: one of `HEADERS`.
        size: How large the network is.
    """

    seed: int = 1
    start: int = 1_795_514_400_000
    rate: float | None = None
    scenario: str | None = None
    quirks: str = "real"
    header: str = "3164"
    size: network.Size = field(default_factory=network.Size)

    @property
    def natural(self) -> float:
        """Lines a second of event time."""
        return self.rate or max(5.0, self.size.sites * self.size.stations / 8)


class Stage:
    """Where stories happen.

    Attributes:
        now: The time, epoch milliseconds.
        draw: A random number from 0 to 1.
    """

    def __init__(self, options: Options) -> None:
        """Build the network."""
        self.rng = Random(options.seed)  # noqa: S311 - made to be repeated, no secret
        self.draw = self.rng.random
        self.now = options.start
        self.shapes = shapes()
        self.sites = network.build(self.rng, options.size, options.start)
        self.access_points = [each for site in self.sites for each in site.access_points]
        self.stations = [each for site in self.sites for each in site.stations]
        self.subscribers: list[Subscriber] = [x for site in self.sites for x in site.subscribers]
        self.switches: list[Switch] = [each for site in self.sites for each in site.switches]
        self.oddities = oddities.Oddities(options.quirks, self.shapes)
        self._header = options.header
        self._second = -1
        self._stamp = ""

    def say(self, event: str, host: str, values: Mapping[str, object]) -> Line:
        """A line of a documented event, `class/name`."""
        shape = self.shapes[event][0]
        if self.draw() < self.oddities.odds[event]:
            return self._odd(event, host, values)
        text = self._prefix(LOCAL0 + shape.urgency, host) + shape.template % values
        return Line(shape.label, text.encode("utf-8", "surrogateescape"))

    def write(self, draft: Draft, host: str) -> Line:
        """A line from its parts."""
        if not draft.prefix:
            draft.prefix = self._prefix(LOCAL0 + 6, host)
        return Line(f"{draft.product}:{draft.event}", draft.render())

    def text(self, label: str, host: str, priority: int, body: str, own: str = "3164") -> Line:
        """A line that is no CEF, under its own kind of header."""
        header, self._header = self._header, own
        self._second = -1
        line = self._prefix(priority, host) + body
        self._header, self._second = header, -1
        return Line(label, line.encode())

    def pick_station(self, present: bool) -> Station | None:
        """A station that is on an access point, or is not; None if a few tries find none."""
        for _ in range(8):
            found = self.stations[int(self.draw() * len(self.stations))]
            if (found.at is not None) is present and not found.busy:
                return found
        return None

    def pick_access_point(self, station: Station) -> AccessPoint | None:
        """An access point of the station's site that is up, and not the one it is on."""
        choice = [each for each in station.site.access_points if each.up and each != station.at]
        return choice[int(self.draw() * len(choice))] if choice else None

    def pick_subscriber(self, connected: bool) -> Subscriber | None:
        """A subscriber who is connected, or is not; None if a few tries find none."""
        for _ in range(8):
            found = self.subscribers[int(self.draw() * len(self.subscribers))]
            if (found.since is not None) is connected:
                return found
        return None

    def _odd(self, event: str, host: str, values: Mapping[str, object]) -> Line:
        shape: Shape = self.oddities.spelling(event, self.rng)
        draft = shape.draft(values, self.now // 1000)
        self.oddities.apply(draft, self.rng)
        return self.write(draft, host)

    def _prefix(self, priority: int, host: str) -> str:
        if self._header == "none":
            return ""
        second = self.now // 1000
        if second != self._second:
            self._second = second
            moment = datetime.fromtimestamp(second, timezone.utc)
            if self._header == "3164":
                self._stamp = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"
            else:
                self._stamp = f"{moment:%Y-%m-%dT%H:%M:%S}"
        if self._header == "3164":
            return f"<{priority}>{self._stamp} {host} "
        return f"<{priority}>1 {self._stamp}.{self.now % 1000:03d}Z {host} datto - - - "
