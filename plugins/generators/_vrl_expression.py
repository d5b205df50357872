"""Expressions of the tables as VRL statements; owns what each operator is in VRL.

Every expression becomes statements that set one variable, so an operand is worked out once.
Absent is null. VRL refuses to guard what cannot fail, so operands are of any type: fields of `v`
are, and what a constant may be is made so by `get!([..], [0])`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from datto_siem.converters.operators import PRIVATE_4, PRIVATE_6
from datto_siem.plugins.generators._vrl import indented, literal, path, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Expr = Any  # a list, its operator first: see `_portable`

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?"
_MAC = (
    "^(?:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}|[0-9A-Fa-f]{12})$"
)
_PRIVATE_4 = json.dumps(PRIVATE_4)
_PRIVATE_6 = json.dumps(PRIVATE_6)
_SCOPED = """{
  @INTO = "public"
  if ip_cidr_contains!(@BLOCKS, string!(@OF)) { @INTO = "private" }
}"""

# operator of one value -> statements that set @INTO from @OF, which is not null
_SINGLE: Mapping[str, str] = {
    "lower": "@INTO = downcase(string!(@OF))",
    "upper": "@INTO = upcase(string!(@OF))",
    "slug": """@INTO = replace(downcase(string!(@OF)), r'[^a-z0-9]+', "-")
@INTO = replace(replace(@INTO, r'^-', ""), r'-$', "")
if @INTO == "" { @INTO = null }""",
    "ip": """if is_ipv4(string!(@OF)) || is_ipv6(string!(@OF)) {
  @INTO = downcase(string!(@OF))
}""",
    "mac": f"""if match(string!(@OF), r'{_MAC}') {{
  @INTO = join(chunks(upcase(replace(string!(@OF), r'[:.-]', "")), 2), ":")
}}""",
    "label": f"if match(string!(@OF), r'^{_LABEL}$') {{ @INTO = @OF }}",
    "fqdn": f"""if length(string!(@OF)) <= 253 && !is_ipv4(string!(@OF)) {{
  if match(string!(@OF), r'^{_LABEL}(?:\\.{_LABEL})+$') {{ @INTO = @OF }}
}}""",
    "ipver": '@INTO = if contains(string!(@OF), ":") { "ipv6" } else { "ipv4" }',
    "scope": "if is_ipv4(string!(@OF)) "
    + _SCOPED.replace("@BLOCKS", _PRIVATE_4)
    + " else if is_ipv6(string!(@OF)) "
    + _SCOPED.replace("@BLOCKS", _PRIVATE_6),
    "seconds": "@INTO = to_int(floor(int!(@OF) / 1000))",
    "head": "@INTO = if is_array(@OF) { get!(@OF, [0]) } else { @OF }",
    "other": "@INTO = @OF",
    "local_mac": "@INTO = match(string!(@OF), r'^.[2367ABEF]')",
    "text": "@INTO = to_string!(@OF)",
}
_IN_SECONDS = """if mod(int!(@OF), 1000) == 0 {
  @INTO = to_int(floor(int!(@OF) / 1000))
} else {
  @INTO = int!(@OF) / 1000
}"""
_ISO = """@INTO = from_unix_timestamp!(int!(@OF), unit: "milliseconds")
@INTO = format_timestamp!(@INTO, "%Y-%m-%dT%H:%M:%S%.3fZ")"""
_FORMATS: Mapping[tuple[str, str], str] = {
    ("mac", "upper-colon"): "@INTO = @OF",
    ("mac", "upper-hyphen"): '@INTO = replace(string!(@OF), ":", "-")',
    ("mac", "lower-colon"): "@INTO = downcase(string!(@OF))",
    ("time", "milliseconds"): "@INTO = @OF",
    ("time", "iso8601"): _ISO,
    ("time", "seconds"): _IN_SECONDS,
    ("duration", "milliseconds"): "@INTO = @OF",
    ("duration", "nanoseconds"): "@INTO = int!(@OF) * 1000000",
    ("duration", "seconds"): _IN_SECONDS,
}


class Writer:
    """Writes expressions; one for a program, since its variables are numbered.

    Args:
        lookups: The named tables, as `portable` gives them.
    """

    def __init__(self, lookups: Mapping[str, Any]) -> None:
        """No variable used yet."""
        self._lookups = lookups
        self._used = 0

    def into(self, name: str, expr: Expr) -> list[str]:
        """Statements that set a variable, which is null before, to an expression's value."""
        op = expr[0]
        if op in _SINGLE:
            return self._of_one(name, expr[1], _SINGLE[op])
        if op == "fmt":
            return self._of_one(name, expr[2], _FORMATS[tuple(expr[1])])
        write: Callable[[str, Expr], list[str]] = getattr(self, f"_{op}")
        return write(name, expr)

    def _fresh(self) -> str:
        self._used += 1
        return f"t{self._used}"

    def _held(self, expr: Expr) -> tuple[list[str], str]:
        """Statements and the variable or field of any type that then holds the value."""
        if expr[0] == "ref":
            return [], path("v", [expr[1]])
        name = self._fresh()
        lines = [f"{name} = nil", *self.into(name, expr)]
        if expr[0] != "table":
            lines.append(f"{name} = get!([{name}], [0])")
        return lines, name

    def _of_one(self, name: str, expr: Expr, form: str) -> list[str]:
        lines, of = self._held(expr)
        inside = form.replace("@INTO", name).replace("@OF", of).split("\n")
        return [*lines, f"if {of} != null {{", *indented(inside), "}"]

    def _const(self, name: str, expr: Expr) -> list[str]:
        return [f"{name} = {literal(expr[1])}"]

    def _ref(self, name: str, expr: Expr) -> list[str]:
        return [f"{name} = {path('v', [expr[1]])}"]

    def _first(self, name: str, expr: Expr) -> list[str]:
        head, *rest = expr[1]
        lines = self.into(name, head)
        if rest:
            lines += [f"if {name} == null {{", *indented(self._first(name, ["first", rest])), "}"]
        return lines

    def _if(self, name: str, expr: Expr) -> list[str]:
        lines, of = self._held(expr[1])
        return [*lines, *self._branches(name, [(f"{of} != null", expr[2])], expr[3])]

    def _branches(self, name: str, rows: Sequence[tuple[str, Expr]], other: Expr) -> list[str]:
        lines = []
        for at, (test, expr) in enumerate(rows):
            lines.append(f"{'} else ' if at else ''}if {test} {{")
            lines += indented(self.into(name, expr))
        if not rows:
            return self.into(name, other)
        return [*lines, "} else {", *indented(self.into(name, other)), "}"]

    def _folded(self, expr: Expr) -> tuple[list[str], str]:
        lines, of = self._held(expr)
        key = self._fresh()
        return [
            *lines,
            f"{key} = nil",
            f"if {of} != null {{ {key} = downcase(to_string!({of})) }}",
        ], key

    def _lookup(self, name: str, expr: Expr) -> list[str]:
        lines, key = self._folded(expr[1])
        rows = [(f"{key} == {text(word)}", row) for word, row in expr[2]]
        return [*lines, *self._branches(name, rows, expr[3])]

    def _table(self, name: str, expr: Expr) -> list[str]:
        _, subject, table, column, other = expr
        rows = self._lookups[table]["rows"]
        held = {key: row[column] for key, row in rows.items() if row.get(column) is not None}
        default = self._lookups[table]["default"].get(column)
        lines, key = self._folded(subject)
        inside = [f"{name} = get!({literal(held)}, [{key}])"]
        if default is not None:
            inside.append(f"if {name} == null {{ {name} = {literal(default)} }}")
        lines += [f"if {key} != null {{", *indented(inside), "}"]
        if other != ["const", None]:
            lines += [f"if {name} == null {{", *indented(self.into(name, other)), "}"]
        return lines

    def _template(self, name: str, expr: Expr) -> list[str]:
        return [*self._filled(name, expr[1]), f'if {name} == "" {{ {name} = null }}']

    def _filled(self, name: str, parts: Sequence[Any]) -> list[str]:
        refs = [
            path("v", [part[1]]) for part in parts if not isinstance(part, str) and part[0] == "ref"
        ]
        lines, shown = [], ['""']
        for part in parts:
            if isinstance(part, str):
                shown.append(text(part))
            elif part[0] == "ref":
                shown.append(f"to_string!({path('v', [part[1]])})")
            else:
                inner = self._fresh()
                lines += [f'{inner} = ""', *self._filled(inner, part[1])]
                shown.append(inner)
        joined = f"{name} = {' + '.join(shown[1:] or shown)}"
        if refs:
            test = " && ".join(f"{ref} != null" for ref in refs)
            return [f"if {test} {{", *indented([*lines, joined]), "}"]
        return [*lines, joined]

    def _list(self, name: str, expr: Expr) -> list[str]:
        lines, held = [], []
        for item in expr[1]:
            before, of = self._held(item)
            lines += before
            held.append(of)
        return [
            *lines,
            f"{name} = unique(flatten(compact([{', '.join(held)}], recursive: false, "
            "string: false, object: false, array: false)))",
            f"if length({name}) == 0 {{ {name} = null }}",
        ]

    def _join(self, name: str, expr: Expr) -> list[str]:
        lines, of = self._held(expr[1])
        return [
            *lines,
            f"if is_array({of}) {{",
            f"  {name} = join!(map_values(array!({of})) -> |item| {{ to_string!(item) }}, "
            f"{text(expr[2])})",
            f'  if {name} == "" {{ {name} = null }}',
            f"}} else if {of} != null {{",
            f"  {name} = to_string!({of})",
            "}",
        ]

    def _minus(self, name: str, expr: Expr) -> list[str]:
        first, left = self._held(expr[1])
        second, right = self._held(expr[2])
        return [
            *first,
            *second,
            f"if {left} != null && {right} != null && int!({left}) >= int!({right}) {{",
            f"  {name} = int!({left}) - int!({right})",
            "}",
        ]

    def _community_id(self, name: str, expr: Expr) -> list[str]:
        lines, held = [], []
        for item in expr[1]:
            before, of = self._held(item)
            lines += before
            held.append(of)
        source, source_port, destination, destination_port, protocol = held
        test = " && ".join(f"{of} != null" for of in held[:4])
        known = " || ".join(f"{protocol} == {number}" for number in (6, 17, 132))
        return [
            *lines,
            f"if {test} && ({known}) {{",
            f"  {name} = community_id(source_ip: string!({source}), "
            f"destination_ip: string!({destination}), protocol: int!({protocol}), "
            f"source_port: int!({source_port}), destination_port: int!({destination_port}), "
            "seed: 0) ?? null",
            "}",
        ]

    def _collect(self, name: str, expr: Expr) -> list[str]:
        lines = [f"{name} = get!([[]], [0])"]
        for said, type_id, caption, item in expr[1]:
            before, of = self._held(item)
            row = f'"name": {text(said)}, "type_id": {literal(type_id)}, "type": {text(caption)}'
            lines += [
                *before,
                f"if {of} != null {{",
                f'  {name} = push(array!({name}), {{ {row}, "value": to_string!({of}) }})',
                "}",
            ]
        return [*lines, f"if length(array!({name})) == 0 {{ {name} = null }}"]
