"""A repair relay in syslog-ng's own language: Datto's lines in, canonical `CEF:0` lines out.

`_syslog_ng` writes patterns, `_repair` says what the tables hold; the frame that never changes is
in the folder `syslog-ng`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._repair import IN_BOTH, Difference, listed, products, words
from datto_siem.plugins.generators._shipped import filled, names, part
from datto_siem.plugins.generators._syslog_ng import (
    folded,
    marking,
    parting,
    pattern,
    placeholders,
    template,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context
    from datto_siem.plugins.generators._repair import Product, Shape

USAGE = "syslog-ng as a repair relay: clean CEF:0 for tools that read only that, no program needed"
TARGETS = ()
_FOLDER = "syslog-ng"


KNOWN_DIFFERENCES = (
    *IN_BOTH,
    Difference(
        "many_pairs",
        "more than 512 pairs are all pairs; the converter keeps the rest as one, `_rest`",
        "the limit guards the converter's memory; a relay has nothing to guard",
    ),
    Difference(
        "marks",
        "a record that holds a control character of 1 to 6 or 14 is handed on whole, in `msg`",
        "those mark places while the record is taken apart",
    ),
)

_FIELD = r"(?:[^|\\]|\\(?:.|\z))*+"
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.,\-]*+(?:\[[0-9]++\])?+="
_SEVERITY = r"(?:(?i:unknown|low|medium|high|very[- ]high|10|[0-9]|)(?=\|)|(?:[^|\\=]|\\[^=])*+)"
_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_STAMP = (
    r"(?>(?:[0-9]{1,10}: {1,3}(?:[^\s:|]{1,255} ?: {1,3})?)?[*.]?"
    r"(?:(?:[0-9]{4} {1,3})?[A-Z][a-z]{2} {1,3}[0-9]{1,2},? {1,3}(?:[0-9]{4},? {1,3})?"
    r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?(?:Z| [A-Z]{3,4}(?=[ :]))?"
    rf"(?: [0-9]{{4}}(?= ))?|{_ISO}):?(?= ) {{1,3}})"
)
_ELEMENT = r'\[(?:[^\]"\\]|\\.|"(?:[^"\\]|\\.)*+")*+\]'
_DATA = rf"(?:-|(?:{_ELEMENT})++)"
_5424 = rf"[1-9][0-9]{{0,2}} {{1,3}}(?:{_ISO}|-) ++"
_LEAD = r'(?:\xef\xbb\xbf|[\s"]){0,8}'
_TAG = r"[^\s:\[\]|=<>%]{1,128}+(?:\[[^\]\s|]{0,64}\])?:(?=\s|\z)\s{0,3}"


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    words_ = {"STAMP": context.stamp, "DIFFERENCES": listed(KNOWN_DIFFERENCES)}
    found = {name: part(_FOLDER, name, words_) for name in names(_FOLDER)}
    found["datto-10-tables.conf"] = filled(tables(context), words_)
    return {name: text.encode() for name, text in sorted(found.items())}


def tables(context: Context) -> str:
    """The blocks that come from tables, and those whose patterns are built of parts."""
    known = products(context)
    shapes = list(dict.fromkeys(shape for each in known for shape in each.events.values()))
    numbers = {shape: str(number) for number, shape in enumerate(shapes)}
    unspaced = tuple(word for word in words(context) if " " not in word)
    return "\n".join(
        [
            "# @STAMP@",
            "# Which keys an event has, what their values look like, where a record's parts begin.",
            _start(),
            _realigned(known),
            _header(),
            _text(),
            _event(known, numbers),
            _block("datto_words", f"rewrite {{ {placeholders(words(context))} }};"),
            _chosen("datto_pairs", {numbers[each]: marking(each, unspaced) for each in shapes}),
            _chosen("datto_glued", {numbers[each]: parting(each) for each in shapes}),
        ]
    )


def _block(name: str, *lines: str) -> str:
    inner = "\n".join(f"    {line}" for line in lines)
    return f"\nparser {name} {{\n  channel {{\n{inner}\n  }};\n}};"


def _parser(*patterns: str, of: str) -> str:
    quoted = " ".join(f"'{each}'" for each in patterns)
    return (
        f'parser {{ regexp-parser(prefix(".datto.") template("${{{of}}}") patterns({quoted})); }};'
    )


def _start() -> str:
    """Where CEF begins: at `CEF:`, not inside structured data, or right behind the header."""
    data = rf"(?>(?:{_LEAD}(?:<[0-9]{{1,3}}> {{0,3}})?{_5424}(?:[^ |]++ ++){{4}}{_DATA})?)"
    cef = rf"(?s)^(?<prefix>{data}.*?)CEF:[ \t]?(?<rest>[0-9]{{1,9}}(?:\.[0-9]{{1,9}})?\|.*)\z"
    begun = rf"{_LEAD}(?:[0-9]{{1,6}} (?=<))?(?:<[0-9]{{1,3}}>|{_STAMP})"
    bare = (
        rf"(?s)^(?<prefix>{data} {{0,3}}(?:\xef\xbb\xbf)?|{_LEAD}"
        rf"|{begun}(?:[^|]*?[ >]|[^|]*?\xef\xbb\xbf)?)"
        r"(?<rest>[0-9]{1,9}(?:\.[0-9]{1,9})?\| ?(?i:datto) ?\|.*)\z"
    )
    return _block("datto_start", _parser(cef, bare, of=".datto.text"))


def _header() -> str:
    """The seven fields, or those that are there and where the first pair begins."""
    names = ("vendor", "product", "device", "class", "name", "severity")

    def fields(field: str, count: int, first: int = 0) -> str:
        return "".join(rf"\|(?<{name}>{field})" for name in names[first:count])

    full = rf"(?s)^{_FIELD}{fields(_FIELD, 5)}\|(?<severity>{_SEVERITY})\|(?<pairs>.*)\z"
    unlike = rf"(?!\s*+{_KEY}){_FIELD}"
    inner = ""
    for name in reversed(names[1:5]):
        inner = rf"(?:\|(?<{name}>{unlike}){inner})?"
    keyed = rf"(?s)^{_FIELD}{fields(_FIELD, 1)}{inner}\|(?<pairs>\s*+{_KEY}.*)\z"
    seven = rf"(?s)^{_FIELD}{fields(_FIELD, 6)}(?:\|(?<pairs>.*))?\z"
    inner = ""
    for name in reversed(names[2:5]):
        inner = rf"(?:\|(?<{name}>{_FIELD}){inner})?"
    short = rf"(?s)^{_FIELD}{fields(_FIELD, 2)}{inner}\z"
    return _block(
        "datto_header",
        f"if {{ {_parser(full, of='.datto.rest')} }}",
        f"elif {{ {_parser(keyed, of='.datto.rest')} parser(datto_realigned); }}",
        f"elif {{ {_parser(seven, of='.datto.rest')} }}",
        f"else {{ {_parser(short, of='.datto.rest')} parser(datto_realigned); }};",
    )


def _realigned(known: tuple[Product, ...]) -> str:
    """A known event one field early: the version is missing, or the product is."""
    lines: list[str] = []
    for each in known:
        pairs = [name.partition("/") for name in each.events if "*" not in name]
        if each.vendor and pairs:
            events = "|".join(rf"{pattern(one)}\|{pattern(other)}" for one, _, other in pairs)
            test = (
                rf"match('(?s)^{folded(each.vendor)}\|[^|]*\|(?:{events})\z'"
                ' template("${.datto.vendor}|${.datto.product}|${.datto.device}|${.datto.class}"))'
            )
            product = "|".join(folded(name) for name in each.products)
            lines.append(
                f"{'elif' if lines else 'if'} ({test}) {{ rewrite {{"
                ' set("${.datto.name}" value(".datto.severity"));'
                ' set("${.datto.class}" value(".datto.name"));'
                ' set("${.datto.device}" value(".datto.class"));'
                ' set("" value(".datto.device"));'
                f" }}; if (not match('^(?:{product})\\z' value(\".datto.product\"))) {{ rewrite {{"
                ' set("${.datto.product}" value(".datto.device"));'
                f' set({template(each.products[0])} value(".datto.product")); }}; }}; }}'
            )
    return _block("datto_realigned", *lines, "else { };")


def _text() -> str:
    """Sender and text of a record that is no CEF but has a syslog header."""
    new = (
        rf"(?s)^{_LEAD}<[0-9]{{1,3}}> {{0,3}}{_5424}(?<host>[^ |]++) ++(?:[^ |]++ ++){{3}}{_DATA}"
        r"(?: {0,3}(?:\xef\xbb\xbf)?)(?<body>.*)\z"
    )
    pri = r"(?:<(?:[0-9]{1,2}|1[0-8][0-9]|19[01])> {0,3})"
    host = r"(?<host>[^\s|=<>\"\[\]]{1,255}+)(?=\s|\z)\s{0,3}"
    any_pri = r"(?:<[0-9]{1,3}> {0,3})?+"  # one above 191 is none, but is stepped over
    begun = rf"(?s)^{_LEAD}{any_pri}{_STAMP}"
    colon = r"(?<host>[^\s:\[\]|=<>%]*\.[^\s:\[\]|=<>%]*|-):(?=\s|\z)\s{0,3}"
    dotted = rf"{begun}{colon}(?:{_TAG})?+(?<body>.*)\z"  # a name with a point is a host's
    tagged = rf"{begun}(?:{_TAG})(?<body>.*)\z"
    named = rf"{begun}{host}(?:[:-](?=\s|\z)\s{{0,3}})?+(?:{_TAG})?+(?<body>.*)\z"
    alone = rf"(?s)^{_LEAD}{pri}(?:{_TAG})?+(?<body>.*)\z"
    return _block("datto_text", _parser(new, dotted, tagged, named, alone, of=".datto.text"))


def _event(known: tuple[Product, ...], numbers: Mapping[Shape, str]) -> str:
    """The number of a record's shape, by vendor, product, class and name."""
    rows = [(name, each) for each in known if each.vendor for name in each.products]
    rows.sort(key=lambda row: "*" in row[0])  # an exact name counts more than a pattern
    lines: list[str] = []
    for name, each in rows:
        test = _is(rf"(?s)^{folded(each.vendor)}\|{folded(name)}\|")
        lines += [f"{'} elif' if lines else 'if'} ({test}) {{", *_shape(each, numbers)]
    rest = next(each for each in known if not each.vendor)
    return _block("datto_event", *lines, "} else {", *_shape(rest, numbers), "};")


def _is(test: str, value: str = ".datto.header") -> str:
    return f"match('{test}' value(\"{value}\"))"


def _shape(product: Product, numbers: Mapping[Shape, str]) -> list[str]:
    """A product's events: `class/name` before `class/*` before `*/*`."""
    exact: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {}
    for name, shape in product.events.items():
        one, _, other = name.partition("/")
        if name != "*/*":
            test = rf"{_escaped(one)}\|" + ("" if other == "*" else rf"{_escaped(other)}\|")
            (loose if other == "*" else exact).setdefault(numbers[shape], []).append(test)
    lines: list[str] = []
    for number, tests in (*exact.items(), *loose.items()):
        test = _is(rf"(?s)^(?:{_FIELD}\|){{3}}(?:{'|'.join(tests)})")
        lines.append(f"  {'elif' if lines else 'if'} ({test}) {{ {_set_shape(number)} }}")
    last = _set_shape(numbers[product.events["*/*"]])
    return [*lines, f"  else {{ {last} }};"] if lines else [f"  {last}"]


def _set_shape(number: str) -> str:
    return f'rewrite {{ set("{number}" value(".datto.shape")); }};'


def _escaped(text: str) -> str:
    return pattern(text.replace("\\", "\\\\").replace("|", "\\|"))


def _chosen(name: str, steps: Mapping[str, list[str]]) -> str:
    """Substitutions by the number of the shape."""
    lines: list[str] = []
    for number, each in steps.items():
        if each:
            test = _is(rf"^{number}\z", ".datto.shape")
            lines.append(f"{'elif' if lines else 'if'} ({test}) {{")
            lines += [*(f"  {step}" for step in each), "}"]
    return _block(name, *lines, "else { };")
