"""One record to one HEC envelope: finished bytes, made of a closed set of keys.

Splunk answers 200 to an envelope with an unknown key and silently loses it and the rest of the
request, so nothing but configuration and this module names keys. The document is not parsed
again: what the envelope needs of it is found by keys in quotes, which text from the wire cannot
hold, as quotes inside JSON strings are escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import orjson

from datto_siem.converters import Converter, times
from datto_siem.converters.identity import uid
from datto_siem.plugins.products import PRODUCTS
from datto_siem.plugins.sink import Item
from datto_siem.plugins.splunk_sourcetypes import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context

Form = Literal["cim", "ocsf", "ecs", "raw"]
ALL = (*PRODUCTS, "")

_FRAMING = b"\r\n\0"
_TIME = b'"_time":'
_CIM = b"{" + _TIME
_CIM_LENGTH = len(_CIM)
_UID = b'"%s":"' % EVENT_ID.encode()
_UID_LENGTH = 36
_STAMP = b'{"@timestamp":"'
_STAMP_LENGTH = 24
_OCSF_TIME = b'"time":'
_MOST_HOSTS = 4096


Found: TypeAlias = tuple[bytes, bytes, bytes]
"""What an envelope takes of a document: epoch seconds, the record's id, JSON value of `event`."""


class Metadata(NamedTuple):
    """What configuration says about every event.

    Attributes:
        sourcetypes: Product -> sourcetype; "" for any other.
        indexes: Product -> index, "" for any other; no entry: the token's default index.
        source: `source`.
        host: `host`; None: the sender's address.
        fields: Static indexed fields.
    """

    sourcetypes: Mapping[str, str]
    indexes: Mapping[str, str]
    source: str
    host: str | None
    fields: Mapping[str, str]


class Envelopes:
    """Makes envelopes of one form.

    Args:
        form: What `event` holds.
        metadata: What surrounds it.
        context: Mapping tables and known switches.
    """

    def __init__(self, form: Form, metadata: Metadata, context: Context) -> None:
        """Compile the mapping; see the class for the arguments."""
        target = "cim" if form == "raw" else form
        converter = Converter(target, overlay=context.overlay, switches=context.switches)
        self._encode = converter.encode
        self._find = _FINDERS[form]
        self._metadata = metadata
        heads = {name: (self._head(name, self._index(name)), self._index(name)) for name in ALL}
        told_apart = len(set(heads.values())) > 1
        self._other = heads[""]
        self._products = [(mark, name, heads[name]) for mark, name in _marks(converter)]
        if not told_apart:
            self._products = []
        self._tail = b"".join(
            b",%s:%s" % (orjson.dumps(name), orjson.dumps(value))
            for name, value in metadata.fields.items()
        )
        self._fixed = _host(metadata.host) if metadata.host is not None else None
        self._hosts: dict[str, bytes] = {"": b""}

    def item(self, record: Record) -> Item:
        """The envelope of a record, by index."""
        raw, received, peer, offset = record
        body = self._encode(raw, received, peer or None, ordinal=offset)
        head, index = self._other
        for mark, _, own in self._products:
            if mark in body:
                head, index = own
                break
        return self._item(record, body, head, index)

    def test(self, record: Record, index: str) -> Item:
        """The envelope of a test record for a given index; "" for the token's default."""
        raw, received, peer, offset = record
        body = self._encode(raw, received, peer or None, ordinal=offset)
        product = next((name for mark, name, _ in self._products if mark in body), "")
        return self._item(record, body, self._head(product, index), index)

    def _index(self, product: str) -> str:
        indexes = self._metadata.indexes
        return indexes.get(product) or indexes.get("", "")

    def _item(self, record: Record, body: bytes, head: bytes, index: str) -> Item:
        host = self._fixed
        if host is None:
            host = self._hosts.get(record.peer)
            if host is None:
                host = self._remember(record.peer)
        time, uid, event = self._find(body, record)
        return Item(
            b'{"time":%b%b%b%b,"fields":{%b%b"%b}}'
            % (time, host, head, event, _UID, uid, self._tail),
            index,
        )

    def _head(self, product: str, index: str) -> bytes:
        sourcetypes = self._metadata.sourcetypes
        head = {
            "source": self._metadata.source,
            "sourcetype": sourcetypes.get(product) or sourcetypes[""],
            **({"index": index} if index else {}),
        }
        return b"," + orjson.dumps(head)[1:-1] + b',"event":'

    def _remember(self, peer: str) -> bytes:
        if len(self._hosts) >= _MOST_HOSTS:
            self._hosts = {"": b""}
        host = self._hosts[peer] = _host(peer)
        return host


def _host(text: str) -> bytes:
    return b',"host":' + orjson.dumps(text) if text else b""


_SHOWN = {"cim": ("vendor_product",), "ocsf": ("device", "type")}
"""Where documents of a target say the product; ECS has no such field that every event carries."""


def _marks(converter: Converter) -> Iterator[tuple[bytes, str]]:
    """What only a product's documents hold -> the product: read off a record of each."""
    path = _SHOWN.get(converter.name, ())
    for product in PRODUCTS if path else ():
        source = converter.tables.sources[product]
        name = source.products[0].replace("*", "")
        value: Any = converter(
            converter.decoder.decode(f"CEF:0|{source.vendor}|{name}|1|none|none|0|", 0)
        )
        for part in path:
            value = value[part]
        yield b'"%s":%s' % (path[-1].encode(), orjson.dumps(value)), product


def _cim(body: bytes, record: Record) -> Found:
    """The two fields that Splunk keeps beside the event move out of the document.

    Left in, each would be extracted a second time and come out with two values.
    """
    start = body.find(_UID)
    comma = body.find(b",", _CIM_LENGTH)
    after = start + len(_UID) + _UID_LENGTH
    if body.startswith(_CIM) and 0 < comma < start and body.startswith(b'",', after):
        return (
            body[_CIM_LENGTH:comma],
            body[after - _UID_LENGTH : after],
            b"{%b%b" % (body[comma + 1 : start], body[after + 2 :]),
        )
    return (_seconds(_digits(body, _TIME) or record.received), _uid(record), body)


def _raw(body: bytes, record: Record) -> Found:
    """The line itself; an empty one, which Splunk refuses, as its fallback document."""
    time, uid, document = _cim(body, record)
    text = record.raw.rstrip(_FRAMING).decode("utf-8", "backslashreplace")
    return (time, uid, orjson.dumps(text) if text.strip() else document)


def _ocsf(body: bytes, record: Record) -> Found:
    return (_seconds(_digits(body, _OCSF_TIME) or record.received), _uid(record), body)


def _ecs(body: bytes, record: Record) -> Found:
    when = None
    if body.startswith(_STAMP):
        when = times.rfc3339(body[len(_STAMP) : len(_STAMP) + _STAMP_LENGTH].decode())
    return (_seconds(record.received if when is None else when), _uid(record), body)


_FINDERS: dict[str, Callable[[bytes, Record], Found]] = {
    "cim": _cim,
    "raw": _raw,
    "ocsf": _ocsf,
    "ecs": _ecs,
}


def _digits(body: bytes, name: bytes) -> int | None:
    """Epoch milliseconds after a key."""
    start = body.find(name)
    if start < 0:
        return None
    start += len(name)
    text = body[start : start + 20].split(b",", 1)[0].split(b"}", 1)[0].decode("ascii", "replace")
    return times.epoch(text)


def _seconds(milliseconds: int) -> bytes:
    return b"%d.%03d" % divmod(milliseconds, 1000)


def _uid(record: Record) -> bytes:
    return uid(record.raw, record.peer or None, record.received, record.offset).encode()
