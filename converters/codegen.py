"""Python source of a plan's expressions: the part of the fast path that works values out.

The source is made from the plan alone: names of variables are numbers, and every text goes in as
a `repr`, so nothing of a table or a record becomes code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters import operators
from datto_siem.converters.plan.kinds import kind
from datto_siem.converters.times import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.tables.expression import Expr

_INLINE = {"lower": "{}.lower()", "upper": "{}.upper()", "text": "str({})", "other": "{}"}
_FORMAT = {
    "upper-colon": "{}",
    "upper-hyphen": "{}.replace(':', '-')",
    "lower-colon": "{}.lower()",
    "milliseconds": "{}",
    "nanoseconds": "({} * 1000000)",
    "iso8601": "_iso({})",
    "seconds": "_in_seconds({})",
}


class Expressions:
    """Writes what works expressions out, statement by statement.

    Attributes:
        lines: The source so far.
        depth: Depth of indentation.
        fields: Field -> the variable that holds it.
        certain: Variables that always have a value.
        literals: Literal -> its value.
        constants: What the source calls by name.
    """

    def __init__(self, lookups: Lookups, types: Mapping[str, str]) -> None:
        """`types` are the vocabulary's: field -> type."""
        self.lookups = lookups
        self.types = types
        self.lines: list[str] = []
        self.depth = 1
        self.count = 0
        self.fields: dict[str, str] = {}
        self.known: dict[Expr, str] = {}
        self.literals: dict[str, Any] = {}
        self.certain: set[str] = set()
        self.constants: dict[str, Any] = {
            "_iso": iso,
            "_in_seconds": operators.in_seconds,
            "_distinct": operators.distinct,
            "_join": operators.join,
            "_minus": operators.minus,
            "_community_id": operators.community_id,
            "_fold": operators.fold,
            **{f"_{name}": function for name, function in operators.SINGLE.items()},
        }

    def line(self, text: str) -> None:
        """Add one line at the present depth."""
        self.lines.append("    " * self.depth + text)

    def name(self) -> str:
        """A fresh variable."""
        self.count += 1
        return f"v{self.count}"

    def sure(self, atom: str) -> bool:
        """Whether an atom always has a value: a constant, or a variable known to."""
        return atom != "None" and (atom in self.certain or not atom.startswith("v"))

    def value(self, expr: Expr) -> str:
        """Write what works an expression out; gives a variable or a literal."""
        if expr[0] == "const":
            value = list(expr[1]) if isinstance(expr[1], tuple) else expr[1]
            text = repr(value)
            self.literals[text] = value
            return text
        if expr[0] == "ref":
            return self.ref(expr[1])
        if expr in self.known:
            return self.known[expr]
        write = _WRITE.get(expr[0])
        atom = getattr(self, write)(expr) if write else self.single(expr)
        if self.depth == 1:  # inside a branch a value may not have been worked out
            self.known[expr] = atom
        return atom

    def ref(self, name: str) -> str:
        """A field's variable."""
        return self.fields[name]

    def assign(self, text: str, certain: bool = False) -> str:
        """A fresh variable with a value."""
        atom = self.name()
        self.line(f"{atom} = {text}")
        if certain:
            self.certain.add(atom)
        return atom

    def single(self, expr: Expr) -> str:
        """An operator of one value."""
        inner = self.value(expr[1])
        call = _INLINE.get(expr[0], f"_{expr[0]}({{}})").format(inner)
        if expr[0] == "text" and kind(expr[1], self.types, self.lookups) != "int":
            call = f"_text({inner})"
        if call == inner:
            return inner
        if self.sure(inner):
            whole = expr[0] in ("lower", "upper", "text", "local_mac", "ipver", "seconds")
            return self.assign(call, whole)
        return self.assign(f"None if {inner} is None else {call}")

    def fmt(self, expr: Expr) -> str:
        """A MAC, time or duration in written form."""
        inner = self.value(expr[2])
        call = _FORMAT[expr[1][1]].format(inner)
        if call == inner:
            return inner
        written = ("fmt", call)  # two fields may share a variable
        if written not in self.known:
            sure = self.sure(inner)
            atom = self.assign(call if sure else f"None if {inner} is None else {call}", sure)
            if self.depth > 1:
                return atom
            self.known[written] = atom
        return self.known[written]

    def first(self, expr: Expr) -> str:
        """The first present value."""
        start = self.value(expr[1][0])
        if self.sure(start):
            return start
        atom = self.assign(start)
        for item in expr[1][1:]:
            self.line(f"if {atom} is None:")
            self.depth += 1
            inner = self.value(item)
            self.line(f"{atom} = {inner}")
            self.depth -= 1
            if self.sure(inner):
                self.certain.add(atom)
        return atom

    def choose(self, expr: Expr) -> str:
        """A value by presence of another."""
        _, subject, then, other = expr
        test = self.value(subject)
        if self.sure(test):
            return self.value(then)
        atom = self.name()
        self.line(f"if {test} is not None:")
        here = self._branch(atom, then)
        self.line("else:")
        if self._branch(atom, other) and here:
            self.certain.add(atom)
        return atom

    def _branch(self, atom: str, expr: Expr) -> bool:
        """One branch that sets a variable; whether it always has a value."""
        self.depth += 1
        inner = self.value(expr)
        self.line(f"{atom} = {inner}")
        self.depth -= 1
        return self.sure(inner)

    def key(self, subject: str, expr: Expr) -> str:
        """A lookup's key."""
        type_ = kind(expr, self.types, self.lookups)
        if type_ in ("text", "mac", "ip"):
            return f"{subject}.lower()"
        return f"str({subject})" if type_ in ("int", "time", "duration") else f"_fold({subject})"

    def lookup(self, expr: Expr) -> str:
        """A choice written out in the row."""
        _, subject_expr, rows, other = expr
        subject = self.value(subject_expr)
        plain = all(row[0] == "const" and not isinstance(row[1], tuple) for _, row in rows)
        if plain and other[0] == "const" and not isinstance(other[1], tuple):
            table = {key: row[1] for key, row in rows}
            name = self.constant(table)
            text = f"{name}.get({self.key(subject, subject_expr)}, {other[1]!r})"
            if not self.sure(subject):
                text = f"{other[1]!r} if {subject} is None else {text}"
            certain = other[1] is not None and None not in table.values()
            return self.assign(text, certain)
        atom = self.assign("None")
        key = self.assign(
            self.key(subject, subject_expr)
            if self.sure(subject)
            else f"None if {subject} is None else {self.key(subject, subject_expr)}"
        )
        word, whole = "if", True
        for each, row in rows:
            self.line(f"{word} {key} == {each!r}:")
            whole = self._branch(atom, row) and whole
            word = "elif"
        self.line("else:")
        if self._branch(atom, other) and whole:
            self.certain.add(atom)
        return atom

    def constant(self, value: Any) -> str:
        """A value that is too big for the text."""
        name = f"_c{len(self.constants)}"
        self.constants[name] = value
        return name

    def table(self, expr: Expr) -> str:
        """A lookup in a named table."""
        _, subject_expr, table, column, other = expr
        rows = self.lookups[table].rows
        default = self.lookups[table].default.get(column)
        values = {key: row[column] for key, row in rows.items() if row.get(column) is not None}
        subject = self.value(subject_expr)
        name = self.constant(values)
        text = f"{name}.get({self.key(subject, subject_expr)}, {default!r})"
        if not self.sure(subject):
            text = f"None if {subject} is None else {text}"
        atom = self.assign(text)
        if any(isinstance(value, list) for value in (default, *values.values())):
            self.line(f"if {atom} is not None: {atom} = list({atom})")
        if other != ("const", None):
            self.line(f"if {atom} is None:")
            if self._branch(atom, other):
                self.certain.add(atom)
        return atom

    def template(self, expr: Expr) -> str:
        """Text with fields in it."""
        tests: list[str] = []
        parts = [self._part(part, tests) for part in expr[1]]
        text = " + ".join(parts)
        if tests:
            return self.assign(f"None if {' or '.join(tests)} else ({text}) or None")
        return self.assign(f"({text}) or None")

    def _part(self, part: Any, tests: list[str]) -> str:
        if isinstance(part, str):
            return repr(part)
        if part[0] == "ref":
            atom = self.ref(part[1])
            if not self.sure(atom):
                tests.append(f"{atom} is None")
            return atom if self.types.get(part[1], "text") in _TEXTUAL else f"_text({atom})"
        inner: list[str] = []
        text = " + ".join(self._part(each, inner) for each in part[1])
        return f"('' if {' or '.join(inner)} else {text})" if inner else f"({text})"

    def list(self, expr: Expr) -> str:
        """Distinct present values."""
        atoms = [self.value(item) for item in expr[1]]
        kinds = [kind(item, self.types, self.lookups) for item in expr[1]]
        if any(each in ("list", "any", None) for each in kinds):
            return self.assign(f"_distinct(({', '.join(atoms)},))")
        atom = self.assign("[]")
        for index, each in enumerate(atoms):
            tests = [] if self.sure(each) else [f"{each} is not None"]
            if index:
                tests.append(f"{each} not in {atom}")
            self.line(
                f"if {' and '.join(tests)}: {atom}.append({each})"
                if tests
                else f"{atom}.append({each})"
            )
        self.line(f"{atom} = {atom} or None")
        if any(self.sure(each) for each in atoms):
            self.certain.add(atom)
        return atom

    def join(self, expr: Expr) -> str:
        """A list as text."""
        return self.assign(f"_join({self.value(expr[1])}, {expr[2]!r})")

    def minus(self, expr: Expr) -> str:
        """A difference."""
        return self.assign(f"_minus({self.value(expr[1])}, {self.value(expr[2])})")

    def community(self, expr: Expr) -> str:
        """A flow's Community ID."""
        return self.assign(f"_community_id({', '.join(self.value(item) for item in expr[1])})")

    def collect(self, expr: Expr) -> str:
        """OCSF observables."""
        atom = self.assign("[]")
        for path, id_, caption, item in expr[1]:
            value = self.value(item)
            type_ = kind(item, self.types, self.lookups)
            text = value if type_ in _TEXTUAL or type_ is None else f"_text({value})"
            row = f"{{'name': {path!r}, 'type_id': {id_}, 'type': {caption!r}, 'value': {text}}}"
            test = "" if self.sure(value) else f"if {value} is not None: "
            self.line(f"{test}{atom}.append({row})")
        self.line(f"{atom} = {atom} or None")
        return atom


_TEXTUAL = frozenset({"text", "mac", "ip"})
_WRITE: Mapping[str, str] = {
    "fmt": "fmt",
    "first": "first",
    "if": "choose",
    "lookup": "lookup",
    "table": "table",
    "template": "template",
    "list": "list",
    "join": "join",
    "minus": "minus",
    "community_id": "community",
    "collect": "collect",
}
