"""The half of `explain` about writing: each output field, its origin and its table row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import given
from datto_siem.converters.evaluate import evaluate
from datto_siem.converters.leftovers import fill_columns, gather
from datto_siem.converters.tables.expression import names
from datto_siem.plugins.shown import escaped, quoted, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters import Converter, Event
    from datto_siem.converters.interpret import Run
    from datto_siem.plugins.shown import Paint


def cef(line: str, colours: Paint) -> Iterator[str]:
    """The lines about a canonical CEF line."""
    yield colours("heading", "line (cef)")
    yield f"  {colours('value', escaped(line))}"


def view(converter: Converter, event: Event, run: Run, colours: Paint) -> Iterator[str]:
    """The lines about how a document was written."""
    plan = run.plan
    yield colours("heading", f"document ({plan.target} {converter.target.version})")
    inferred = ", inferred" if plan.inferred else ""
    yield f"  written as activity {plan.activity}{inferred}"
    origins = _Origins(event, run)
    for step, value in run.written:
        mark = "  inferred" if step.inferred else ""
        origin = origins.of(step.expr)
        yield (
            f"  {step.into} = {colours('value', value_text(value))}"
            f"{f'  <- {origin}' if origin else ''}  {colours('place', step.where)}{mark}"
        )
    used = plan.used
    if plan.columns:
        columns: dict[str, Any] = {}
        taken = fill_columns(columns, event, plan.columns)
        used = used | taken
        for key in event.extension:
            if key in taken:
                column = plan.columns[key][0]
                where = converter.target.keys.get(key, ("", ""))[1]
                yield (
                    f"  {column} = {colours('value', value_text(columns[column]))}"
                    f"  <- {escaped(key)}  {colours('place', where)}"
                )
    yield from _leftovers(converter, event, run, used, colours)


class _Origins:
    """Follows an expression back to the wire."""

    def __init__(self, event: Event, run: Run) -> None:
        self._event = event
        self._values = run.values
        self._derived = {step.into: step.expr for step in run.plan.derive}
        self._keys: dict[str, list[str]] = {}
        for cast in event.reading.casts:
            for _, name in cast.parts:
                self._keys.setdefault(name, []).append(cast.key)

    def of(self, expr: tuple[Any, ...]) -> str:
        """`field (key, key), field`, for the fields that had a value."""
        found: dict[str, None] = {}
        open_ = list(names(expr))
        seen: set[str] = set()
        while open_:
            name = open_.pop(0)
            if name in seen:
                continue
            seen.add(name)
            if name in self._derived and name not in given.ATTRIBUTES:
                open_ += names(self._derived[name])
            elif self._values.get(name) is not None:
                found[self._named(name)] = None
        return ", ".join(found)

    def _named(self, name: str) -> str:
        wire = [key for key in self._keys.get(name, ()) if self._sent(key)]
        if name in ("event.time", "event.time_text"):
            text = self._event.time_text
            wire = [
                key for key in self._event.reading.time if self._event.extension.get(key) == text
            ][:1]
        return f"{name} ({', '.join(wire)})" if wire else name

    def _sent(self, key: str) -> bool:
        if key.endswith("*"):
            return any(sent.startswith(key[:-1]) for sent in self._event.extension)
        return key in self._event.extension and key not in self._event.parts.left


def _leftovers(
    converter: Converter, event: Event, run: Run, used: frozenset[str], colours: Paint
) -> Iterator[str]:
    plan = run.plan
    if plan.leftovers is None:
        return
    lookups = converter.tables.lookups
    said = frozenset(
        key for key, expr in plan.said if evaluate(expr, run.values, lookups) is not None
    )
    rest = gather(event, used, said)
    if rest:
        yield colours("heading", f"left over, kept under {plan.leftovers[0]}")
        yield from (f"  {escaped(key)} = {colours('value', quoted(text))}" for key, text in rest)
