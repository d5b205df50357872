"""The ingest pipelines as data: an OpenSearch-safe core, and what only Elasticsearch has.

Every processor has a tag of its own, and a failure is told as Elastic's package rules ask: the
record stays, `event.kind` is `pipeline_error` and `error.message` names processor and pipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators._elastic_scripts import scripts

if TYPE_CHECKING:
    from datto_siem.plugins.generator import Context

Processor = dict[str, dict[str, Any]]

_FAILED = (
    "Processor '{{{ _ingest.on_failure_processor_type }}}' with tag"
    " '{{{ _ingest.on_failure_processor_tag }}}' in pipeline"
    " '{{{ _ingest.on_failure_pipeline }}}' failed with message"
    " '{{{ _ingest.on_failure_message }}}'"
)
_GEO = (
    "continent_name",
    "country_iso_code",
    "country_name",
    "region_iso_code",
    "region_name",
    "city_name",
    "location",
)
LONGEST = 8_000
"""Characters of a leftover value that OpenSearch can index: Lucene's 32,766 bytes, less its key."""
_DOMAIN = ("registered_domain", "subdomain", "top_level_domain")
_SIDES = ("source", "destination")


def core(context: Context, longest: int) -> list[Processor]:
    """From a raw record in `message` or `event.original` to the ECS document.

    Args:
        context: Whose tables.
        longest: Characters of a leftover value that are kept; 0 keeps all.
    """
    decode, convert = scripts(context, longest)
    return [
        {
            "set": {
                "tag": "set_received",
                "field": "@timestamp",
                "value": "{{{_ingest.timestamp}}}",
                "if": "ctx['@timestamp'] == null",
            }
        },
        {
            "rename": {
                "tag": "rename_message_to_event_original",
                "field": "message",
                "target_field": "event.original",
                "ignore_missing": True,
                "if": "ctx.event?.original == null",
            }
        },
        {
            "remove": {
                "tag": "remove_message",
                "field": "message",
                "ignore_missing": True,
                "if": "ctx.event?.original != null",
            }
        },
        {"script": {"tag": "script_decode", **_code(decode)}},
        {"script": {"tag": "script_convert", **_code(convert)}},
    ]


def _code(script: Any) -> dict[str, Any]:
    return {"lang": "painless", "source": script.source, "params": script.params}


def tail() -> list[Processor]:
    """What only Elasticsearch has, after the core."""
    made: list[Processor] = [
        {
            "set": {
                "tag": "set_event_ingested",
                "field": "event.ingested",
                "value": "{{{_ingest.timestamp}}}",
            }
        },
        {
            "registered_domain": {
                "tag": "registered_domain_dns_question",
                "field": "dns.question.name",
                "target_field": "dns.question",
                "ignore_missing": True,
                "ignore_failure": True,
            }
        },
        {
            "remove": {
                "tag": "remove_dns_question_domain",
                "field": "dns.question.domain",
                "ignore_missing": True,
            }
        },
    ]
    for side in _SIDES:
        made += _located(side)
    return made


def custom(name: str) -> Processor:
    """The pipeline that users add their own processors to, if they made one."""
    return {"pipeline": {"tag": "pipeline_custom", "name": name, "ignore_missing_pipeline": True}}


def preserved(tag: str) -> Processor:
    """The record as received goes unless the tag says that it stays."""
    return {
        "remove": {
            "tag": "remove_event_original",
            "field": "event.original",
            "ignore_missing": True,
            "if": f"ctx.tags == null || !ctx.tags.contains('{tag}')",
        }
    }


def tail_fields() -> tuple[str, ...]:
    """ECS fields that the tail adds."""
    names = ["event.ingested"]
    names += [
        f"dns.question.{name}" for name in ("registered_domain", "subdomain", "top_level_domain")
    ]
    for side in _SIDES:
        names += [f"{side}.geo.{name}" for name in _GEO]
        names += [f"{side}.as.number", f"{side}.as.organization.name"]
    return tuple(names)


def _located(side: str) -> list[Processor]:
    return [
        {
            "geoip": {
                "tag": f"geoip_{side}",
                "field": f"{side}.ip",
                "target_field": f"{side}.geo",
                "properties": list(_GEO),
                "ignore_missing": True,
            }
        },
        {
            "geoip": {
                "tag": f"geoip_{side}_as",
                "database_file": "GeoLite2-ASN.mmdb",
                "field": f"{side}.ip",
                "target_field": f"{side}.as",
                "properties": ["asn", "organization_name"],
                "ignore_missing": True,
            }
        },
        {
            "rename": {
                "tag": f"rename_{side}_as_asn",
                "field": f"{side}.as.asn",
                "target_field": f"{side}.as.number",
                "ignore_missing": True,
            }
        },
        {
            "rename": {
                "tag": f"rename_{side}_as_organization",
                "field": f"{side}.as.organization_name",
                "target_field": f"{side}.as.organization.name",
                "ignore_missing": True,
            }
        },
    ]


def on_failure() -> list[Processor]:
    """What happens to a record that a processor failed on: it is kept, and says why."""
    return [
        {
            "remove": {
                "tag": "failed_remove_temp",
                "field": "_temp",
                "ignore_missing": True,
            }
        },
        {
            "set": {
                "tag": "failed_set_kind",
                "field": "event.kind",
                "value": "pipeline_error",
            }
        },
        {
            "append": {
                "tag": "failed_append_error",
                "field": "error.message",
                "value": _FAILED,
            }
        },
        {
            "append": {
                "tag": "failed_append_tag",
                "field": "tags",
                "value": "preserve_original_event",
                "allow_duplicates": False,
            }
        },
    ]
