r"""The Common Event Format on its own: header, pairs, escapes, and the canonical line.

Grammar read here (ArcSight CEF, document version 27, and what senders make of it):

    CEF:Version|Vendor|Product|Device Version|Event Class ID|Name|Severity|[Extension]

Header fields escape `|` and `\`; extension values escape `=`, `\`, and line breaks as `\n` `\r`
(`\|` is taken too). A pair is `key=value` after white space or at the start; a value runs to the
white space before the next key, so an unescaped `=` inside a value is text. Nothing here raises on
input, and everything is linear: one split on blanks, no regular expression over a whole line.

What a product's table knows (colon pairs, glued pairs, types) is `dialect`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters.event import Event, Header
from datto_siem.converters.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TEXT = 65_536
MAX_PAIRS = 512
MAX_KEY = 256
FIELDS = 7

BLANKS = " \t\r\n\0\x0b\x0c"
"""What is trimmed at the end of a value, and of a record."""

_ESCAPE = re.compile(r"\\([\\=|nr])")
_HEADER_ESCAPE = re.compile(r"\\([\\|])")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,\-]*(?:\[[0-9]+\])?")
SEVERITIES = frozenset(
    [
        "",
        *(str(number) for number in range(11)),
        "unknown",
        "low",
        "medium",
        "high",
        "very-high",
        "very high",
    ]
)
"""What a header's severity may be, in lower case."""
_TEXT = {"\\": "\\", "=": "=", "|": "|", "n": "\n", "r": "\r"}


def _is_key(text: str) -> bool:
    return len(text) <= MAX_KEY and _KEY.fullmatch(text) is not None


KEYS: Memo[str, bool] = Memo(_is_key, 4096)
"""Whether a short text is a well-formed key, remembered. Ask `is_key` for texts of any length."""


def is_key(text: str) -> bool:
    """Whether a text is a well-formed key of at most 256 characters."""
    return len(text) <= MAX_KEY and KEYS[text]


def unescape(value: str) -> str:
    r"""An extension value as text, in one pass; a backslash before anything else is itself."""
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda match: _TEXT[match[1]], value)


class Split(NamedTuple):
    """A header and where its extension starts.

    Attributes:
        header: The seven fields.
        extension: Index in the text of the extension's first character.
        note: `header_short`, `no_final_pipe`, or "".
    """

    header: Header
    extension: int
    note: str


def split_header(text: str, start: int) -> Split | None:
    """Take a header apart.

    Args:
        text: The record's text.
        start: Index of `CEF:`, or of the version where that word is missing.

    Returns:
        The fields, missing ones empty; None when there are not even three.
    """
    at = start + 4 if text.startswith("CEF:", start) else start
    parts: list[str] = []
    begins = [at]
    end = _pipe(text, at)
    while end >= 0 and len(parts) < FIELDS:
        parts.append(text[at:end])
        at = end + 1
        begins.append(at)
        end = _pipe(text, at)
    if len(parts) == FIELDS and (parts[6].lower() in SEVERITIES or "=" not in parts[6]):
        return Split(_header(parts), at, "")
    return _short(text, [*parts, text[at:]][: FIELDS + 1], begins)


def _short(text: str, parts: list[str], begins: list[int]) -> Split | None:
    """A header with fields or the last pipe missing: pairs begin where the first key stands."""
    for index in range(2, min(len(parts), FIELDS)):
        key, equals, _ = parts[index].lstrip().partition("=")
        if equals and is_key(key):
            fields = parts[:index] + [""] * (FIELDS - index)
            return Split(_header(fields[:FIELDS]), begins[index], "header_short")
    if len(parts) > FIELDS:
        return Split(_header(parts[:FIELDS]), begins[FIELDS], "")
    if len(parts) < 3:
        return None
    note = "no_final_pipe" if len(parts) == FIELDS else "header_short"
    fields = parts + [""] * (FIELDS - len(parts))
    return Split(_header(fields), len(text), note)


def _pipe(text: str, start: int) -> int:
    """The next pipe that no backslash escapes."""
    at = text.find("|", start)
    while at > 0 and text[at - 1] == "\\":
        first = at - 1
        while first > start and text[first - 1] == "\\":
            first -= 1
        if (at - first) % 2 == 0:
            break
        at = text.find("|", at + 1)
    return at


def _header(parts: list[str]) -> Header:
    cleaned = [_HEADER_ESCAPE.sub(r"\1", part) if "\\" in part else part for part in parts]
    return Header(*(part.strip(BLANKS) for part in cleaned))


def _escape_header(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("\r", " ").replace("\n", " ")  # a line break is illegal in a header


def _escape_value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")


def encode_parts(
    header: Header | None, pairs: Iterable[tuple[str, str]], cef_version: int = 0
) -> str:
    r"""One canonical CEF line, without a line break.

    `CEF:0` or `CEF:1`, `=` between key and value, one blank between pairs, `\` and `|` escaped in
    the header, `\`, `=` and line breaks in values. Every stock decoder reads it.
    """
    fields = header or Header("", "", "", "", "", "", "")
    head = "|".join(_escape_header(field) for field in fields[1:])
    body = " ".join(f"{key}={_escape_value(value)}" for key, value in pairs)
    return f"CEF:{cef_version}|{head}|{body}"


def encode(event: Event, cef_version: int = 0) -> str:
    """One event as one canonical CEF line.

    A record that is not CEF keeps its text: vendor `unknown`, class id `syslog` or `undecodable`,
    and the text as `msg`, so that tools which read only CEF still get it.
    """
    if event.header is not None:
        return encode_parts(event.header, event.pairs, cef_version)
    kind = "undecodable" if event.fault else "syslog"
    host = event.envelope.host
    pairs = [("dvchost", host)] if host else []
    pairs.append(("msg", event.body if event.body is not None else event.original_text))
    return encode_parts(Header("", "unknown", "unknown", "", kind, kind, "0"), pairs, cef_version)
