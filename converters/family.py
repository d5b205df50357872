"""The shapes of a header's records, or of all its names', and whether they are worth trying."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datto_siem.converters.assembly import Shape
    from datto_siem.converters.spelling import Spelling

NOTED, UNKNOWN, BOTH = 1, 2, 3
_IN_VAIN = 32
_REST = 31
"""After so many records in a row that no shape of their header took, so many are not tried: a flood
shall cost no more than the ordinary way, and what comes after it loses little."""


class Family:
    """The shapes of one header, or of all names of one.

    Attributes:
        marks: `NOTED` when its records always have a note, as those that are inferred, `UNKNOWN`
            when no table row names the event, `BOTH`, or 0.
        in_vain: Records in a row that no shape took.
        rest: Records still to come that are not tried.
    """

    __slots__ = (
        "in_vain",
        "marks",
        "met",
        "patience",
        "rest",
        "shapes",
        "spellings",
        "taught",
    )

    def __init__(self, patience: int) -> None:
        """No shapes yet; `patience` is after how many records the first is made."""
        self.met = 0
        self.patience = patience
        self.shapes: list[Shape] = []
        self.spellings: list[Spelling] = []
        self.taught: set[tuple[Spelling, int]] = set()
        self.marks = 0
        self.in_vain = 0
        self.rest = 0

    def miss(self) -> None:
        """No shape took a record that was tried."""
        self.in_vain += 1
        if self.in_vain >= _IN_VAIN:
            self.rest = _REST
