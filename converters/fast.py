"""A plan as one Python function: the fast path.

It does what `interpret` does, in the same order, with the same operators; a test runs both on
every kind of record. `codegen` writes the values, this module the reading and the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from datto_siem.converters import given, leftovers
from datto_siem.converters.codegen import Expressions
from datto_siem.converters.paths import split
from datto_siem.converters.tables.expression import names

if TYPE_CHECKING:
    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.event import Event
    from datto_siem.converters.plan.model import EventPlan

Convert = Callable[["Event"], dict[str, Any]]
_ALWAYS = frozenset({"event.time", "received", "processed", "uid", "original", "original_size"})


def compile_plan(
    plan: EventPlan, lookups: Lookups, types: Mapping[str, str], notes: tuple[str, ...] = ()
) -> Convert:
    """Make the function of one plan.

    Args:
        plan: The plan; its `instead` chain is compiled with it.
        lookups: The named tables.
        types: Field name -> vocabulary type.
        notes: Notes to add to the event's own, because a better plan did not do.
    """
    instead = None
    if plan.instead is not None:
        more = (*notes, plan.note) if plan.note else notes
        instead = compile_plan(plan.instead, lookups, types, more)
    writer = Writer(plan, lookups, types)
    writer.notes = notes
    return writer.function({"_instead": instead})


def local(attribute: str) -> str:
    """An attribute path of an event, through the locals that functions begin with."""
    for start, name in (("head.", "h."), ("envelope.", "s.")):
        if attribute.startswith(start):
            return name + attribute[len(start) :]
    return f"e.{attribute}"


class Writer(Expressions):
    """Writes the source of one plan's function."""

    def __init__(self, plan: EventPlan, lookups: Lookups, types: Mapping[str, str]) -> None:
        """Take the plan and what its source may call."""
        super().__init__(lookups, types)
        self.plan = plan
        self.notes: tuple[str, ...] = ()
        self.constants.update(
            {
                "_gather": leftovers.gather,
                "_place": leftovers.place,
                "_fill": leftovers.fill_columns,
                "_used": plan.used,
                "_where": plan.leftovers,
                "_columns": plan.columns,
                "_none": frozenset(),
            }
        )

    def function(self, more: Mapping[str, Any]) -> Convert:
        """The function, with what else it may call."""
        source = self.source()
        scope: dict[str, Any] = {**self.constants, **more}
        code = compile(source, f"<{self.plan.target}:{self.plan.id}>", "exec")
        exec(code, scope)  # noqa: S102  our own text, made here from numbers and reprs
        function: Convert = scope["convert"]
        return function

    def source(self) -> str:
        """The function's text."""
        self.line("f = e.fields.get")
        self.line("h = e.head")
        self.line("s = e.known_envelope or e.envelope")
        self._fields()
        self._derive()
        for need in self.plan.needs:
            atom = self.value(need)
            if self.plan.instead is not None and not self.sure(atom):
                self.line(f"if {atom} is None:")
                self.line("    return _instead(e)")
        self._document()
        self._leftovers()
        self.line("return d")
        return "def convert(e):\n" + "\n".join(self.lines) + "\n"

    def _derive(self) -> None:
        for step in self.plan.derive:
            self.fields[step.into] = self.value(step.expr)
            if step.into in self.plan.sure:
                self.certain.add(self.fields[step.into])

    def _fields(self) -> None:
        """Every field the plan reads, once, so that any branch may use it."""
        plan = self.plan
        exprs = [step.expr for step in (*plan.derive, *plan.emit)]
        exprs += [*plan.needs, *(expr for _, expr in plan.said)]
        derived = {step.into for step in plan.derive}
        for name in dict.fromkeys(name for expr in exprs for name in names(expr)):
            if name in derived:
                continue
            attribute = given.ATTRIBUTES.get(name)
            if attribute is None:
                text = f"f({name!r})"
            else:
                text = local(attribute) + (" or None" if name in given.EMPTY_IS_ABSENT else "")
            if name == "notes" and self.notes:
                text = f"sorted(({text} or []) + {list(self.notes)!r})"
            atom = self.fields[name] = self.assign(text)
            if name in _ALWAYS or name in plan.sure:
                self.certain.add(atom)

    def _document(self) -> None:
        root: dict[tuple[str, bool], Any] = {}
        for step in self.plan.emit:
            atom = self.value(step.expr)
            place = root
            *parents, (name, _) = split(step.into)
            for parent in parents:
                place = place.setdefault(parent, {})
            place[(name, False)] = atom
        self._object("d", root)

    def _object(self, name: str, tree: Mapping[tuple[str, bool], Any]) -> None:
        """Write one object: what is sure as a literal, the rest by tests."""
        self.line(f"{name} = {self._literal(tree)}")
        self._optional(name, tree)

    def _certain(self, tree: Any) -> bool:
        if isinstance(tree, dict):
            return any(self._certain(each) for each in tree.values())
        return self.sure(tree)

    def _literal(self, tree: Mapping[tuple[str, bool], Any]) -> str:
        parts = []
        for (key, is_list), child in tree.items():
            if not self._certain(child):
                continue
            if isinstance(child, dict):
                text = self._literal(child)
                parts.append(f"{key!r}: [{text}]" if is_list else f"{key!r}: {text}")
            else:
                parts.append(f"{key!r}: {child}")
        return "{" + ", ".join(parts) + "}"

    def _optional(self, name: str, tree: Mapping[tuple[str, bool], Any]) -> None:
        for (key, is_list), child in tree.items():
            if not isinstance(child, dict):
                if not self.sure(child):
                    self.line(f"if {child} is not None: {name}[{key!r}] = {child}")
                continue
            inner = self.name()
            if self._certain(child):
                if self._has_optional(child):
                    self.line(f"{inner} = {name}[{key!r}]{'[0]' if is_list else ''}")
                    self._optional(inner, child)
                continue
            self._object(inner, child)
            self.line(f"if {inner}: {name}[{key!r}] = {f'[{inner}]' if is_list else inner}")

    def _has_optional(self, tree: Mapping[tuple[str, bool], Any]) -> bool:
        return any(
            self._has_optional(child) if isinstance(child, dict) else not self.sure(child)
            for child in tree.values()
        )

    def _leftovers(self) -> None:
        used = "_used"
        if self.plan.columns:
            self.line("used = _used | _fill(d, e, _columns)")
            used = "used"
        if self.plan.leftovers is None:
            return
        self.line("p = e.parts")
        self.line(f"if p.left or p.spare or not p.extension.keys() <= {used}:")
        self.depth += 1
        told = "_none"
        if self.plan.said:
            told = "said"
            self.line("said = set()")
            for key, expr in self.plan.said:
                self.line(f"if {self.value(expr)} is not None: said.add({key!r})")
        self.line(f"rest = _gather(e, {used}, {told})")
        self.line("if rest: _place(d, rest, _where)")
        self.depth -= 1
