"""The fastest path: one function from a plain record's pairs to the document.

A plain record (`Event.quick`) has documented keys only, each once, with nothing to repair; so its
plan is made from the documented keys alone and fields need not be gathered first. Whatever does
not fit while values are read (a bad type, two keys that disagree, an odd word) hands the record to
the ordinary path, which gives the same document with notes and leftovers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import casts, given
from datto_siem.converters.dialect import QUICK_LIST
from datto_siem.converters.event import MAX_NOTES, Event
from datto_siem.converters.fast import Convert, Writer, local
from datto_siem.converters.memo import Memo
from datto_siem.converters.plan.reading import SURE_PARTS
from datto_siem.converters.tables.expression import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.plan.model import Cast, EventPlan, Reading

MEMO_SIZE = 8192
_LONGEST = 64
_READ: Mapping[str, Callable[[str], Any]] = {
    "mac": casts.mac,
    "ip": casts.ip,
    "int": casts.integer,
    "port": casts.port,
    "float": casts.number,
    "hostport": casts.hostport,
    "uid": casts.uid,
    "email": casts.email,
    "dns_name": casts.dns_name,
    "lower": casts.lower,
}


class TextMemo(Memo[str, Any]):
    """A memory that does not keep long texts, so that its size is bounded in bytes too."""

    __slots__ = ()

    def __missing__(self, key: str) -> Any:
        """Work it out, and remember it when it is short."""
        return super().__missing__(key) if len(key) <= _LONGEST else self._read(key)


_MEMOS = {kind: TextMemo(read, MEMO_SIZE) for kind, read in _READ.items()}
"""What a text is, by cast: users, addresses and names come again and again."""


def compile_complete(
    plan: EventPlan, reading: Reading, lookups: Lookups, types: Mapping[str, str], lean: Convert
) -> Convert:
    """Make the function for plain records of one header that have every documented key.

    Nothing is asked about presence then, and all that the header says is constant.

    Args:
        plan: A plan made for `documented(reading)` and the header's fields.
        reading: That reading.
        lookups: The named tables.
        types: Field name -> vocabulary type.
        lean: The function for plain records, for those that lack a key.
    """
    writer = Lean(plan, reading, lookups, types)
    writer.complete = True
    return writer.function({"_full": lean})


def compile_lean(
    plan: EventPlan, reading: Reading, lookups: Lookups, types: Mapping[str, str], full: Convert
) -> Convert:
    """Make the function of one plan for plain records.

    Args:
        plan: A plan made for `documented(reading)`.
        reading: That reading.
        lookups: The named tables.
        types: Field name -> vocabulary type.
        full: The ordinary path, for records that turn out not to be plain.
    """
    return Lean(plan, reading, lookups, types).function({"_full": full})


class Lean(Writer):
    """Writes the source of one plain record's function."""

    def __init__(
        self, plan: EventPlan, reading: Reading, lookups: Lookups, types: Mapping[str, str]
    ) -> None:
        """Take the plan, how its record is read, and what the source may call."""
        super().__init__(plan, lookups, types)
        self.reading = reading
        self.complete = False
        self.bases: list[str] = []
        self.lists: dict[str, str] = {}
        self.wanted: set[str] = set()
        filled = [name for cast in reading.casts for _, name in cast.parts]
        self.shared = {name for name in filled if filled.count(name) > 1}
        self.constants.update({f"_memo_{kind}": memo for kind, memo in _MEMOS.items()})
        self.constants["_time"] = casts.time
        self.constants["_kinds"] = _kinds
        self.constants["_span"] = casts.span

    def source(self) -> str:
        """The function's text."""
        self.line("x = e.quick")
        self.line("n = None")
        self.line("g = x.get")
        if self.complete:
            self._all_there()
        self.line("h = e.head")
        self.line("s = e.known_envelope or e.envelope")
        self._values()
        self._derive()
        for need in self.plan.needs:
            atom = self.value(need)
            if not self.sure(atom):
                self.line(f"if {atom} is None: return _full(e)")
        self._document()
        self._rest()
        self.line("e.calm = n is None")
        self.line("return d")
        return "def convert(e):\n" + "\n".join(self.lines) + "\n"

    def _all_there(self) -> None:
        """Leave by the other path when a documented key is missing or empty."""
        single = [cast for cast in self.reading.casts if not cast.key.endswith("*")]
        count = str(len(single))
        others = {key for key in self.reading.keys if not key.endswith("*")}
        names = frozenset(cast.key for cast in single)
        # with all documented keys there, their number is proof enough
        some = "" if names == others else f" or not x.keys() >= {self.constant(names)}"
        for cast in self.reading.casts:
            if cast.key.endswith("*"):
                count += f" + len({self._list(cast)} or ())"
        colon = any(cast.colon for cast in self.reading.casts)  # else no value is empty
        empty = " or '' in x.values()" if colon else ""
        self.line(f"if len(x) != {count}{some}{empty}: return _full(e)")

    def _values(self) -> None:
        wanted = {
            name
            for expr in (*(s.expr for s in (*self.plan.derive, *self.plan.emit)), *self.plan.needs)
            for name in names(expr)
        } | {name for _, expr in self.plan.said for name in names(expr)}
        self.wanted = wanted
        filled: dict[str, str] = {}
        times: dict[str, str] = {}
        for cast in self.reading.casts:
            self._cast(cast, filled, times)
        self._when(times, wanted)
        for name, atom in filled.items():
            self.fields[name] = atom
        for name in sorted(wanted - self.fields.keys()):
            attribute = given.ATTRIBUTES.get(name)
            if name == "notes":  # most records have none
                none = "n is None and e.early is None and e.repairs is None"
                self.fields[name] = self.assign(f"None if {none} else _kinds(e, n)")
                continue
            if name == "pairs":
                attribute = "quick"
            if attribute is not None:
                tail = " or None" if name in given.EMPTY_IS_ABSENT else ""
                atom = self.fields[name] = self.assign(f"{local(attribute)}{tail}")
                if attribute.startswith("envelope.") or attribute == "peer":
                    self.lasting.add(atom)
                    self.bases.append(atom)
                if name in self.plan.sure:
                    self.certain.add(self.fields[name])

    def _cast(self, cast: Cast, filled: dict[str, str], times: dict[str, str]) -> None:
        """Read one key; a value that does not fit leaves by the ordinary path."""
        if cast.key.endswith("*"):
            filled[cast.parts[0][1]] = self._list(cast)
            return
        value = self._there(cast) if self.complete else self._maybe(cast)
        if cast.kind == "time":
            times[cast.key] = value
        for part, name in cast.parts:
            if part and name not in self.wanted and name not in self.shared:
                continue
            held = self._held(value, part)
            other = filled.get(name)
            if other is not None:
                self._both(held, other)
            filled[name] = held

    def _held(self, value: str, part: str) -> str:
        """One part of a compound value."""
        if not part:
            return value
        if not self.sure(value):
            return self.assign(f"None if {value} is None else {value}.get({part!r})")
        if part in SURE_PARTS:
            return self.assign(f"{value}[{part!r}]", True)
        return self.assign(f"{value}.get({part!r})")

    def _there(self, cast: Cast) -> str:
        """Read a key that is there."""
        text = self.assign(f"x[{cast.key!r}]", True)
        self._verify(cast, text)
        if cast.kind == "text":
            return text
        value = self.assign(self._read(cast.kind, text), True)
        self.line(f"if {value} is None: return _full(e)")
        return value

    def _maybe(self, cast: Cast) -> str:
        """Read a key that may be missing."""
        text = self.assign(f"g({cast.key!r})" + (" or None" if cast.kind == "text" else ""))
        if cast.kind == "text" and not (cast.agrees or cast.among):
            return text
        return self._checked(cast, text)

    def _verify(self, cast: Cast, text: str) -> None:
        """Note what does not agree, as `read` does, without leaving the fast path."""
        if cast.agrees:
            other = f"h.{cast.agrees.removeprefix('header.')}"
            self.line(f"if {text} != {other}: n = [*(n or ()), {f'conflict:{cast.key}'!r}]")
        if cast.among:
            self.line(f"if {text}.lower() not in {self._words(cast)}:")
            unknown, kind = f"unknown_value:{cast.key}", ""
            table, _, column = cast.among[0].partition(".")
            if column:
                rows = self.constant(frozenset(self.lookups[table].rows))
                kind = f"{f'swapped:{cast.key}'!r} if {text}.lower() in {rows} else "
            self.line(f"    n = [*(n or ()), {kind}{unknown!r}]")

    def _checked(self, cast: Cast, text: str) -> str:
        self.line(f"if {text}:")
        self.depth += 1
        self._verify(cast, text)
        value = text
        if cast.kind != "text":
            value = self.name()
            self.line(f"{value} = {self._read(cast.kind, text)}")
            self.line(f"if {value} is None: return _full(e)")
        self.depth -= 1
        if cast.kind != "text":
            self.line(f"else: {value} = None")
        return value

    def _both(self, held: str, other: str) -> None:
        """Two keys that fill one field must agree."""
        if self.sure(held) and self.sure(other):
            self.line(f"if {held} != {other}: return _full(e)")
            return
        self.line(f"if {held} is None: {held} = {other}")
        self.line(f"elif {other} is not None and {held} != {other}: return _full(e)")

    def _read(self, kind: str, text: str) -> str:
        if kind in ("time", "span"):
            return f"_{kind}({text}, e.received)"
        return f"_memo_{kind}[{text}]"

    def _words(self, cast: Cast) -> str:
        table, _, column = cast.among[0].partition(".")
        if column:
            rows = self.lookups[table].rows
            return self.constant(frozenset(key for key, row in rows.items() if column in row))
        return self.constant(frozenset(cast.among))

    def _list(self, cast: Cast) -> str:
        """Numbered keys; a plain record has at most those below the limit."""
        known = self.lists.get(cast.key)
        if known is not None:
            return known
        keys = self.constant(tuple(f"{cast.key[:-1]}{number}" for number in range(QUICK_LIST)))
        atom = self.assign(f"[x[k] for k in {keys} if k in x and x[k]] or None")
        self.line(
            f"if {atom} is not None and len({atom}) > 1: {atom} = list(dict.fromkeys({atom}))"
        )
        self.lists[cast.key] = atom
        return atom

    def _when(self, times: Mapping[str, str], wanted: set[str]) -> None:
        """The event's time and its text; without one the ordinary path asks other clocks."""
        when, text = self.name(), self.name()
        word = "if"
        for key in self.reading.time:
            if key in times and self.complete:
                self.fields["event.time"] = times[key]
                if "event.time_text" in wanted:
                    self.fields["event.time_text"] = self.assign(f"x[{key!r}]", True)
                return
            if key in times:
                self.line(f"{word} {times[key]} is not None:")
                self.line(f"    {when} = {times[key]}")
                if "event.time_text" in wanted:
                    self.line(f"    {text} = x[{key!r}]")
                word = "elif"
        self.line("else: return _full(e)" if word == "elif" else "return _full(e)")
        self.fields["event.time"] = when
        self.fields["event.time_text"] = text
        self.certain.update((when, text))

    def _rest(self) -> None:
        """Leftovers: documented keys that no row carries."""
        used = set(self.plan.used)
        if self.plan.columns:
            self.line("used = _fill(d, e, _columns)")
            test = "x.keys() <= used"
        else:
            for cast in self.reading.casts:
                if cast.key.endswith("*") and cast.key in used:
                    used.update(f"{cast.key[:-1]}{number}" for number in range(QUICK_LIST))
            test = f"x.keys() <= {self.constant(frozenset(used))}"
        if self.plan.leftovers is None:
            return
        if not self.plan.columns and {cast.key for cast in self.reading.casts} <= self.plan.used:
            return  # every documented key is shown whole
        self.line(f"if not {test}:")
        self.depth += 1
        self.line("rest = []")
        told = [(key, self.value(expr)) for key, expr in self.plan.said]
        known = "used" if self.plan.columns else self.constant(frozenset(used))
        self.line("for k, t in x.items():")
        self.line(f"    if t and k not in {known}: rest.append((k, t))")
        for key, atom in told:
            test = f"r[0] != {key!r}"
            if key.endswith("*"):
                test = f"not r[0].startswith({key[:-1]!r})"
            self.line(f"if {atom} is not None: rest = [r for r in rest if {test}]")
        self.line("if rest: _place(d, rest, _where)")
        self.depth -= 1


def _kinds(event: Event, more: list[str] | None) -> list[str]:
    """The kinds of an event's notes, with those met on the fast path."""
    return sorted({*(event.early_kinds or ()), *(more or ())})[:MAX_NOTES]
