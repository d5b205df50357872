"""One parser as the body of a stored function: a flat pipeline over CommonSecurityLog.

Its parameters are free names, as in a saved search. Reading is `_sentinel_read`'s; here are which
rows it takes, what it writes and how parameters filter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _kql as kql
from datto_siem.plugins.generators._sentinel_expr import (
    ABSENT,
    KINDS,
    Code,
    Compiler,
    as_text,
    present,
    strcat,
    typed,
)
from datto_siem.plugins.generators._sentinel_filters import filtered
from datto_siem.plugins.generators._sentinel_legs import Leg, choose, classify, from_vendors, of
from datto_siem.plugins.generators._sentinel_read import SLOTS, Reader
from datto_siem.plugins.generators._sentinel_schema import TIMES, Filter, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COLUMN_KINDS = {
    "string": "string",
    "int": "long",
    "long": "long",
    "real": "real",
    "datetime": "datetime",
    "boolean": "bool",
}
_GIVEN = {
    "header.vendor": Code("DeviceVendor", "string"),
    "header.product": Code("DeviceProduct", "string"),
    "header.version": Code("DeviceVersion", "string"),
    "header.class_id": Code("DeviceEventClassID", "string"),
    "header.name": Code("Activity", "string"),
    "header.severity": Code("LogSeverity", "string"),
    "syslog.host": Code("host_", "string"),
    "peer.ip": Code("peer_", "string"),
    "received": Code("received_", "datetime"),
    "processed": Code("received_", "datetime"),
    "pairs": Code("x_", "pairs"),
    "event.time": Code("time_", "datetime"),
}

_STORED = (
    "TimeGenerated",
    "Type",
    "_ItemId",
    "_TimeReceived",
    "Computer",
    "DeviceVendor",
    "DeviceProduct",
    "DeviceVersion",
    "DeviceEventClassID",
    "Activity",
    "LogSeverity",
)
"""Columns of the table that every parser needs."""


class Parser:
    """Writes the parsers of one table.

    Args:
        legs: The events it reads.
        every: The events of all tables, to tell these apart.
        asim: `portable` of the target asim.
        columns: Column -> type of the table.
        lead: Comment lines that open the body.
        library: The functions of `kql/casts.kql`.
    """

    def __init__(
        self,
        legs: Sequence[Leg],
        every: Sequence[Leg],
        asim: Mapping[str, Any],
        columns: Mapping[str, str],
        library: str,
    ) -> None:
        """Compile what each event writes."""
        self.legs, self.every, self.asim = legs, every, asim
        self.columns = columns
        self.library = library
        self.reader = Reader(legs, asim["casts"], asim["types"])
        self.refs = [self._refs(leg) for leg in legs]
        self.compilers = [Compiler(refs, asim["lookups"]) for refs in self.refs]

    def body(
        self, lead: Sequence[str], schema: Schema | None, filters: Mapping[str, Filter]
    ) -> str:
        """The whole function; `filters` are the parameters beside `disabled`."""
        written = self._written()
        stages = [
            *self._rows(filters),
            *self.reader.lines(),
            *self._derived(),
            *self._complete(),
            *self._emitted(written),
            *self._aliases(written, schema),
            *filtered(filters, set(written)),
            self._project(written, schema, filters),
        ]
        comments = [kql.comment(line) for line in lead]
        return "\n".join([*comments, self.library.rstrip(), "CommonSecurityLog", *stages, ""])

    def _refs(self, leg: Leg) -> dict[str, Code]:
        refs = {**self.reader.refs(leg), **_GIVEN}
        for step in leg.plan["derive"]:
            field = self.asim["steps"][step][0]
            refs[field] = Code(self.reader.column("d", field), KINDS[self.asim["types"][field]])
        return refs

    def _rows(self, filters: Mapping[str, Filter]) -> Iterator[str]:
        """Which rows are read at all: cheap conditions on stored columns first."""
        yield "| where not(disabled)"
        for name in (name for name in TIMES if name in filters):
            row = filters[name]
            test = row.test.format(column=row.column, name=name)
            yield f"| where isnull({name}) or {test}"
        yield f"| where {from_vendors(self.asim, 'DeviceVendor')}"
        classes = {name.rpartition("/")[0] for leg in self.legs for name in leg.names}
        if "*" not in classes:
            yield f"| where DeviceEventClassID in {kql.texts(sorted(classes))}"
        row_ = classify(self.legs, self.every, self.asim["sources"])
        yield (
            "| extend product_ = tolower(replace_string(DeviceProduct, ' ', '')),"
            " key_ = strcat(DeviceEventClassID, '/', Activity)"
        )
        yield f"| extend row_ = {row_}"
        yield "| where row_ != ''"
        kept = dict.fromkeys([*_STORED, *self.reader.stored()])
        yield f"| project row_, {', '.join(kept)}"
        yield (
            "| extend received_ = coalesce(_TimeReceived, TimeGenerated), peer_ = ip_(Computer),"
            " host_ = iff(ip_(Computer) == '', Computer, '')"
        )

    def _derived(self) -> Iterator[str]:
        """The event's time, then derived fields in the vocabulary's order."""
        times = []
        for leg in self.legs:
            keys = [self.reader.value(key, self.reader.cast(leg, key), "").text
                    for key in leg.event["time"]]  # fmt: skip
            times.append(
                f"coalesce({', '.join([*keys, 'TimeGenerated'])})" if keys else "TimeGenerated"
            )
        yield f"| extend time_ = {choose(self.legs, times)}"
        for field, kind in self.asim["types"].items():
            codes: list[str] = []
            found = False
            for leg, compiler in zip(self.legs, self.compilers, strict=True):
                steps = [self.asim["steps"][at] for at in leg.plan["derive"]]
                expr = next((expr for into, expr in steps if into == field), None)
                found = found or expr is not None
                code = ABSENT if expr is None else compiler.code(expr)
                codes.append(typed(code, KINDS[kind]))
            if found:
                yield f"| extend {self.reader.column('d', field)} = {choose(self.legs, codes)}"

    def _complete(self) -> Iterator[str]:
        """Rows that lack what their schema needs go to the unknown events, and only there."""
        for leg, compiler in zip(self.legs, self.compilers, strict=True):
            needs = leg.lacking or leg.plan["needs"]
            conditions = [present(compiler.code(need)) for need in needs]
            kept = [condition for condition in conditions if condition != "true"]
            if not kept:
                continue
            met = " and ".join(f"({condition})" for condition in kept)
            wanted = f"not({met})" if leg.lacking else met
            yield f"| where not({of([leg.id])}) or ({wanted})"

    def _written(self) -> dict[str, list[Code]]:
        """Column -> its code for each leg; members of dynamic columns under `Column.Name`."""
        found: dict[str, list[Code]] = {}
        for at, (leg, compiler) in enumerate(zip(self.legs, self.compilers, strict=True)):
            for step in leg.plan["emit"]:
                into, expr = self.asim["steps"][step]
                code = compiler.code(expr)
                if into.partition(".")[0] in self.columns and code.kind != "any":
                    found.setdefault(into, [ABSENT] * len(self.legs))[at] = code
            for into, code in self._left(at, leg):
                found.setdefault(into, [ABSENT] * len(self.legs))[at] = code
        for own in ("TimeGenerated", "Type"):  # the row's own stay
            found.pop(own, None)
        return found

    def _left(self, at: int, leg: Leg) -> Iterator[tuple[str, Code]]:
        """What no column carries, under the names of the wire."""
        if leg.plan["leftovers"] is None:
            return
        into, _ = leg.plan["leftovers"]
        compiler, used = self.compilers[at], set(leg.plan["used"])
        said = dict(leg.plan["said"])
        taken = []
        for key in leg.event["casts"]:
            wire = self.reader.column("w", key)
            if key in used:
                code = self.reader.failed(leg, key, self.refs[at])
            elif key in said:
                condition = present(compiler.code(said[key]))
                code = {"true": "''", "false": wire}.get(condition, f"iff({condition}, '', {wire})")
            else:
                continue
            taken.append(kql.pattern(key))
            if code != "''":
                yield f"{into}.{key}", Code(code, "string")
        for start, _ in leg.event["lists"]:
            if f"{start}*" in used:
                slots = "|".join(str(number) for number in range(SLOTS))
                taken.append(f"{kql.pattern(start)}(?:{slots})")
        pattern = kql.text(f";(?:{'|'.join(taken)})=[^;]*")
        yield f"{into}.", Code(f"replace_regex(x_, {pattern}, '')", "members")

    def _emitted(self, written: Mapping[str, list[Code]]) -> Iterator[str]:
        rows: list[str] = []
        members: dict[str, list[tuple[str, str, str]]] = {}
        for into, codes in written.items():
            column, dot, name = into.partition(".")
            if dot:
                row, member = self._member(into, name, codes)
                rows.append(row)
                members.setdefault(column, []).append(member)
            else:
                rows.append(f"o_{column} = {self._column(column, codes)}")
        yield "| extend " + ",\n         ".join(rows)
        if members:
            yield from self._objects(members)

    def _objects(self, members: Mapping[str, list[tuple[str, str, str]]]) -> Iterator[str]:
        """Objects from their members: JSON of each value, then with its name, then all together."""
        every = [member for parts in members.values() for member in parts]
        yield "| extend " + ",\n         ".join(f"{own} = {made}" for own, _, made in every)
        yield "| extend " + ",\n         ".join(
            f"{own} = iff({own} == '', '', strcat({kql.text(_named(name))}, {own}))"
            for own, name, _ in every
            if name
        )
        yield "| extend " + ",\n         ".join(
            f"o_{column} = {strcat([own for own, _, _ in parts])}"
            for column, parts in members.items()
        )
        yield "| extend " + ",\n         ".join(
            f"o_{column} = todynamic(strcat('{{', replace_regex(o_{column}, '^,', ''), '}}'))"
            for column in members
        )

    def _column(self, column: str, codes: list[Code]) -> str:
        kind = self.columns[column]
        if kind == "dynamic":
            return choose(self.legs, [_dynamic(code) for code in codes])
        chosen = choose(self.legs, [typed(code, _COLUMN_KINDS[kind]) for code in codes])
        if kind == "int":
            return f"toint({chosen})"
        return f"tobool({chosen})" if kind == "boolean" else chosen

    def _member(self, into: str, name: str, codes: list[Code]) -> tuple[str, tuple[str, str, str]]:
        """A member of an object: the assignment of its value, then (column, name, JSON)."""
        own = self.reader.column("m", into)
        if not name:
            chosen = choose(self.legs, [code.text for code in codes])
            return f"{own} = {chosen}", (own, "", f"pairs_({own})")
        kinds = {code.kind for code in codes} - {"any"}
        kind = kinds.pop() if len(kinds) == 1 else "string"
        chosen = choose(self.legs, [typed(code, kind) for code in codes])
        return f"{own} = {chosen}", (own, name, _json(Code(own, kind)))

    def _aliases(self, written: Mapping[str, list[Code]], schema: Schema | None) -> Iterator[str]:
        rows = []
        for alias, sources in (schema.aliases if schema else {}).items():
            kept = [f"o_{source}" for source in sources if source in written]
            if alias not in written and kept:
                code = kept[0] if len(kept) == 1 else f"coalesce({', '.join(kept)})"
                rows.append(f"o_{alias} = {code}")
        if rows:
            yield "| extend " + ",\n         ".join(rows)

    def _project(
        self,
        written: Mapping[str, list[Code]],
        schema: Schema | None,
        filters: Mapping[str, Filter],
    ) -> str:
        names = dict.fromkeys(into.partition(".")[0] for into in written)
        rows = [f"{name} = o_{name}" for name in names]
        own = ["TimeGenerated", "Type", "EventUid = _ItemId"]
        if schema is not None:
            if "EventSchema" not in names:
                own.append(f"EventSchema = {kql.text(schema.name)}")
            kept = {name for alias in schema.aliases.values() for name in alias} & names.keys()
            rows += [f"{alias} = o_{alias}" for alias, sources in schema.aliases.items()
                     if alias not in names and kept & set(sources)]  # fmt: skip
            if "ipaddr_has_any_prefix" in filters:
                rows += ["ASimMatchingIpAddr", "ASimMatchingHostname = '-'"]
        return "| project " + ",\n          ".join([*own, *rows])


def _named(name: str) -> str:
    """How a member of an object begins."""
    return f",{json.dumps(name)}:"


def _json(code: Code) -> str:
    """A member's value as JSON, '' when absent."""
    if code.kind == "list":
        return f"texts_({code.text})"
    if code.kind == "bool":
        return code.text
    if code.kind in ("long", "real"):
        return f"tostring({code.text})"
    if code.kind == "datetime":
        return f"iff({present(code)}, quoted_(moment_({code.text})), '')"
    return f"iff({present(code)}, quoted_({code.text}), '')"


def _dynamic(code: Code) -> str:
    if code.kind == "list":
        return f"todynamic(texts_({code.text}))"
    if code.kind == "pairs":
        return f"todynamic(strcat('{{', replace_regex(pairs_({code.text}), '^,', ''), '}}'))"
    return f"todynamic({as_text(code)})"
