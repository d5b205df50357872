"""A Logstash pipeline whose ruby filter converts by itself, with the tables in its script.

Owns the artefact `logstash`, and where its documents differ from the converter's. The script's
fixed part is `ruby/datto_siem.rb`; what it knows of events and fields comes from `_portable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._ruby import literal
from datto_siem.plugins.generators._shipped import part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.plugins.generator import Context, Difference

USAGE = "Logstash pipeline with a self-contained ruby filter, no program beside it"
TARGETS = ("ecs", "ocsf", "cim", "asim", "csl")

_FOLDER = "ruby"


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
    output = "elasticsearch.conf" if context.target == "ecs" else "file.conf"
    marks["OUTPUT"] = part(_FOLDER, output, marks).rstrip("\n")
    marks["DIFFERENCES"] = (
        "\n".join(f"* `{each.path}`: {each.reason}" for each in KNOWN_DIFFERENCES)
        or "* None: the documents are equal, field by field."
    )
    marks["TABLES"] = "\n".join(_tables(portable(context, context.target)))
    return {
        "datto.conf": part(_FOLDER, "pipeline.conf", marks).encode(),
        "datto_siem.rb": part(_FOLDER, "datto_siem.rb", marks).encode(),
        "README.md": part(_FOLDER, "pipeline.md", marks).encode(),
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
    for name in _ROWS:
        yield f"{literal(name)} => ["
        for row in tables[name]:
            kept = {each: row[each] for each in _READ[name]} if name in _READ else row
            yield f"  {literal(kept)},"
        yield "],"
