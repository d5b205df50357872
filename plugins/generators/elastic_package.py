"""A Fleet integration package for Elastic Agent: inputs, ingest pipeline, fields, pipeline tests.

The pipeline is `elastic_ingest`'s; ready texts are kept under `elastic-package/`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from datto_siem.plugins.elastic_template import mappings
from datto_siem.plugins.generators._elastic_differences import KNOWN_DIFFERENCES, listed
from datto_siem.plugins.generators._elastic_json import pretty, written
from datto_siem.plugins.generators._elastic_pipeline import (
    core,
    on_failure,
    preserved,
    tail,
    tail_fields,
)
from datto_siem.plugins.generators._elastic_samples import RECEIVED, samples
from datto_siem.plugins.generators._shipped import part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datto_siem.converters import Converter
    from datto_siem.plugins.generator import Context

__all__ = ["KNOWN_DIFFERENCES", "TARGETS", "USAGE", "files"]

USAGE = "Fleet integration package for Elastic Agent, with its pipeline tests"
TARGETS: tuple[str, ...] = ()

_STREAM = "datto/data_stream/log"
_READY = {
    "README.md": "README.md",
    "manifest.yml": "datto/manifest.yml",
    "changelog.yml": "datto/changelog.yml",
    "build.yml": "datto/_dev/build/build.yml",
    "docs.md": "datto/docs/README.md",
    "stream_manifest.yml": f"{_STREAM}/manifest.yml",
    "udp.yml.hbs": f"{_STREAM}/agent/stream/udp.yml.hbs",
    "tcp.yml.hbs": f"{_STREAM}/agent/stream/tcp.yml.hbs",
    "filestream.yml.hbs": f"{_STREAM}/agent/stream/filestream.yml.hbs",
    "agent.yml": f"{_STREAM}/fields/agent.yml",
    "test-common-config.yml": f"{_STREAM}/_dev/test/pipeline/test-common-config.yml",
}
_KEPT = "preserve_original_event"
_BASE = {
    "data_stream.type": {"type": "constant_keyword"},
    "data_stream.dataset": {"type": "constant_keyword"},
    "data_stream.namespace": {"type": "constant_keyword"},
    "@timestamp": {"type": "date"},
}
_OF_AGENT = ("log.file.path", "log.level", "event.ingested")
_DESCRIPTIONS = {
    "datto.cef.version": "Version of CEF",
    "datto.cef.device_event_class_id": "Field 5 of the CEF header",
    "datto.cef.name": "Field 6 of the CEF header",
    "datto.extensions": "What no field takes, by the device's own key",
    "datto.parse.warnings": "Repairs and doubts about the record",
}


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    converter = context.converter("ecs")
    standard, vendor = mappings(converter, opensearch=False)
    ours = dict(_flat(vendor))
    found = {
        **_ready(context, converter, ours),
        f"{_STREAM}/elasticsearch/ingest_pipeline/default.yml": _pipeline(context),
        f"{_STREAM}/fields/base-fields.yml": _fields(_BASE),
        f"{_STREAM}/fields/ecs.yml": _ecs(dict(_flat(standard))),
        f"{_STREAM}/fields/fields.yml": _fields(ours),
    }
    first: dict[str, Any] | None = None
    for product, lines in samples(context.tables):
        place = f"{_STREAM}/_dev/test/pipeline/test-{product.replace('_', '-')}.log"
        documents = [_document(converter, line) for line in lines]
        first = first or documents[0]
        found[place] = "".join(f"{line}\n" for line in lines)
        found[f"{place}-expected.json"] = pretty({"expected": documents})
    found[f"{_STREAM}/sample_event.json"] = pretty(first)
    return {path: text.encode() for path, text in found.items()}


def _ready(
    context: Context, converter: Converter, ours: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """The texts kept beside this module, their marks filled in."""
    numbers = re.match(r"[0-9]+\.[0-9]+\.[0-9]+", context.version)
    marks = {
        "STAMP": context.stamp,
        "VERSION": numbers[0] if numbers else "0.0.0",
        "ECS": converter.target.version,
        "DIFFERENCES": listed(),
        "FIELDS": "\n".join(
            f"| `{name}` | {row['type']} | {_description(name)} |" for name, row in ours.items()
        ),
    }
    return {place: part("elastic-package", name, marks) for name, place in _READY.items()}


class _Literal(str):
    """A text of several lines, written as it stands."""


class _Dumper(yaml.SafeDumper):
    """Writes scripts as blocks."""


_Dumper.add_representer(
    _Literal, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|")
)


def _pipeline(context: Context) -> str:
    processors = [*core(context, longest=0), *tail(), preserved(_KEPT)]
    params: dict[str, Any] = {}
    for processor in processors:
        script = processor.get("script")
        if script is not None:
            script["source"] = _Literal(script["source"])
            mark = f"@{script['tag']}@"
            params[mark], script["params"] = script["params"], mark
    body = {
        "description": f"Datto Networking records to ECS ({context.stamp})",
        "processors": processors,
        "on_failure": on_failure(),
    }
    text = yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)
    for mark, value in params.items():
        text = text.replace(f"'{mark}'", written(value, " " * 6))
    return f"---\n{text}"


def _flat(properties: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, field in properties.items():
        path = f"{at}.{name}" if at else name
        if "properties" in field:
            yield from _flat(field["properties"], path)
        else:
            yield path, field


def _fields(fields: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        {"name": name, "type": row["type"], "description": _description(name)}
        for name, row in sorted(fields.items())
    ]
    return yaml.safe_dump(rows, sort_keys=False)


def _ecs(fields: Mapping[str, Mapping[str, Any]]) -> str:
    names = {*fields, *tail_fields(), *_OF_AGENT} - set(_BASE)
    return yaml.safe_dump([{"name": name, "external": "ecs"} for name in sorted(names)])


def _description(name: str) -> str:
    words = name.rpartition(".")[2].replace("_", " ")
    return _DESCRIPTIONS.get(name, words[:1].upper() + words[1:]) + "."


def _document(converter: Converter, line: str) -> dict[str, Any]:
    """What the pipeline makes of a record, with what the test's configuration adds."""
    document = dict(converter(converter.decoder.decode(line, RECEIVED)))
    tags = document.get("tags", [])
    document["tags"] = [*tags, *([] if _KEPT in tags else [_KEPT])]
    return document
