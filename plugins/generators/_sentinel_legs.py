"""The events a parser reads, one leg each, and choosing by event in a query.

A parser reads several events in one pass; the column `row_` says which one a row is, and whatever
differs between them is a `case` on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _kql as kql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CSL = "CommonSecurityLog"
UNKNOWN = "Datto_CL"
"""Type of the rows that no ASIM schema takes."""
WORKSPACE = "parameters('workspace')"
"""How a template says which workspace it is for."""


@dataclass(frozen=True)
class Leg:
    """One source event in one parser.

    Attributes:
        id: `source/class/name`; what `row_` holds.
        event: How it is read, of `portable`.
        plan: What is written, of `portable`.
        columns: Wire key -> column of CommonSecurityLog and its type.
        lacking: Needs of the full plan: this leg takes the rows that lack one of them.
        names: `class/name` spellings.
        source: Its source, of `portable`.
    """

    id: str
    event: Mapping[str, Any]
    plan: Mapping[str, Any]
    columns: Mapping[str, tuple[str, str]]
    lacking: tuple[Any, ...]
    names: tuple[str, ...]
    source: Mapping[str, Any]

    @property
    def type(self) -> str:
        """The table its rows go to."""
        return str(self.plan["facts"]["Type"])


def from_vendors(asim: Mapping[str, Any], column: str) -> str:
    """A condition: the vendor of a row is one that source tables name, without case."""
    named = sorted({source["vendor"] for source in asim["sources"] if source["vendor"]})
    if len(named) == 1:
        return f"{column} =~ {kql.text(named[0])}"
    return f"{column} in~ {kql.texts(named)}"


def legs(
    asim: Mapping[str, Any], csl: Mapping[str, Any], skipped: frozenset[str]
) -> dict[str, list[Leg]]:
    """Every leg by the table it is for.

    Args:
        asim: `portable` of the target asim.
        csl: `portable` of the target csl, for its columns.
        skipped: Columns a row writes itself, which therefore say nothing of the wire.
    """
    found: dict[str, list[Leg]] = {}
    for number, event in enumerate(asim["events"]):
        if "/" not in event["event"]:
            continue  # no CEF, so no agent makes such a row
        source = next(row for row in asim["sources"] if row["name"] == event["source"])
        names = tuple(name for name, at in source["names"].items() if at == number)
        columns = {
            key: (column, kind)
            for key, (column, kind) in csl["plans"][csl["events"][number]["plan"]][
                "columns"
            ].items()
            if column not in skipped
        }
        plan = asim["plans"][event["plan"]]
        leg = Leg(event["id"], _read(asim, event, plan), plan, columns, (), names, source)
        found.setdefault(leg.type, []).append(leg)
        if plan["instead"] is not None:
            instead, lacking = asim["plans"][plan["instead"]], tuple(plan["needs"])
            read = _read(asim, event, instead, lacking)
            other = Leg(leg.id, read, instead, columns, lacking, names, source)
            found.setdefault(other.type, []).append(other)
    return found


def _read(
    asim: Mapping[str, Any],
    event: Mapping[str, Any],
    plan: Mapping[str, Any],
    needs: tuple[Any, ...] = (),
) -> Mapping[str, Any]:
    """The event with the casts its plan asks for: all of them where leftovers are kept."""
    if plan["leftovers"] is not None:
        return event
    asked: set[str] = set()
    for expr in (*(asim["steps"][at][1] for at in (*plan["derive"], *plan["emit"])), *needs):
        _fields(expr, asked)
    casts = {
        key: number
        for key, number in event["casts"].items()
        if key in event["time"] or asked & {name for _, name in asim["casts"][number]["parts"]}
    }
    return {**event, "casts": casts}


def _fields(expr: Any, found: set[str]) -> None:
    """Every field an expression reads."""
    if isinstance(expr, list):
        if len(expr) == 2 and expr[0] == "ref" and isinstance(expr[1], str):
            found.add(expr[1])
        for item in expr:
            _fields(item, found)


def choose(legs: Sequence[Leg], codes: Sequence[str]) -> str:
    """A value that may differ by leg; the commonest one stands last, without a condition."""
    groups: dict[str, list[str]] = {}
    for leg, code in zip(legs, codes, strict=True):
        groups.setdefault(code, []).append(leg.id)
    ordered = sorted(groups.items(), key=lambda group: len(group[1]))
    if len(ordered) == 1:
        return ordered[0][0]
    branches = ", ".join(f"{of(ids)}, {code}" for code, ids in ordered[:-1])
    return f"case({branches}, {ordered[-1][0]})"


def of(ids: Sequence[str]) -> str:
    """A condition: the row is one of these events."""
    if len(ids) == 1:
        return f"row_ == {kql.text(ids[0])}"
    return f"row_ in {kql.texts(sorted(ids))}"


def classify(chosen: Sequence[Leg], every: Sequence[Leg], sources: Sequence[Any]) -> str:
    """The expression of `row_`: the event by product, class and name, '' for none of the chosen.

    Exact names come before `class/*`, and that before `*/*`; a product's full name before one with
    wildcards.
    """
    wanted = {leg.id for leg in chosen}
    by_source: dict[str, str] = {}
    for source in sources:
        own = [leg for leg in every if leg.source is source]
        by_source[source["name"]] = _by_name(own, wanted)
    branches = []
    for exact in (True, False):
        for source in sources:
            for pattern in source["products"]:
                if ("*" not in pattern) is exact:
                    branches.append(f"{_product(pattern)}, {by_source[source['name']]}")
    fallback = next(by_source[source["name"]] for source in sources if source["any"])
    if all(branch.endswith(", ''") for branch in branches):
        return fallback
    kept = list(branches)
    while kept and kept[-1].endswith(f", {fallback}"):
        kept.pop()
    return f"case({', '.join(kept)}, {fallback})"


def _product(pattern: str) -> str:
    if "*" not in pattern:
        return f"product_ == {kql.text(pattern)}"
    inner = ".*".join(kql.pattern(part) for part in pattern.split("*"))
    return f"product_ matches regex {kql.text(f'^{inner}$')}"


def _by_name(own: Sequence[Leg], wanted: set[str]) -> str:
    """What one product's class and name say."""
    exact: dict[str, list[str]] = {}
    wild: dict[str, str] = {}
    rest = ""
    for leg in own:
        said = leg.id if leg.id in wanted else ""
        for name in leg.names:
            class_id, _, event = name.rpartition("/")
            if name == "*/*":
                rest = said
            elif event == "*":
                wild[class_id] = said
            elif name not in exact.setdefault(said, []):
                exact[said].append(name)
    if not any((*exact, *wild.values(), rest)):
        return "''"
    return _branches(exact, wild, rest)


def _branches(exact: dict[str, list[str]], wild: dict[str, str], rest: str) -> str:
    """Rows that would say what the rest says are left out."""
    branches = [
        f"key_ {f'== {kql.text(names[0])}' if len(names) == 1 else f'in {kql.texts(names)}'}"
        f", {kql.text(said)}"
        for said, names in exact.items()
        if said != rest or any(name.rpartition("/")[0] in wild for name in names)
    ]
    branches += [
        f"DeviceEventClassID == {kql.text(class_id)}, {kql.text(said)}"
        for class_id, said in wild.items()
        if said != rest
    ]
    return f"case({', '.join(branches)}, {kql.text(rest)})" if branches else kql.text(rest)
