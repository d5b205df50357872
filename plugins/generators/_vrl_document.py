"""The VRL that makes a target's document of an event's fields, by the target's plans.

Steps that plans share stand once: a plan is a list of step numbers, and a tree of comparisons
finds each step's statements. Derived fields come first, then what is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters.paths import split
from datto_siem.plugins.generators._vrl import among, indented, literal, path, text
from datto_siem.plugins.generators._vrl_expression import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Statements = "Callable[[int], list[str]]"
_COLUMN_KINDS = {"int": "integer", "long": "long", "real": "float", "datetime": "clock"}


def document(tables: Mapping[str, Any]) -> str:
    """Statements from `v`'s making to the document in `doc`."""
    writer = Writer(tables["lookups"])
    plans, steps = tables["plans"], tables["steps"]
    derive = sorted({number for plan in plans for number in plan["derive"]})
    emit = sorted({number for plan in plans for number in plan["emit"]})
    numbers = {event["id"]: event["plan"] for event in tables["events"]}

    def value(number: int) -> list[str]:
        return writer.into("x", steps[number][1])

    rounds = [True] * _longest(plans)
    return "\n".join(
        [
            "# From the tables. Steps that plans share stand once: a plan lists their numbers,",
            "# and a step is found by halving.",
            f"plan = get!({literal(numbers)}, [.event])",
            "v = nil",
            "extra = get!([[]], [0])",
            "settled = false",
            f"for_each({literal(rounds)}) -> |_index, _round| {{",
            "  if !settled {",
            "    settled = true",
            "    v = get!([base], [0])",
            "    #> extra",
            "    steps = get!([[]], [0])",
            *indented(_by_plan(plans, lambda plan: f"steps = {_derive(plan, steps)}"), 2),
            "    for_each(array!(steps)) -> |_index, row| {",
            "      n = get!(row, [0])",
            "      x = nil",
            *indented(_tree(derive, value), 3),
            "      v = set!(v, [row[1]], x)",
            "    }",
            *indented(_needs(plans, writer), 2),
            "  }",
            "}",
            "written = get!([{}], [0])",
            *_by_plan(plans, lambda plan: f"written = {_emit(plan, steps)}"),
            "flat = map_values(object!(written)) -> |n| {",
            "  x = nil",
            *indented(_tree(emit, value)),
            "  x",
            "}",
            "doc = unflatten(compact(flat, recursive: false, string: false, object: false, "
            'array: false), ".", recursive: false)',
            "doc = get!([doc], [0])",
            *_lists(plans, steps),
            *_rest(plans, writer),
        ]
    )


def _derive(plan: Mapping[str, Any], steps: Sequence[Any]) -> str:
    rows = [[number, steps[number][0]] for number in plan["derive"]]
    return f"get!([{literal(rows)}], [0])"


def _emit(plan: Mapping[str, Any], steps: Sequence[Any]) -> str:
    rows = {_flat(steps[number][0]): number for number in plan["emit"]}
    return f"get!([{literal(rows)}], [0])"


def _flat(into: str) -> str:
    return ".".join(name for name, _ in split(into))


def _lists(plans: Sequence[Mapping[str, Any]], steps: Sequence[Any]) -> list[str]:
    """Objects that are the first of a list, the innermost first."""
    found = set()
    for plan in plans:
        for number in plan["emit"]:
            parts = split(steps[number][0])
            for at, (_, is_list) in enumerate(parts):
                if is_list:
                    found.add(tuple(name for name, _ in parts[: at + 1]))
    lines = []
    for names in sorted(found, key=lambda names: (-len(names), names)):
        place = path("doc", names)
        lines.append(f"if {place} != null {{ {place} = [{place}] }}")
    return lines


def _longest(plans: Sequence[Mapping[str, Any]]) -> int:
    """How many plans can be tried for one event."""

    def length(plan: Mapping[str, Any]) -> int:
        return 1 if plan["instead"] is None else 1 + length(plans[plan["instead"]])

    return max(map(length, plans))


def _by_plan(
    plans: Sequence[Mapping[str, Any]], statement: Callable[[Mapping[str, Any]], str]
) -> list[str]:
    return [f"if plan == {number} {{ {statement(plan)} }}" for number, plan in enumerate(plans)]


def _tree(numbers: Sequence[int], statements: Callable[[int], list[str]]) -> list[str]:
    """Statements of one of many numbers, found by halving."""
    if not numbers:
        return []
    if len(numbers) == 1:
        return statements(numbers[0])
    middle = len(numbers) // 2
    return [
        f"if int!(n) < {numbers[middle]} {{",
        *indented(_tree(numbers[:middle], statements)),
        "} else {",
        *indented(_tree(numbers[middle:], statements)),
        "}",
    ]


def _needs(plans: Sequence[Mapping[str, Any]], writer: Writer) -> list[str]:
    """What a plan needs; without it the next plan is tried."""
    lines = []
    for number, plan in enumerate(plans):
        if plan["instead"] is None or not plan["needs"]:
            continue
        lines += [f"if settled && plan == {number} {{", "  met = true"]
        for need in plan["needs"]:
            lines += [
                "  x = nil",
                *indented(writer.into("x", need)),
                "  if x == null { met = false }",
            ]
        lines += ["  if !met {", "    settled = false", f"    plan = {plan['instead']}"]
        if plan["note"]:
            lines.append(f"    extra = push(array!(extra), {text(plan['note'])})")
        lines += ["  }", "}"]
    return lines


def _rest(plans: Sequence[Mapping[str, Any]], writer: Writer) -> list[str]:
    """Wire keys as columns, then what no row carries."""
    lines = [
        "taken = get!([{}], [0])",
        "used = r''",
        *_by_plan(plans, lambda plan: f"used = {literal(among(plan['used']))}"),
    ]
    if any(plan["columns"] for plan in plans):
        lines += [
            "columns = get!([{}], [0])",
            *_by_plan(plans, lambda plan: f"columns = get!([{literal(_columns(plan))}], [0])"),
            "#> columns",
        ]
    for number, plan in enumerate(plans):
        if plan["leftovers"] is None or not plan["said"]:
            continue
        lines.append(f"if plan == {number} {{")
        for key, expr in plan["said"]:
            lines += [
                "  x = nil",
                *indented(writer.into("x", expr)),
                f"  if x != null {{ {path('taken', [key])} = true }}",
            ]
        lines.append("}")
    lines.append("#> gather")
    for where in sorted({tuple(plan["leftovers"]) for plan in plans if plan["leftovers"]}):
        at = " || ".join(
            f"plan == {number}"
            for number, plan in enumerate(plans)
            if plan["leftovers"] and tuple(plan["leftovers"]) == where
        )
        lines += [f"if length(rest) > 0 && ({at}) {{", *indented(_put(*where)), "}"]
    return lines


def _columns(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        key: [column, _COLUMN_KINDS.get(kind, "text")]
        for key, (column, kind) in plan["columns"].items()
    }


def _put(into: str, style: str) -> list[str]:
    place = path("doc", into.split("."))
    if style == "pairs":
        return [
            "shown = map_values(rest) -> |pair| {",
            '  replace(string!(pair[0]), ";", "%3B") + "=" + replace(string!(pair[1]), ";", "%3B")',
            "}",
            'joined = join!(shown, ";")',
            f'{place} = if ({place} || "") == "" {{ joined }} else '
            f'{{ string!({place}) + ";" + joined }}',
        ]
    if style == "object":
        return [
            f"home = get!([{place}], [0])",
            "if home == null { home = {} }",
            'prefix = ""',
            "#> put",
            f"{place} = home",
        ]
    return ["home = get!([doc], [0])", f"prefix = {text(into)}", "#> put", "doc = home"]
