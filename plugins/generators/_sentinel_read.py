"""From a row of CommonSecurityLog back to wire keys, and from their texts to typed fields.

A row is one of two kinds. One that datto-siem posted (`CollectorHostName` says so: the DCR sets it)
was decoded before: each key has its column or stands in AdditionalExtensions, `;` inside a value is
`%3B`, and of a key that came twice the value that counts stands first. Any other row an agent made
of Datto's own lines: pairs with a colon are still inside the value before them, and they, and pairs
without a blank between them, are parted here. Of duplicates the first counts if it stands before
every value a stranger chose (SSID, host name, DNS name), else the last that fits its type, because
what is forged inside a value comes before what the device writes after it.

All pairs stand in the text `x_` as `;key=value`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _kql as kql
from datto_siem.plugins.generators._sentinel_casts import FORMS, GLUES, KIND_OF_PART, made
from datto_siem.plugins.generators._sentinel_expr import (
    KINDS,
    MOST_ARGUMENTS,
    Code,
    as_text,
    present,
    strcat,
)
from datto_siem.plugins.generators._sentinel_legs import Leg, choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OURS = "datto-siem"
"""What the DCR writes into CollectorHostName."""
SLOTS = 16
"""Items of a numbered list that are read; later ones stay under their own keys."""

_AFTER_BLANK = ";\\1= "
_AS_IT_WAS = ";\\1="
_BLANKS = "[\\t\\n\\r ]+(;|$)"
_KEPT = "\\1"
_END = "[\\t\\n\\r ]*(?:;[^;=]+=|$)"


class Reader:
    """Names the columns that hold the wire keys and typed values of some legs.

    Args:
        legs: Events of one parser.
        casts: Casts by number, of `portable`.
        types: Type of every field.
    """

    def __init__(self, legs: Sequence[Leg], casts: Sequence[Any], types: Mapping[str, str]) -> None:
        """Give every key and value its column."""
        self.legs = legs
        self.casts = casts
        self.types = types
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def column(self, prefix: str, key: str) -> str:
        """A column of our own: words of the key, apart from every other one even without case."""
        known = self._names.get(f"{prefix}{key}")
        if known is None:
            stem = f"{prefix}_{re.sub('[^A-Za-z0-9]+', '_', key)}_"
            known, number = stem, 1
            while known.lower() in self._taken:
                number += 1
                known = f"{stem}{number}_"
            self._taken.add(known.lower())
            self._names[f"{prefix}{key}"] = known
        return known

    def cast(self, leg: Leg, key: str) -> Mapping[str, Any]:
        """How a leg reads a key."""
        cast: Mapping[str, Any] = self.casts[leg.event["casts"][key]]
        return cast

    def keys(self) -> list[str]:
        """Every wire key one of the legs reads, lists apart."""
        return list(dict.fromkeys(key for leg in self.legs for key in leg.event["casts"]))

    def value(self, key: str, cast: Mapping[str, Any], part: str) -> Code:
        """What a key's text is as one part of its cast: a column, or the text itself."""
        kind = KIND_OF_PART.get((cast["kind"], part))
        if kind is None:
            return Code(self.column("w", key), "string")
        return Code(self.column("v", f"{key} {cast['kind']} {part}"), kind)

    def refs(self, leg: Leg) -> dict[str, Code]:
        """The leg's fields."""
        found: dict[str, list[tuple[bool, Code]]] = {}
        for key in leg.event["casts"]:
            cast = self.cast(leg, key)
            for part, field in cast["parts"]:
                found.setdefault(field, []).append((cast["wins"], self.value(key, cast, part)))
        refs = {}
        for field, fillers in found.items():
            ordered = [code for wins, code in sorted(fillers, key=lambda each: not each[0])]
            kind = KINDS[self.types[field]]
            inner = ", ".join(dict.fromkeys(code.text for code in ordered))
            refs[field] = Code(f"coalesce({inner})" if len(ordered) > 1 else inner, kind)
        for start, number in leg.event["lists"]:
            refs[self.casts[number]["parts"][0][1]] = Code(self.column("l", start), "list")
        return refs

    def failed(self, leg: Leg, key: str, refs: Mapping[str, Code]) -> str:
        """The text of a key whose value no field took, else ''; plain '' when that cannot be."""
        cast = self.cast(leg, key)
        wire = self.column("w", key)
        conditions = []
        parts = cast["parts"] or [["", ""]]
        main = self.value(key, cast, parts[0][0] if cast["kind"] != "hostport" else "ip")
        if cast["kind"] in FORMS:
            conditions.append(f"not({present(main)})")
        if parts[0][1] and refs[parts[0][1]].text.startswith("coalesce("):
            conditions.append(f"{as_text(refs[parts[0][1]])} != {as_text(main)}")
        if not conditions:
            return "''"
        return f"iff({' or '.join(conditions)}, {wire}, '')"

    def stored(self) -> list[str]:
        """Columns of the table that reading needs."""
        found = {leg.columns[key][0]: None for leg in self.legs for key in _order(leg)}
        return ["CollectorHostName", "AdditionalExtensions", *found]

    def lines(self) -> Iterator[str]:
        """The stages that fill the columns."""
        yield from self._pairs()
        yield from self._texts()
        yield from self._values()
        yield from self._listed()

    def _listed(self) -> Iterator[str]:
        """Numbered keys as lists, in order of their numbers, each item once."""
        rows, joined = [], []
        for start in self._lists():
            items = [self.column("g", f"{start}{number}") for number in range(SLOTS)]
            for at, item in enumerate(items):
                again = f" or {item} in ({', '.join(items[:at])})" if at else ""
                own = self.column("h", f"{start}{at}")
                kept = f"strcat(';', replace_string({item}, ';', '%3B'))"
                rows.append(f"{own} = iff({item} == ''{again}, '', {kept})")
            heads = [self.column("h", f"{start}{number}") for number in range(SLOTS)]
            joined.append(f"{self.column('l', start)} = {strcat(heads)}")
        yield from _stage(rows)
        yield from _stage(joined)

    def _lists(self) -> list[str]:
        return list(dict.fromkeys(start for leg in self.legs for start, _ in leg.event["lists"]))

    def _pairs(self) -> Iterator[str]:
        yield from _stage(self._cells())
        joined = [self._joined(leg) for leg in self.legs]
        yield from _stage(list(dict.fromkeys(row for rows, _ in joined for row in rows)))
        rest = "iff(AdditionalExtensions == '', '', strcat(';', AdditionalExtensions))"
        yield from _stage(
            [
                f"ours_ = CollectorHostName == {kql.text(OURS)}",
                f"x_ = {choose(self.legs, [code for _, code in joined])}",
                f"rest_ = {rest}",
            ]
        )
        yield "| extend x_ = strcat(x_, rest_)"
        stray = kql.text(";([^;=]*)(;|$)")
        for _ in range(2):  # neighbours share the `;` between them
            yield f"| extend x_ = iff(ours_, x_, replace_regex(x_, {stray}, '%3B\\\\1\\\\2'))"
        colon = [self._colon(leg) for leg in self.legs]
        if any(any(row) for row in colon):
            # blanks twice, and one before each value: neighbours then each have their own
            yield "| extend x_ = iff(ours_, x_, replace_string(x_, ' ', '  '))"
            yield f"| extend x_ = iff(ours_, x_, {_replaced(';([^;=]+)=', _AFTER_BLANK)})"
            for at, swap in enumerate((";\\1\\2", ";\\1=", ";\\1=")):
                codes = [_replaced(row[at], swap) for row in colon]
                yield f"| extend x_ = iff(ours_, x_, {choose(self.legs, codes)})"
            yield "| extend x_ = iff(ours_, x_, replace_string(x_, '  ', ' '))"
            yield f"| extend x_ = iff(ours_, x_, {_replaced(';([^;=]+)= +', _AS_IT_WAS)})"
        glue = [_replaced(self._glue(leg), "\\1;\\2\\3") for leg in self.legs]
        if any(code != "x_" for code in glue):
            yield f"| extend x_ = iff(ours_, x_, {choose(self.legs, glue)})"
        yield f"| extend x_ = iff(ours_, x_, {_replaced(_BLANKS, _KEPT)})"
        before = choose(self.legs, [self._before(leg) for leg in self.legs])
        yield f"| extend pre_ = iff(ours_, x_, {before})"

    def _joined(self, leg: Leg) -> tuple[list[str], str]:
        """All pairs of columns in one text; when they are many, first in portions."""
        cells = [self.column("c", key) for key in _order(leg)]
        if len(cells) <= MOST_ARGUMENTS:
            return [], strcat(cells)
        portions = [cells[at : at + MOST_ARGUMENTS] for at in range(0, len(cells), MOST_ARGUMENTS)]
        names = [self.column("c", f"{portion[0]} {len(portion)}") for portion in portions]
        rows = [f"{name} = {strcat(one)}" for name, one in zip(names, portions, strict=True)]
        return rows, strcat(names)

    def _cells(self) -> list[str]:
        """The columns as pairs."""
        rows = {}
        for leg in self.legs:
            for key in _order(leg):
                column, kind = leg.columns[key]
                value = column if kind == "string" else f"tostring({column})"
                pair = f"strcat({kql.text(f';{key}=')}, replace_string({value}, ';', '%3B'))"
                empty = f"{column} == ''" if kind == "string" else f"isnull({column})"
                own = self.column("c", key)
                rows[own] = f"{own} = iff({empty}, '', {pair})"
        return list(rows.values())

    def _starting(self, leg: Leg) -> dict[str, Any]:
        """Keys that start a pair even after a stranger's text."""
        return {key: self.casts[number] for key, number in leg.event["boundary"].items()}

    def _colon(self, leg: Leg) -> tuple[str, str, str]:
        """Patterns: pairs of a typed key, those keys once parted, keys of any text."""
        keys = {key: cast for key, cast in self._starting(leg).items() if cast["colon"]}
        typed = {key: FORMS[cast["kind"]] for key, cast in keys.items() if cast["kind"] in FORMS}
        free = [kql.pattern(key) for key in keys if key not in typed]
        pairs = "|".join(f"{kql.pattern(key)}:(?:{form})?" for key, form in typed.items())
        names = "|".join(kql.pattern(key) for key in typed)
        return (
            f" ((?:{pairs}))( |;|$)" if typed else "",
            f";({names}):" if typed else "",
            f" ({'|'.join(free)}):" if free else "",
        )

    def _glue(self, leg: Leg) -> str:
        """A pattern: one pair inside the value of another."""
        starting = self._starting(leg)
        pairs = "|".join(
            f"{kql.pattern(key)}=(?:{GLUES[cast['kind']]})"
            for key, cast in starting.items()
            if cast["kind"] in GLUES and key in leg.event["keys"]
        )
        return f"(;[^;=]+=[^;=]*?[^;=])((?:{pairs}))(;|$)" if pairs else ""

    def _before(self, leg: Leg) -> str:
        """The pairs up to the first one whose value a stranger chose."""
        free = [kql.pattern(key) for key, cast in self._starting(leg).items() if cast["free"]]
        if not free:
            return "x_"
        pattern = kql.text(f"(?s)^(.*?;(?:{'|'.join(free)})=[^;]*)")
        return f"coalesce(extract({pattern}, 1, x_), x_)"

    def _texts(self) -> Iterator[str]:
        guarded = any(self._before(leg) != "x_" for leg in self.legs)
        rows = []
        for key in self.keys():
            codes = {}
            for leg in self.legs:
                if key in leg.event["casts"]:
                    kind = self.cast(leg, key)["kind"]
                    codes[leg.id] = _wire(key, FORMS.get(kind), guarded)
            first = next(iter(codes.values()))
            code = choose(self.legs, [codes.get(leg.id, first) for leg in self.legs])
            rows.append(f"{self.column('w', key)} = {code}")
        rows += [
            f"{self.column('g', f'{start}{number}')} = {_first(f'{start}{number}', 'x_')}"
            for start in self._lists()
            for number in range(SLOTS)
        ]
        yield from _stage(rows)

    def _values(self) -> Iterator[str]:
        stages: dict[int, dict[str, str]] = {}
        for leg in self.legs:
            for key in leg.event["casts"]:
                kind = self.cast(leg, key)["kind"]
                parts = {part for made, part in KIND_OF_PART if made == kind}
                names = {part: self.column("v", f"{key} {kind} {part}") for part in parts}

                def own(name: str, key: str = key) -> str:
                    return self.column(name, key)

                for at, name, code in made(kind, self.column("w", key), names, own):
                    stages.setdefault(at, {})[name] = f"{name} = {code}"
        for at in sorted(stages):
            yield from _stage(list(stages[at].values()))


def _stage(rows: list[str]) -> Iterator[str]:
    if rows:
        yield "| extend " + ",\n         ".join(rows)


def _order(leg: Leg) -> list[str]:
    """Keys with a column, in the order the event documents them."""
    known = [*leg.event["keys"], *leg.event["casts"]]
    if leg.plan["leftovers"] is None:  # every pair is written
        known = list(leg.columns)  # in one order for all of them: there are many
    return [key for key in dict.fromkeys(known) if key in leg.columns]


def _replaced(pattern: str, swap: str) -> str:
    return f"replace_regex(x_, {kql.text(pattern)}, {kql.text(swap)})" if pattern else "x_"


def _first(key: str, within: str) -> str:
    return f"clear_(extract({kql.text(f'(?s);{kql.pattern(key)}=(.*?){_END}')}, 1, {within}))"


def _wire(key: str, form: str | None, guarded: bool) -> str:
    """A key's text: the first before a stranger's, else the last that fits, else the last."""
    first = f"extract({kql.text(f'(?s);{kql.pattern(key)}=(.*?){_END}')}, 1, pre_)"
    if not guarded:
        return f"clear_({first})"
    last = f"(?s).*;{kql.pattern(key)}="
    found = [first]
    if form is not None:
        found.append(f"extract({kql.text(f'{last}({form}){_END}')}, 1, x_)")
    found.append(f"extract({kql.text(f'{last}(.*?){_END}')}, 1, x_)")
    return f"clear_(coalesce({', '.join(found)}))"
