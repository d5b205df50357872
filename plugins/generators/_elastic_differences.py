"""Where a document of the generated pipeline differs from the converter's, and why."""

from __future__ import annotations

from datto_siem.plugins.generator import Difference

KNOWN_DIFFERENCES = (
    Difference(
        "*",
        "the record is not UTF-8",
        "A document reaches a cluster as JSON, which carries Unicode only. What ships the record"
        " has replaced such bytes by U+FFFD; the converter writes them as \\xNN and warns"
        " `bad_utf8`.",
    ),
)


def listed() -> str:
    """The differences as rows of a Markdown table."""
    return "".join(f"| `{row.path}` | {row.when} | {row.reason} |\n" for row in KNOWN_DIFFERENCES)
