"""Ingest pipelines and templates for Elasticsearch and OpenSearch: raw Datto lines to ECS.

Every file is the body of one PUT, and its path is the path to put it at. How a record is read is
`_elastic_scripts`' and the Painless under `painless/`; the processors are `_elastic_pipeline`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.plugins.elastic_template import DATASET, NAME, OWNER, Default, templates
from datto_siem.plugins.generators._elastic_differences import KNOWN_DIFFERENCES, listed
from datto_siem.plugins.generators._elastic_json import written
from datto_siem.plugins.generators._elastic_pipeline import (
    LONGEST,
    core,
    custom,
    on_failure,
    tail,
    tail_fields,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

__all__ = ["CORE", "CUSTOM", "ENTRY", "KNOWN_DIFFERENCES", "TARGETS", "USAGE", "files"]

USAGE = "ingest pipelines and templates that read raw Datto lines in the cluster"
TARGETS: tuple[str, ...] = ()

ENTRY = NAME
CORE = f"{NAME}-core"
CUSTOM = f"{NAME}@custom"
_PRODUCTS = {"elasticsearch": False, "opensearch": True}


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    found = {"README.md": _readme(context).encode()}
    for folder, opensearch in _PRODUCTS.items():
        for path, body in _bodies(context, opensearch).items():
            found[f"{folder}{path}.json"] = (written(body) + "\n").encode()
    return found


def _bodies(context: Context, opensearch: bool) -> dict[str, dict[str, Any]]:
    """Path -> body of every PUT, in the order to make them in."""
    about = {"managed_by": OWNER, "stamp": context.stamp}
    pipelines = {
        CORE: {
            "description": f"Datto Networking records to ECS ({context.stamp})",
            "processors": core(context, LONGEST if opensearch else 0),
            "on_failure": on_failure(),
            "_meta": about,
        },
        ENTRY: {
            "description": f"Raw Datto Networking records; others pass ({context.stamp})",
            "processors": [
                {
                    "pipeline": {
                        "tag": "pipeline_core",
                        "name": CORE,
                        "if": "ctx.event?.kind == null",
                    }
                },
                *([] if opensearch else [*tail(), custom(CUSTOM)]),
            ],
            "on_failure": on_failure(),
            "_meta": about,
        },
    }
    if opensearch:  # it takes no _meta in a pipeline
        for body in pipelines.values():
            del body["_meta"]
    default = Default(ENTRY, () if opensearch else tail_fields())
    return {
        **{f"/_ingest/pipeline/{name}": body for name, body in pipelines.items()},
        **templates(context.converter("ecs"), (DATASET,), opensearch, default),
    }


def _readme(context: Context) -> str:
    order = "\n".join(
        f"    put {path.removeprefix('/')}" for path in _bodies(context, opensearch=True)
    )
    return _README.format(
        stamp=context.stamp, differences=listed(), order=order, entry=ENTRY, custom=CUSTOM
    )


_README = """\
# Datto Networking in Elasticsearch and OpenSearch

Made by {stamp}.

Ingest pipelines that read raw Datto Networking records (syslog, CEF) inside the cluster and write
them as ECS documents, and templates that make the data streams `logs-datto.log-*` with a type for
every field. Use them when an agent, Filebeat, Logstash or Fluent Bit ships lines as they came.
`datto-siem forward` converts before it sends and needs none of this; both may write to one stream,
because the entry pipeline lets documents pass that are converted already.

## Install

`opensearch/` is for OpenSearch (the project's tests run it in 2.19), `elasticsearch/` for
Elasticsearch 7.17 or later and serverless (the tests run its core in 7.10; what it adds is written
from Elastic's documentation and runs in no test). Each file is the body of a PUT at its own path.
Put the line `header = "Authorization: ApiKey ..."` into a file `curlrc` beside the two folders that
only you can read, then, in one of the folders:

    put() {{ curl --fail --config ../curlrc -X PUT -H 'Content-Type: application/json' \\
             --data-binary "@$1.json" "https://elastic.example:9200/$1"; }}
{order}

The pipeline comes first, because the template names it. Writing needs `auto_configure` and
`create_doc` on `logs-datto.*-*`; putting needs `manage_ingest_pipelines` and
`manage_index_templates` once.

## Send

To the data stream `logs-datto.log-NAMESPACE`, one document a record:

| field | what |
|---|---|
| `message` (or `event.original`) | the record as it came, without its line feed |
| `@timestamp` | when it was received; the time of ingest when it is missing |
| `log.source.address` | optional: the sender's address, as agents write it; becomes `observer.ip` |

Agents send these by themselves. `data_stream.dataset` and `data_stream.namespace` are those of the
document, else of the stream. Records of switches that are not CEF are known as such when you name
their senders: put host names and addresses, in lower case, into `switches`, a list among the
`params` of the processor `script_decode`.

## What it covers

Everything the converter does: each documented event, unknown events and other vendors' CEF, syslog
headers of RFC 3164 and RFC 5424 and what is met in their name, colon pairs, glued pairs, duplicate
keys, forged pairs in names that strangers choose, records cut on the way, times of any unit. A
record that is neither CEF nor syslog is kept with `event.kind: pipeline_error`. The same lines go
through converter and pipeline in the project's tests, and every field is compared.

The core uses what both products have: `set`, `rename`, `remove`, `append`, `script`, `pipeline`. It
uses no regular expression, so `script.painless.regex.enabled` may be `false`, and neither script is
larger than `script.max_size_in_bytes` allows by default. The folder `elasticsearch/` adds
`event.ingested`, the registered domain of DNS names, places and networks of `source.ip` and
`destination.ip` (GeoLite2), and your own pipeline `{custom}`, if there is one.

When a processor fails, the record is kept with `event.kind: pipeline_error` and `error.message`.

## What it does not

| fields | when | why |
|---|---|---|
{differences}
Besides: `_id` is the cluster's own, so a record that its shipper sends twice is there twice. A
script that loops a million times is ended by the cluster: a record of more than about a million
characters may be kept as `pipeline_error`. In OpenSearch a value under `datto.extensions` is cut
after 8,000 characters, and a warning says so, because a longer term has the whole document refused;
`event.original` keeps it whole.

## Your own tables

`datto-siem rules elastic-ingest --tables DIR -o DIR` writes all this with your overlay. Pipelines
and templates carry the version they were made with.
"""
