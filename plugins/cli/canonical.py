"""Whether a line is canonical CEF: what every stock decoder reads the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datto_siem.converters import decode
from datto_siem.converters.notes import NOTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters import Event

REPAIRS = frozenset(
    {
        "bad_utf8",
        "cef_missing",
        "duplicate_key",
        "glued_pair",
        "header_short",
        "line_too_long",
        "no_final_pipe",
        "text_before_key",
        "too_many_pairs",
        "truncated",
    }
)
"""Notes that say a line had to be repaired; the others doubt what a well-formed line says."""

_RECEIVED = 4_102_444_800_000  # 2100: whether a line is well-formed must not depend on the clock
_BARE_EQUALS = re.compile(r"(?<!\\)(?:\\\\)*=")


def problems(line: bytes) -> Iterator[str]:
    """What is not canonical in a line; each as `key: problem` or `problem`."""
    event = decode(line.rstrip(b"\r\0"), _RECEIVED)
    if event.header is None:
        yield f"not CEF: {event.fault}" if event.fault else "not CEF: a plain syslog message"
        return
    if event.header.version not in ("0", "1"):
        yield f"CEF version {event.header.version!r} is neither 0 nor 1"
    for kind, key, offset in event.notes:
        if kind in REPAIRS:
            yield f"{key}: {NOTES[kind]} (at {offset})" if key else f"{NOTES[kind]} (at {offset})"
    yield from _separators(event)


def _separators(event: Event) -> Iterator[str]:
    """Pairs written with a colon, and `=` in a value without a backslash."""
    text = event.text
    scanned = event.scanned
    pairs = [
        (key, offset)
        for (key, _), offset in zip(scanned.pairs, scanned.offsets, strict=True)
        if key not in ("_text", "_rest")
    ]
    ends = [offset - len(key) - 1 for key, offset in pairs[1:]]
    for (key, offset), end in zip(pairs, [*ends, len(text)], strict=False):
        if text[offset - 1 : offset] == ":":
            yield f"{key}: a colon where `=` belongs (at {offset - 1})"
        bare = _BARE_EQUALS.search(text, offset, end)
        if bare is not None:
            yield f"{key}: an `=` in the value without a backslash (at {bare.end() - 1})"
