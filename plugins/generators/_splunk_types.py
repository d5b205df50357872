"""Regular expressions of single values: what each cast takes, as PCRE that Splunk runs.

The same forms as `converters.scalars`, `compounds` and `times`. Time forms have their parts in
named groups where a transform takes a value apart.
"""

from __future__ import annotations

BLANK = r"[\t-\r ]"
INK = r"[^\t-\r ]"
MARK = "\ufeff"
"""A byte order mark, as it is: `\\x{FEFF}` would not compile where a pattern is not UTF."""

_HEX = "[0-9A-Fa-f]"
_GROUP = f"{_HEX}{{1,4}}"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IP4 = f"{_OCTET}(?:[.]{_OCTET}){{3}}"
_WITH_GAP = "|".join(
    [f"(?:{_GROUP}:){{1,{7 - tail}}}(?::{_GROUP}){{1,{tail}}}" for tail in range(1, 7)]
)
_MIXED = "|".join(
    [f"(?:{_GROUP}:){{{head}}}(?::{_GROUP}){{0,{5 - head}}}:{IP4}" for head in range(1, 6)]
)
IP6 = (
    f"(?:{_MIXED}|(?:{_GROUP}:){{6}}{IP4}|:(?::{_GROUP}){{0,5}}:{IP4}"
    f"|(?:{_GROUP}:){{7}}{_GROUP}|{_WITH_GAP}|(?:{_GROUP}:){{1,7}}:|:(?:(?::{_GROUP}){{1,7}}|:))"
    f"(?![0-9A-Fa-f:.])"
)
MAC = (
    f"(?:{_HEX}{{2}}(?::{_HEX}{{2}}){{5}}|{_HEX}{{2}}(?:-{_HEX}{{2}}){{5}}"
    f"|{_HEX}{{4}}[.]{_HEX}{{4}}[.]{_HEX}{{4}}|{_HEX}{{12}})"
)
UUID = f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
INTEGER = "-?[0-9]{1,18}"
PORT = "(?:6(?:5(?:5(?:3[0-5]|[0-2][0-9])|[0-4][0-9]{2})|[0-4][0-9]{3})|[0-5]?[0-9]{1,4})(?![0-9])"
FLOAT = r"-?[0-9]{1,64}(?:\.[0-9]{1,64})?(?:[Ee][+-]?[0-9]{1,2})?"
_DIVIDED = "(?: *[&,#] *| +)"

_YEAR = "[12][0-9]{3}"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|[12][0-9]))"
)
_OFFSET = "[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]"
EPOCH = r"[0-9]{1,19}(?:\.[0-9]{1,18})?"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)"
RFC3339 = f"{_YEAR}-{_MONTH_DAY}[Tt ]{_CLOCK}(?:[.,][0-9]{{1,9}})?(?:{_OFFSET})?"
NAMED = (
    f"(?:[A-Z][a-z]{{2}},? +)?(?:{_YEAR} +)?(?i:{_MONTHS}) +(?:0?[1-9]|[12][0-9]|3[01]),? +"
    f"(?:{_YEAR},? +)?{_CLOCK}(?:[.,][0-9]{{1,9}})?(?: ?(?:UTC|GMT|Z|[+-][0-9]{{2}}:?[0-9]{{2}}))?"
    f"(?: +{_YEAR})?"
)


def hostport(ip4: str, ip6: str, port: str) -> str:
    """An address with or without its port; the arguments match its parts."""
    return (
        rf"(?:{ip4}:{port}|\[(?:{ip4}|{ip6})\](?:(?::|{_DIVIDED}){port})?"
        rf"|(?:{ip4}|{ip6})(?:{_DIVIDED}{port})?)"
    )


DEFINED = {
    "ip4": IP4,
    "ip6": IP6,
    "mac": MAC,
    "port": PORT,
    "time": f"{RFC3339}|{EPOCH}|{NAMED}",
}
"""Names a pattern may define and call."""
CASTS = {
    "ip": "(?:(?&ip4)|(?&ip6))",
    "mac": "(?&mac)",
    "int": INTEGER,
    "float": FLOAT,
    "port": "(?&port)",
    "time": "(?&time)",
    "hostport": hostport("(?&ip4)", "(?&ip6)", "(?&port)"),
}
"""Cast -> what it takes. Casts that are not here take any text."""
STRICT = {**CASTS, "uid": f"(?:{UUID}|(?&mac))"}
"""The same where two pairs are glued: an id must be a UUID or a MAC."""


def define(text: str) -> str:
    """A group that defines what a pattern calls, directly or by way of another."""
    needed = [name for name in DEFINED if f"(?&{name})" in text]
    inner = "".join(f"(?<{name}>{DEFINED[name]})" for name in needed)
    return f"(?(DEFINE){inner})" if inner else ""


# What transforms take values apart by: {0} is the field's name.
_CLOCK_PARTS = (
    r"(?<{0}_h>[0-9]{{2}}):(?<{0}_i>[0-9]{{2}}):(?<{0}_s>[0-9]{{2}})(?:[.,](?<{0}_g>[0-9]{{1,9}}))?"
)
_OFFSET_PARTS = r"(?<{0}_o>[+-])(?<{0}_p>[0-9]{{2}}):?(?<{0}_q>[0-9]{{2}})"
TIME_PARTS = (
    r"^(?|(?=[0-9]{{1,19}}(?:\.|$))0*(?<{0}_n>[0-9]+)(?:\.(?<{0}_f>[0-9]{{1,18}}))?"
    r"|(?:(?!)()())?(?<{0}_y>[0-9]{{4}})-(?<{0}_m>[0-9]{{2}})-(?<{0}_d>[0-9]{{2}})[Tt ]"
    rf"{_CLOCK_PARTS}(?:[Zz]|{_OFFSET_PARTS})?"
    r"|(?:(?!)()())?(?=.*?(?<![0-9:.+-])(?<{0}_y>[0-9]{{4}})(?: |,|$))[A-Za-z, ]*?(?:[0-9]{{4}} +)?"
    rf"(?<{{0}}_m>(?i:{_MONTHS})) +(?<{{0}}_d>[0-9]{{{{1,2}}}}),? +(?:[0-9]{{{{4}}}},? +)?"
    rf"{_CLOCK_PARTS}(?: ?(?:UTC|GMT|Z|{_OFFSET_PARTS}))?(?: +[0-9]{{{{4}}}})?)$"
)
HOST_PARTS = (
    r"^(?|\[(?<{0}_ip>[^\]]+)\][^0-9]*(?<{0}_port>[0-9]+)?"
    r"|(?<{0}_ip>[0-9.]+):(?<{0}_port>[0-9]+)"
    r"|(?<{0}_ip>[0-9A-Fa-f:.]+)(?:[^0-9A-Fa-f:.]+(?<{0}_port>[0-9]+))?)$"
)
SPAN_PARTS = (
    r"^(?:(?<{0}_n>[0-9]{{1,9}})(?:\.(?<{0}_f>[0-9]{{1,18}}))?"
    r"|(?=[0-9])(?:(?<{0}_h>[0-9]{{1,12}}(?:\.[0-9]{{1,12}})?)h)?"
    r"(?:(?<{0}_m>[0-9]{{1,12}}(?:\.[0-9]{{1,12}})?)m(?!s))?"
    r"(?:(?<{0}_s>[0-9]{{1,12}}(?:\.[0-9]{{1,12}})?)s)?"
    r"(?:(?<{0}_t>[0-9]{{1,12}}(?:\.[0-9]{{1,12}})?)ms)?"
    "(?:(?<{0}_u>[0-9]{{1,12}}(?:[.][0-9]{{1,12}})?)(?:us|µs|μs))?"
    r"(?:(?<{0}_w>[0-9]{{1,12}}(?:\.[0-9]{{1,12}})?)ns)?)$"
)
