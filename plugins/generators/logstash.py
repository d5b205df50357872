"""A Logstash pipeline whose ruby filter converts by itself, with the tables in its script.

Owns the artefact `logstash`, and where its documents differ from the converter's. The script's
fixed part is `ruby/datto_siem.rb`; what it knows of events and fields comes from `_portable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._ruby import filled, literal, shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.plugins.generator import Context

USAGE = "Logstash pipeline with a self-contained ruby filter, no program beside it"
TARGETS = ("ecs", "ocsf", "cim", "asim", "csl")


class Difference(NamedTuple):
    """Where the script's document may differ from the converter's.

    Attributes:
        path: Glob of the document's paths.
        when: Glob of the record's origin in the corpus of the tests.
        reason: Why, for the README.
    """

    path: str
    when: str
    reason: str


KNOWN_DIFFERENCES: tuple[Difference, ...] = ()

_ROWS = ("sources", "events", "casts", "plans", "steps")
"""Parts of the tables with one row a line."""
_READ = {
    "plans": ("derive", "emit", "columns", "needs", "instead", "note", "used", "said", "leftovers")
}
"""What the script reads of a row, where that is not all of it."""


def files(context: Context) -> Mapping[str, bytes]:
    """The files of the artefact."""
    marks = {"STAMP": context.stamp, "TARGET": context.target}
    output = shipped("elasticsearch.conf" if context.target == "ecs" else "file.conf")
    marks["OUTPUT"] = filled(output, marks).rstrip("\n")
    marks["DIFFERENCES"] = (
        "\n".join(f"* `{each.path}`: {each.reason}" for each in KNOWN_DIFFERENCES)
        or "* None: the documents are equal, field by field."
    )
    marks["TABLES"] = "\n".join(_tables(portable(context, context.target)))
    return {
        "datto.conf": filled(shipped("pipeline.conf"), marks).encode(),
        "datto_siem.rb": filled(shipped("datto_siem.rb"), marks).encode(),
        "README.md": filled(shipped("pipeline.md"), marks).encode(),
    }


def _tables(tables: Mapping[str, Any]) -> Iterator[str]:
    yield f"{literal('placeholders')} => {literal(tables['placeholders'])},"
    yield f"{literal('lookups')} => {{"
    for name, table in tables["lookups"].items():
        yield f"  {literal(name)} => {{"
        yield f"    {literal('default')} => {literal(table['default'])},"
        yield f"    {literal('rows')} => {{"
        for key, row in table["rows"].items():
            yield f"      {literal(key)} => {literal(row)},"
        yield "    }"
        yield "  },"
    yield "},"
    for part in _ROWS:
        yield f"{literal(part)} => ["
        for row in tables[part]:
            kept = {name: row[name] for name in _READ[part]} if part in _READ else row
            yield f"  {literal(kept)},"
        yield "],"
