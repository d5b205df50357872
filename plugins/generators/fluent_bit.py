"""`fluent-bit`: a pipeline and the Lua filter script it runs, self-contained.

The script is the fixed parts under `lua/` with the tables between them; they hold no mapping fact,
so an overlay's event is in the next artefact without an edit. The pipeline's output follows the
target.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generator import Difference
from datto_siem.plugins.generators import _lua
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._shipped import filled, part
from datto_siem.plugins.sentinel_streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

USAGE = "Fluent Bit pipeline with a self-contained Lua filter"
TARGETS = ("ecs", "ocsf", "cim", "asim", "csl")
PARTS = ("letters", "text", "times", "casts", "syslog", "sha1", "decode", "plan", "filter")
_FOLDER = "lua"
_TITLES = {
    "ecs": "Elastic Common Schema",
    "ocsf": "OCSF",
    "cim": "Splunk's Common Information Model",
    "asim": "Microsoft Sentinel's ASIM tables",
    "csl": "Microsoft Sentinel's CommonSecurityLog",
}
_IDS = {"ecs": ("event", "id")}  # the other targets' documents carry the id, or have no use for it
_STREAM = ("type", "dataset", "namespace")  # parts of a data stream's name, in order
_ROUTES = """
    - name: rewrite_tag       # a row names its table
      match: datto
      rule: $Type ^[A-Za-z_]+$ sentinel.$Type false
      emitter_storage.type: filesystem
"""
_UNREAD = """\
    - name: stdout            # a record the script could not read has no table
      match: datto
"""
_DELIVERY = {
    "ecs": "The stream needs its index template: `datto-siem rules elastic-ingest` writes it.",
    "ocsf": "Any receiver of OCSF as JSON lines by HTTP will do.",
    "cim": "Splunk reads the documents by the add-on that `datto-siem rules splunk-ta` writes.",
    "asim": "The data collection rule is the one that `datto-siem rules sentinel` writes.",
    "csl": "The data collection rule is the one that `datto-siem rules sentinel` writes.",
}
_MEANINGS = {
    "DATTO_STORAGE": "a folder Fluent Bit may write: records wait there while the output is away",
    "ES_HOST": "host of Elasticsearch",
    "ES_USER": "user that may create documents in the stream",
    "ES_PASSWORD": "its password",
    "OCSF_HOST": "host of the receiver",
    "OCSF_URI": "path to post to, such as `/ocsf`",
    "OCSF_AUTHORIZATION": "value of the header `Authorization`, such as `Bearer` and a token",
    "SPLUNK_HOST": "host of the HTTP Event Collector",
    "SPLUNK_TOKEN": "its token",
    "AZURE_TENANT_ID": "tenant of the application",
    "AZURE_CLIENT_ID": "the application, with the role Monitoring Metrics Publisher on the rule",
    "AZURE_CLIENT_SECRET": "its secret",
    "AZURE_DCE_URL": "logs ingestion endpoint of the rule or of its endpoint",
    "AZURE_DCR_ID": "immutable id of the rule",
}


KNOWN_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "event.id",
        "always",
        "added: the record's id, which the converter gives Elasticsearch beside the document; "
        "Fluent Bit takes ids from documents only",
        ("ecs",),
    ),
    Difference(
        "*",
        "a whole number beyond 2^53",
        "Lua's only number is a double, so the last digits are rounded; the original line has them",
    ),
)


def files(context: Context) -> Mapping[str, bytes]:
    """The files; see `plugins.generator`."""
    data = portable(context, context.target)
    found = {
        "README.md": _readme(context, data),
        "datto.lua": script(context, data),
        "fluent-bit.yaml": _pipeline(context, data),
        "parsers.conf": part(_FOLDER, "parsers.conf"),
    }
    return {path: text.encode() for path, text in found.items()}


def script(context: Context, data: dict[str, Any]) -> str:
    """The filter script: settings, tables, then the fixed parts."""
    place = _IDS.get(context.target)
    settings = part(_FOLDER, "settings.lua", {"id": _lua.literal(place)})
    parts = [
        f"-- {context.stamp}\n",
        f"-- Fluent Bit's Lua filter for Datto's records: call `datto`. To {context.target}.\n\n",
        "local M = {}\n",
        _chunk("settings", settings),
        f"\n-- the mapping tables\nM.tables = {_lua.table(_tables(data))}\n",
    ]
    parts += [_chunk(name, part(_FOLDER, f"{name}.lua")) for name in PARTS]
    return "".join(parts)


def _chunk(name: str, text: str) -> str:
    """A part with locals of its own: a function of Lua holds 200 at most."""
    return f"\n-- ======== {name}\ndo\nlocal part = function(...)\n{text}end\npart(M)\nend\n"


def _tables(data: dict[str, Any]) -> dict[str, Any]:
    """What the script reads of the tables; mappings whose order counts become lists of pairs."""
    events = [
        {
            "id": row["id"],
            "keys": row["keys"],
            "casts": list(row["casts"].items()),
            "lists": row["lists"],
            "boundary": list(row["boundary"].items()),
            "time": row["time"],
            "constants": row["constants"],
            "inferred": row["inferred"],
            "plan": row["plan"],
        }
        for row in data["events"]
    ]
    plans = [
        {key: value for key, value in row.items() if key not in ("facts", "sure")}
        for row in data["plans"]
    ]
    return {
        "placeholders": data["placeholders"],
        "types": {name: kind for name, kind in data["types"].items() if kind == "float"},
        "lookups": data["lookups"],
        "sources": data["sources"],
        "casts": data["casts"],
        "events": events,
        "steps": data["steps"],
        "plans": plans,
    }


def _pipeline(context: Context, data: dict[str, Any]) -> str:
    words = {"stamp": context.stamp, "title": _TITLES[context.target]}
    text = part(_FOLDER, "pipeline.yaml", words)
    if context.target == "asim":
        tables = _constants(data, "Type")
        outputs = "".join(_sentinel(f"sentinel.{table}", table) for table in tables)
        return f"{text}{_ROUTES}\n  outputs:\n{outputs}{_UNREAD}"
    if context.target == "csl":
        return f"{text}\n  outputs:\n{_sentinel('datto', 'CommonSecurityLog')}"
    output = part(_FOLDER, f"output_{context.target}.yaml")
    if context.target == "ecs":
        names = [_constants(data, f"data_stream.{part}") for part in _STREAM]
        output = filled(output, {"index": "-".join(name[0] for name in names)})
    return text + output


def _sentinel(match: str, table: str) -> str:
    """The output of one table's rows; Fluent Bit puts `Custom-` before a stream's name itself."""
    stream = STREAMS.get(table, f"Custom-{table}").removeprefix("Custom-")
    return part(_FOLDER, "output_sentinel.yaml", {"match": match, "stream": stream})


def _constants(data: dict[str, Any], path: str) -> list[str]:
    """Every text that the tables write at a path as it is."""
    found = {
        expr[1]
        for into, expr in data["steps"]
        if into == path and expr[0] == "const" and isinstance(expr[1], str)
    }
    return sorted(found)


def _readme(context: Context, data: dict[str, Any]) -> str:
    pipeline = _pipeline(context, data)
    names = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", pipeline.partition("pipeline:")[2]))
    variables = ["DATTO_STORAGE", *names]
    words = {
        "stamp": context.stamp,
        "target": context.target,
        "title": _TITLES[context.target],
        "variables": "\n".join(f"   - `{name}`: {_MEANINGS[name]}" for name in variables),
        "delivery": f"\n{_DELIVERY[context.target]}\n",
        "events": _events(data),
        "differences": "\n".join(
            f"| `{row.path}` | {row.when} | {row.reason} |"
            for row in KNOWN_DIFFERENCES
            if row.concerns(context.target)
        ),
    }
    return part(_FOLDER, "README.md", words)


def _events(data: dict[str, Any]) -> str:
    lines = []
    for source in data["sources"]:
        named = [name for name in source["names"] if "*" not in name and "/" in name]
        if named:
            lines.append(f"\n- {source['name']}: {', '.join(f'`{name}`' for name in named)}")
    return "".join(lines) + "\n"
