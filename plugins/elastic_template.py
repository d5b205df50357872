"""The index template of the data streams: field types from the pinned ECS and our own tables.

Every path that some plan writes gets a type; anything else stays in the document unindexed, so no
sender can grow the mapping. What a vendor key has no home for is one flattened field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.paths import split
from datto_siem.converters.plan.compile import compile_event
from datto_siem.converters.plan.kinds import kind
from datto_siem.converters.plan.reading import reading
from datto_siem.converters.schemas import ecs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datto_siem.converters import Converter
    from datto_siem.converters.plan.model import EventPlan

DATASET = "datto.log"
"""Dataset that the tables write into documents, unless products are told apart."""
NAME = f"logs-{DATASET}"
OWNER = "datto-siem"
_COMPONENTS = ("datto-ecs@mappings", "datto-vendor@mappings", "datto@settings")
_DEFAULT = "datto-pipeline@settings"
_PRIORITY = 210  # above the built-in logs-*-* (100) and those of Fleet packages (200)
_LONGEST = 1024  # ECS's own ignore_above; a longer value stays in the document
_OURS = {
    "int": "long",
    "duration": "long",
    "bool": "boolean",
    "ip": "ip",
    "time": "date",
}
_OPENSEARCH = {  # types it lacks in some or all of its versions
    "flattened": "flat_object",
    "wildcard": "keyword",
    "match_only_text": "text",
    "constant_keyword": "keyword",
}


class Default(NamedTuple):
    """The pipeline of every document of a stream.

    Attributes:
        pipeline: Its name.
        fields: ECS fields that it adds to those of the tables.
    """

    pipeline: str
    fields: tuple[str, ...]


def templates(
    converter: Converter, datasets: Sequence[str], opensearch: bool, default: Default | None = None
) -> dict[str, dict[str, Any]]:
    """Path -> body of what to PUT, in this order.

    Args:
        converter: One to ECS; its tables decide which fields there are.
        datasets: The datasets whose streams the template is for.
        opensearch: Whether it is for OpenSearch, which names some types otherwise.
        default: The pipeline of every document. The template then has a name and a component of
            its own, so that `install_template` of the output leaves it alone.
    """
    standard, vendor = mappings(converter, opensearch)
    about = {"managed_by": OWNER, "tables": converter.tables.version}
    settings = {"index": {"mapping": {"ignore_malformed": True}}}
    bodies = (
        {"mappings": {"dynamic": False, "date_detection": False, "properties": standard}},
        {"mappings": {"properties": vendor}},
        {"settings": settings},
    )
    made = {
        f"/_component_template/{name}": {"template": body, "_meta": about}
        for name, body in zip(_COMPONENTS, bodies, strict=True)
    }
    composed = list(_COMPONENTS)
    if default is not None:
        made[f"/_component_template/{_DEFAULT}"] = {
            "template": _default(converter, default, opensearch),
            "_meta": about,
        }
        composed.append(_DEFAULT)
    name, priority = (NAME, _PRIORITY) if default is None else (f"{NAME}-raw", _PRIORITY + 10)
    made[f"/_index_template/{name}"] = {
        "index_patterns": [f"logs-{dataset}-*" for dataset in datasets],
        "priority": priority,
        "data_stream": {},
        "composed_of": composed,
        "_meta": about,
    }
    return made


def _default(converter: Converter, default: Default, opensearch: bool) -> dict[str, Any]:
    fields = ecs(converter.target.version).fields
    properties: dict[str, Any] = {}
    for name in default.fields:
        _put(properties, name.split("."), _field(fields[name].type, opensearch))
    return {
        "settings": {"index": {"default_pipeline": default.pipeline}},
        "mappings": {"properties": properties},
    }


def mappings(converter: Converter, opensearch: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The properties of ECS's fields, and those of ours."""
    tables, target = converter.tables, converter.target
    fields = ecs(target.version).fields
    types = {name: field.type for name, field in tables.vocabulary.fields.items()}
    standard: dict[str, Any] = {}
    vendor: dict[str, Any] = {}
    for plan in _plans(converter):
        for step in plan.emit:
            names = [name for name, _ in split(step.into)]
            if names[0] in target.own:
                ours = kind(step.expr, types, tables.lookups)
                _put(vendor, names, _field(_OURS.get(ours or "", "keyword"), opensearch))
                continue
            known = fields.get(".".join(names))
            if known is not None and known.type not in ("object", "nested"):
                _put(standard, names, _field(known.type, opensearch))
    _put(vendor, target.leftovers_into.split("."), _field("flattened", opensearch))
    standard["event"]["properties"]["original"] = {
        "type": "keyword",
        "index": False,
        "doc_values": False,
    }
    return standard, vendor


def _plans(converter: Converter) -> Iterator[EventPlan]:
    tables = converter.tables
    for source in tables.sources.values():
        for event in source.events.values():
            plan: EventPlan | None = compile_event(tables, converter.target, reading(source, event))
            while plan is not None:
                yield plan
                plan = plan.instead


def _field(name: str, opensearch: bool) -> Mapping[str, Any]:
    if opensearch:
        name = _OPENSEARCH.get(name, name)
    if name in ("keyword", "flattened", "wildcard"):
        return {"type": name, "ignore_above": _LONGEST}
    return {"type": name}


def _put(properties: dict[str, Any], names: Sequence[str], field: Mapping[str, Any]) -> None:
    *parents, last = names
    for parent in parents:
        properties = properties.setdefault(parent, {}).setdefault("properties", {})
    properties.setdefault(last, dict(field))
