"""One spelling of one event's records as a function from line to finished line.

The function matches the spelling's pattern in place, casts what was matched, works out the plan's
expressions as `codegen` writes them, and joins pieces of JSON. Whatever is unusual after all (a
value that does not fit, two keys that disagree, an odd word) makes it return None: the record then
takes the ordinary way. Its text comes from the tables alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import casts, given
from datto_siem.converters.identity import named
from datto_siem.converters.leaves import is_spotless
from datto_siem.converters.leftovers import COLUMN_READERS
from datto_siem.converters.pieces import Piece, literal, source, variable
from datto_siem.converters.plan.kinds import kind
from datto_siem.converters.plan.reading import SURE_PARTS
from datto_siem.converters.remains import Impossible
from datto_siem.converters.scalars import address
from datto_siem.converters.spelling import READERS
from datto_siem.converters.staging import statements
from datto_siem.converters.tables.expression import names
from datto_siem.converters.timed import Timed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.plan.model import Cast, EventPlan, Reading
    from datto_siem.converters.spelling import Pair, Spelling
    from datto_siem.converters.tables.expression import Expr

_SMALL = frozenset({"lower", "dns_name", "email"})
"""Casts whose strict form has no capitals."""
_FEW = frozenset({"text", "lower", "int"})
"""Casts whose texts may be words of few values."""
_NOT_HERE = frozenset({"syslog.time", "syslog.text", "pairs"})
"""Given fields that a shape does not know."""
_INLINE = {
    "local_mac": "{}[1] in '2367ABEF'",
    "ipver": "'ipv6' if ':' in {0} else 'ipv4'",
}


class Shaped(Timed):
    """Writes one shape's statements."""

    def __init__(
        self, spelling: Spelling, lookups: Lookups, types: Mapping[str, str], notes: list[str]
    ) -> None:
        """Take the spelling; `notes` are those that every record of the event gets."""
        super().__init__(lookups, types)
        self.spelling = spelling
        self.notes = notes
        self.groups: list[str] = []
        self.few: set[str] = set()
        self.small: set[str] = set()
        self.subjects: set[str] = set()
        self.wire: dict[str, tuple[Piece, ...]] = {}
        self.constants.update(
            {
                **{f"_memo_{name}": memo for name, memo in READERS.items()},
                **{f"_column_{name}": read for name, read in COLUMN_READERS.items()},
                "_time": casts.time,
                "_span": casts.span,
                "_named": named,
                "_address": address,
            }
        )

    def guard(self, test: str) -> None:
        """Leave where a test holds."""
        self.line(f"if {test}: return None")

    def read(self) -> None:
        """Cast every value."""
        lists: dict[str, list[tuple[int, str]]] = {}
        for pair in self.spelling.pairs:
            cast = pair.cast
            if pair.form in ("fixed", "empty"):
                if pair.text:
                    self.wire[pair.key] = (literal(pair.text),)
                    self._fill(pair.parts, {"": repr(pair.text)})
                continue
            found = self._groups(_GROUPS.get(pair.kind, 1) if pair.form == "strict" else 1)
            if pair.has_blanks and self.spelling.ordered:  # `in_order` sees to it otherwise
                blank = found[0]
                self.guard(f"' ' in {blank} and ('  ' in {blank} or {blank}[-1] == ' ')")
            if pair.kind in _FEW:
                self.few.update(found)
            if cast is not None and cast.key.endswith("*"):
                self.wire[pair.key] = (variable(found[0]),)
                number = int(pair.key[len(cast.key) - 1 :])
                lists.setdefault(cast.parts[0][1], []).append((number, found[0]))
                continue
            values = self._strict(pair, found) if pair.form == "strict" else self._wide(pair, found)
            if cast is not None and cast.agrees:
                repeated = self._repeated(cast.agrees, found[0])
                values = {"": repeated} if pair.kind == "text" else values
            elif cast is not None:
                self._check(cast, found[0])
            if cast is not None:
                self._fill(pair.parts, values)
        for name, items in lists.items():
            texts = ", ".join(text for _, text in sorted(items))
            several = f"list(dict.fromkeys(({texts})))" if len(items) > 1 else f"[{texts}]"
            atom = self.fields[name] = self.assign(several, True)
            if len(items) == 1:
                self.alone[atom] = texts

    def _groups(self, count: int) -> list[str]:
        found = [f"g{len(self.groups) + number}" for number in range(count)]
        self.groups += found
        return found

    def _strict(self, pair: Pair, found: list[str]) -> dict[str, str]:
        """Values of the strict form, by part; what matched needs no proof but of ranges."""
        text, *more = found
        if pair.kind in _SMALL:
            self.small.update(found)
        whole: tuple[Piece, ...] = (variable(text),)
        values = {"": text, "all": text}
        if pair.kind in ("int", "port"):
            values = {"": self._number(text, pair.kind == "port")}
        elif pair.kind == "time":
            values = {"": self.strict_time(pair.key, text, more)}
        elif pair.kind == "hostport":
            values = {"ip": text, "port": self._number(more[0], True)}
            whole = (variable(text), literal(":"), variable(more[0]))
        elif pair.kind == "email":
            name, domain = more
            values = {"all": text, "email": text, "name": name, "domain": domain}
            self.unlike |= {(text, name), (text, domain)}
        elif pair.kind == "span":
            values["length"] = self.strict_span(text)
        self.wire[pair.key] = whole
        return values

    def _number(self, text: str, is_port: bool) -> str:
        if is_port:
            self.guard(f"len({text}) == 5 and {text} > '65535'")
        number = self.assign(f"int({text})", True)
        self.texts[number] = text
        return number

    def _wide(self, pair: Pair, found: list[str]) -> dict[str, str]:
        """Values that the reference cast reads."""
        text = found[0]
        self.wire[pair.key] = (variable(text),)
        if pair.kind == "text":
            return {"": text}
        call = f"_memo_{pair.kind}[{text}]"
        if pair.kind in ("time", "span"):
            call = f"_{pair.kind}({text}, r)"
        value = self.assign(call, True)
        self.guard(f"{value} is None")
        if pair.kind == "time":
            self.times[pair.key] = (value, text)
        values = {"": value}
        for part, _ in pair.parts:
            if part in SURE_PARTS:
                values[part] = self.assign(f"{value}[{part!r}]", True)
            elif part:
                values[part] = self.assign(f"{value}.get({part!r})")
        return values

    def _check(self, cast: Cast, text: str) -> None:
        """Leave at what `read` would note."""
        if cast.among:
            table, _, column = cast.among[0].partition(".")
            words = frozenset(cast.among)
            if column:
                rows = self.lookups[table].rows
                words = frozenset(key for key, row in rows.items() if column in row)
            self.subjects.add(text)
            subject = text if text in self.small else f"{text}.lower()"
            self.guard(f"{subject} not in {self.constant(words)}")

    def _repeated(self, name: str, text: str) -> str:
        """A header's field, which a value must repeat."""
        if name not in self.fields:
            attribute = given.ATTRIBUTES[name].removeprefix("head.")
            self.fields[name] = self.assign(f"h.{attribute}", True)  # not empty, since no value is
        self.guard(f"{text} != {self.fields[name]}")
        return self.fields[name]

    def _fill(self, parts: tuple[tuple[str, str], ...], values: Mapping[str, str]) -> None:
        for part, name in parts:
            atom, held = values[part], self.fields.get(name)
            if held is None:
                self.fields[name] = atom
            elif self.sure(held) and self.sure(atom):
                self.guard(f"{held} != {atom}")
            else:
                self.guard(f"None is not {held} != {atom} is not None")
                self.fields[name] = self.assign(f"{atom} if {held} is None else {held}")

    def given(self, plan: EventPlan, reading: Reading) -> None:
        """Fields that header, sender and decoder give."""
        clock = next((key for key in reading.time if key in self.times), None)
        if clock is None:
            raise Impossible
        self.fields["event.time"], self.fields["event.time_text"] = self.times[clock]
        exprs = [*(step.expr for step in (*plan.derive, *plan.emit)), *plan.needs]
        exprs += [expr for _, expr in plan.said]
        self.clean = is_spotless(exprs, self.lookups)
        for name in dict.fromkeys(name for expr in exprs for name in names(expr)):
            attribute = given.ATTRIBUTES.get(name)
            if attribute is None or name in self.fields:
                continue
            if name in _NOT_HERE:
                raise Impossible
            self.fields[name] = self._given(name, attribute)

    def _given(self, name: str, attribute: str) -> str:
        if attribute.startswith("envelope."):
            tail = " or None" if name in given.EMPTY_IS_ABSENT else ""
            return self.assign(f"s.{attribute.removeprefix('envelope.')}{tail}")
        if name == "header.name":
            return self.assign("h.name or None")
        if name == "peer.ip":
            return self.assign("_address(p)")
        if name == "notes":
            return repr(self.notes) if self.notes else "None"
        if name == "uid":
            peer = variable(self.assign("p or ''", True))
            between = literal("\0")
            told = (peer, between, variable("j"), between, variable("n"), between, variable("raw"))
            return self.assign(f"u or _named(({source(told)}).encode('latin-1'))", True)
        if name == "original_size":
            return self.assign("len(t)", True)
        found = {"original": "t", "received": "r", "processed": "r"}
        return found.get(name, "None")  # what a header leaves empty, and a fault, is not there

    def words(self) -> list[str]:
        """Groups of few values that lookups depend on."""
        found = statements(self.lines)
        reached = set(self.subjects)
        for each in reversed(found):
            if each.sets & reached:
                reached |= each.reads
        return [group for group in self.groups if group in reached & self.few]

    def ref(self, name: str) -> str:
        """A field's variable."""
        if name not in self.fields:
            raise Impossible
        return self.fields[name]

    def key(self, subject: str, expr: Expr) -> str:
        """A lookup's key; what it depends on is worth remembering."""
        self.subjects.add(subject)
        if subject in self.small:
            return subject
        return self.texts.get(subject) or super().key(subject, expr)

    def single(self, expr: Expr) -> str:
        """An operator of one value."""
        inner = self.value(expr[1])
        if expr[0] == "text" and inner in self.texts:
            return self.texts[inner]
        if expr[0] == "lower" and inner in self.small:
            return inner
        if expr[0] == "head" and inner in self.alone:
            return self.alone[inner]
        if expr[0] in _INLINE and self.sure(inner):
            return self.assign(_INLINE[expr[0]].format(inner), True)
        return super().single(expr)

    def template(self, expr: Expr) -> str:
        """Text with fields in it."""
        tests: list[str] = []
        pieces = self._filled(expr[1], tests)
        text = source(pieces)
        certain = not tests and any(not is_variable and text for is_variable, text in pieces)
        if not certain:
            text = f"({text}) or None"
        if tests:
            return self.assign(f"None if {' or '.join(tests)} else {text}")
        atom = self.assign(text, certain)
        if certain:
            self.inlines[atom] = tuple(pieces)
        return atom

    def _filled(self, parts: tuple[Any, ...], tests: list[str]) -> list[Piece]:
        pieces: list[Piece] = []
        for part in parts:
            if isinstance(part, str):
                pieces.append(literal(part))
            elif part[0] == "ref":
                atom = self.ref(part[1])
                if not self.sure(atom):
                    tests.append(f"{atom} is None")
                if kind(part, self.types, self.lookups) in ("bool", "list"):
                    raise Impossible
                pieces += self.written(atom)
            else:
                inner: list[str] = []
                text = self._filled(part[1], inner)
                if inner:
                    test = f"'' if {' or '.join(inner)} else {source(text)}"
                    text = [variable(self.assign(test))]
                pieces += text
        return pieces


_GROUPS = {"hostport": 2, "email": 3, "time": 3}
"""Cast -> groups of its strict form, where it has several."""
