"""Elasticsearch and OpenSearch by `_bulk`: ECS documents created in data streams.

Owns the request. What answers mean is `_elastic_reply`'s, nodes and credentials `_elastic_nodes`',
whether a stream is there `_elastic_streams`'; batches, pauses and dead letters are the forwarder's.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from datto_siem.converters import Converter
from datto_siem.converters.identity import uid
from datto_siem.plugins.elastic_template import DATASET
from datto_siem.plugins.options import option
from datto_siem.plugins.products import PRODUCTS
from datto_siem.plugins.secret import Secret, SecretMissing
from datto_siem.plugins.sink import Batching, Finding, Item, Next, Reply, whole
from datto_siem.plugins.sinks import _elastic_check, _elastic_reply
from datto_siem.plugins.sinks._elastic_long import LONGEST_TERM, fitted
from datto_siem.plugins.sinks._elastic_nodes import Nodes
from datto_siem.plugins.sinks._elastic_streams import NotReady, Streams
from datto_siem.plugins.transport import Http, Tls, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context
    from datto_siem.plugins.transport import Answer

USAGE = """\
Elasticsearch 7.17 or later, Elastic Cloud, serverless, or OpenSearch, by the _bulk API.

Documents are ECS and go to the data stream logs-datto.log-NAMESPACE. Each has a stable _id, so a
repeated one is refused as already there and counts as delivered. The cluster must have an index
template that makes that name a data stream: Elasticsearch 8 and later have one (logs-*-*), better
is ours with a type for every field: `install_template = true` puts it, and needs the cluster
privilege manage_index_templates until it is there.

The credential needs auto_configure and create_doc on logs-datto.*-*, and for `doctor` also
view_index_metadata there and the cluster privilege monitor.
"""

EXAMPLE = """\
[[output]]
name = "elastic"
type = "elasticsearch"
urls = ["https://elastic.example:9200"]
api_key = { env = "ELASTIC_API_KEY" }
namespace = "default"
"""

# What ECS allows in data_stream.namespace, and no control character.
_NAMED = r'^[^A-Z\\/*?"<>|,#:\s\-_.+\x00-\x1f][^A-Z\\/*?"<>|,#:\s\-\x00-\x1f]{0,99}$'
_FIELDS = "errors,items.*.status,items.*.error,items.*.failure_store"
_NAMESPACE = "default"


@dataclass(frozen=True)
class Config:
    """Options of the output; the schema of its table in the configuration."""

    urls: list[str] = option(
        "Nodes of one cluster; the next one is used when one is away",
        minItems=1,
        items={"type": "string", "pattern": "^https?://[^@?#]+$"},
    )
    namespace: str = option(
        "Data stream namespace, such as the customer", _NAMESPACE, pattern=_NAMED
    )
    namespaces: dict[str, str] = option(
        "Sender network -> namespace; the narrowest network counts, `namespace` when none does",
        {},
        additionalProperties={"type": "string", "pattern": _NAMED},
    )
    split_products: bool = option(
        "A data stream for each product (datto.access_point, datto.secure_edge, datto.switch,"
        " datto.log for the rest); converts more slowly",
        False,
    )
    api_key: Secret | None = option("API key, as id:key or encoded", None)
    username: str | None = option("User name, when there is no API key", None)
    password: Secret | None = option("Its password", None)
    pipeline: str | None = option("Ingest pipeline for every document", None, minLength=1)
    install_template: bool = option(
        "Put our index template when it is missing or older (not over somebody else's)", False
    )
    tls: Tls = option("How the cluster is trusted", Tls())
    http: Http = option("How requests are made", Http())

    def __post_init__(self) -> None:
        """Check what belongs together."""
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: set both or none")
        if self.api_key is not None and self.username is not None:
            raise ValueError("api_key and username exclude each other: take one out")
        for network in self.namespaces:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"namespaces: {error}: write such as 192.0.2.0/24") from error

    @property
    def datasets(self) -> tuple[str, ...]:
        """Every dataset documents may go to."""
        return (
            (DATASET, *(f"datto.{name}" for name in PRODUCTS))
            if self.split_products
            else (DATASET,)
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """Every data stream documents may go to."""
        spaces = dict.fromkeys((self.namespace, *self.namespaces.values()))
        return tuple(f"logs-{dataset}-{space}" for dataset in self.datasets for space in spaces)


def connect(config: Config, context: Context) -> Elasticsearch:
    """Prepare the sink; connects to nothing yet.

    Raises:
        ValueError: The overlay changes data_stream.*, which names the stream.
    """
    return Elasticsearch(config, context)


class Elasticsearch:
    """The sink."""

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the conversion; connects to nothing yet."""
        self.config = config
        self.batching = Batching(count=500, nbytes=5_000_000, age=2.0)
        self.nodes = Nodes(config, context.name)
        self._converter = Converter("ecs", overlay=context.overlay, switches=context.switches)
        self.streams = Streams(
            self.nodes, self._converter, config.datasets, config.install_template
        )
        self._networks = sorted(
            ((ipaddress.ip_network(text), space) for text, space in config.namespaces.items()),
            key=lambda pair: -pair[0].prefixlen,
        )
        self._spaces: dict[str, str] = {}
        self._place = self._written_place()

    def item(self, record: Record) -> Item | None:
        """An action line and the document, for the stream of its product and sender."""
        raw, received, peer, offset = record
        ours = uid(raw, peer, received, offset)
        if self.config.split_products:
            event = self._converter.decoder.decode(raw, received, peer or None, ours, offset)
            product = event.reading.source
            dataset = f"datto.{product}" if product in PRODUCTS else DATASET
            document = self._converter.dump(event)
        else:
            dataset = DATASET
            document = self._converter.encode(raw, received, peer or None, ours, offset)
        space = self._space(peer) if self._networks else self.config.namespace
        if space != _NAMESPACE or dataset != DATASET:
            document = self._moved(document, dataset, space)
        if len(document) > LONGEST_TERM:
            document = fitted(document, self._converter.target.leftovers_into)
        body = b'{"create":{"_id":"%s"}}\n%s\n' % (ours.encode(), document)
        return Item(body, f"logs-{dataset}-{space}")

    def send(self, items: Sequence[Item]) -> Reply:
        """Create the documents of one stream."""
        count, stream = len(items), items[0].key
        body = b"".join([item.body for item in items])
        try:
            self.streams.prepare(stream)
            answer = self._post(stream, body)
            if self.streams.required and self.streams.unsupported(answer):
                self.streams.prepare(stream)
                answer = self._post(stream, body)
        except Unreachable as error:
            return whole(count, Next.RETRY, str(error))
        except SecretMissing as error:
            return whole(count, Next.HALT, str(error))
        except NotReady as error:
            return whole(count, Next.HALT if error.lasting else Next.RETRY, str(error))
        reply = _elastic_reply.read(answer, count, time.time())
        if reply.next is Next.HALT and reply.left:
            self.streams.doubt()
        return reply

    def check(self, test: Record | None) -> Iterable[Finding]:
        """Look at everything the cluster must have ready."""
        return _elastic_check.findings(self, test)

    def close(self) -> None:
        """Close the connections."""
        self.nodes.close()

    def _post(self, stream: str, body: bytes) -> Answer:
        path = f"/{quote(stream, safe='')}/_bulk?filter_path={_FIELDS}"
        if self.streams.required:
            path += "&require_data_stream=true"
        if self.config.pipeline is not None:
            path += f"&pipeline={quote(self.config.pipeline, safe='')}"
        return self.nodes.bulk(path, body)

    def _space(self, peer: str) -> str:
        """The namespace of a sender."""
        space = self._spaces.get(peer)
        if space is None:
            space = self._looked_up(peer)
            if len(self._spaces) < _MOST_PEERS:
                self._spaces[peer] = space
        return space

    def _looked_up(self, peer: str) -> str:
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:  # a file
            return self.config.namespace
        mapped = getattr(address, "ipv4_mapped", None)
        for network, space in self._networks:
            if (mapped or address) in network:
                return space
        return self.config.namespace

    def _moved(self, document: bytes, dataset: str, space: str) -> bytes:
        """The document for another stream; inside JSON text quotes are escaped: only ours match."""
        place = b'"data_stream":{"dataset":"%s","namespace":"%s","type":"logs"}'
        moved = document.replace(self._place, place % (dataset.encode(), space.encode()), 1)
        if dataset == DATASET:
            return moved
        event = moved.index(
            _EVENT
        )  # its own name for the dataset stands behind, vendor keys may not
        renamed = b'"dataset":"%s"' % dataset.encode()
        return moved[:event] + moved[event:].replace(_MODULE, renamed, 1)

    def _written_place(self) -> bytes:
        """How the converter writes the default stream, to be found in its documents."""
        document = self._converter.encode(b"", 0)
        start = document.find(_START)
        place = document[start : document.find(b"}", start) + 1]
        wanted = {"type": "logs", "dataset": DATASET, "namespace": _NAMESPACE}
        if start < 0 or orjson.loads(place[len(_START) - 1 :]) != wanted:
            raise ValueError(
                "the overlay changes data_stream.*: take those rows out of it and set namespace,"
                " namespaces or split_products instead"
            )
        return place


_MOST_PEERS = 65_536
_START = b'"data_stream":{'
_EVENT = b'"event":{'
_MODULE = b'"dataset":"%s"' % DATASET.encode()
