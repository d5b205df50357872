"""Times and durations in generated source: reckoned in seconds, written from the record's digits.

A time in its strict form is thirteen digits. Its seconds since a late hour are a small number, and
its last three digits stand in the output as they stand in the record, so neither the whole number
nor its remainder needs to be worked out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters import times
from datto_siem.converters.clock import FRACTIONS, HOURS, LATE, LATE_HOUR, MILLISECONDS
from datto_siem.converters.leaves import Leaves
from datto_siem.converters.pieces import literal, source, variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.tables.expression import Expr


class Timed(Leaves):
    """Writes times and durations.

    Attributes:
        times: Wire key of a time -> the variables of its value and its text.
        seconds: Variable of a time -> that of its seconds since `LATE`.
        tails: Variable of a time -> that of its three last digits.
        spans: Variable of a duration -> that of its whole seconds, as text.
    """

    def __init__(self, lookups: Lookups, types: Mapping[str, str]) -> None:
        """`types` are the vocabulary's: field -> type."""
        super().__init__(lookups, types)
        self.times: dict[str, tuple[str, str]] = {}
        self.seconds: dict[str, str] = {}
        self.tails: dict[str, str] = {}
        self.spans: dict[str, str] = {}
        self.texts["r"] = "j"  # the receive time, the same for many
        self.constants.update(
            {
                "_hours": HOURS,
                "_clocks": times.CLOCKS,
                "_fractions": FRACTIONS,
                "_milliseconds": MILLISECONDS,
            }
        )

    def strict_time(self, key: str, text: str, more: Sequence[str]) -> str:
        """A time's variable.

        Args:
            key: Its wire key.
            text: The variable of its digits.
            more: Those of its seconds without their first digit, and of its milliseconds.
        """
        extra = 1_000_000_000 - LATE  # the digit that is left out
        seconds = self.assign(f"int({more[0]}) + {extra}", True)
        self.line(f"if {more[0]} >= l: return None")  # as many digits, so texts tell
        when = self.assign(f"int({text})", True)
        self.texts[when] = text
        self.seconds[when] = seconds
        self.tails[when] = more[1]
        self.times[key] = (when, text)
        return when

    def strict_span(self, text: str) -> str:
        """A duration's variable, by that of its whole seconds."""
        length = self.assign(f"int({text}) * 1000", True)
        self.spans[length] = text
        return length

    def minus(self, expr: Expr) -> str:
        """A difference."""
        left, right = self.value(expr[1]), self.value(expr[2])
        if left in self.seconds and right in self.seconds:
            whole = f"({self.seconds[left]} - {self.seconds[right]}) * 1000"
            rest = f"_milliseconds[{self.tails[left]}] - _milliseconds[{self.tails[right]}]"
            found = self.assign(f"{whole} + {rest}", True)
            return self.assign(f"{found} if {found} >= 0 else None")
        if left in self.seconds and right in self.spans:  # all times are later than spans are long
            found = self.assign(f"{left} - {right}", True)
            seconds = f"{self.seconds[left]} - int({self.spans[right]})"
            self.seconds[found] = self.assign(seconds, True)
            self.tails[found] = self.tails[left]
            return found
        if self.sure(left) and self.sure(right):
            return self.assign(f"{left} - {right} if {left} >= {right} else None")
        return super().minus(expr)

    def fmt(self, expr: Expr) -> str:
        """A MAC, time or duration in written form."""
        type_, style = expr[1]
        inner = self.value(expr[2])
        if type_ == "time" and style == "iso8601" and inner == "r":
            return "i"
        text = self.texts.get(inner, "")
        write: Callable[[str, str], str] | None = None
        if type_ == "duration" and style == "nanoseconds" and inner in self.spans:
            write = self._nanoseconds
        elif type_ == "time" and style == "seconds" and text:
            write = self._in_seconds
        elif type_ == "time" and style == "iso8601" and (text or inner in self.seconds):
            write = self._iso
        written = ("shaped", style, inner)
        if write is None or written in self.known:
            return self.known.get(written) or super().fmt(expr)
        atom = write(inner, text)
        if self.depth == 1:  # inside a branch it may not have been worked out
            self.known[written] = atom
        return atom

    def _nanoseconds(self, inner: str, _: str) -> str:
        span = self.spans[inner]
        atom = self.assign(f"{inner} * 1000000", True)
        self.texts[atom] = self.assign(f"{span} + '000000000' if {span} != '0' else '0'", True)
        return atom

    def _in_seconds(self, inner: str, text: str) -> str:
        atom = self.assign(f"{inner} / 1000", True)
        tail = self.tails.get(inner) or f"{text}[10:]"
        self.texts[atom] = self.assign(f"{text}[:10] + _fractions[{tail}]", True)
        return atom

    def _iso(self, inner: str, text: str) -> str:
        hour = f"_hours[{inner} // 3600000 - {LATE_HOUR}]"
        clock = f"_clocks[{inner} // 1000 % 3600]"
        if inner in self.seconds:
            seconds = self.seconds[inner]
            hour = f"_hours[{seconds} // 3600]"
            clock = f"_clocks[{seconds} % 3600]"
        parts = [self.assign(each, True) for each in (hour, clock)]
        tail = self.tails.get(inner) or f"{text}[10:]"
        pieces = (*map(variable, (*parts, tail)), literal("Z"))
        atom = self.assign(source(pieces), True)
        self.inlines[atom] = pieces
        return atom
