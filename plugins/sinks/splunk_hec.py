"""Splunk HTTP Event Collector: envelopes to `/services/collector/event`, with or without acks.

Owns the request and indexer acknowledgement. Envelopes are `_hec_envelope`'s, the meaning of
answers `_hec_reply`'s, `doctor`'s questions `_hec_check`'s; batches, pauses and dead letters are
the forwarder's.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import orjson

from datto_siem.plugins.options import Duration, option
from datto_siem.plugins.products import PRODUCTS
from datto_siem.plugins.secret import Secret, SecretMissing
from datto_siem.plugins.sink import TAKEN, Batching, Next, Reply, whole
from datto_siem.plugins.sinks import _hec_check, _hec_reply
from datto_siem.plugins.sinks._hec_channel import Channels
from datto_siem.plugins.sinks._hec_envelope import Envelopes, Metadata
from datto_siem.plugins.splunk_sourcetypes import EVENT_ID, SOURCETYPES
from datto_siem.plugins.transport import Answer, Http, Tls, Transport, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context, Finding, Item

_LOG = logging.getLogger(__name__)

USAGE = """\
Splunk Enterprise or Splunk Cloud by the HTTP Event Collector (HEC).

Splunk must have: HEC enabled, a token, and the indexes, each allowed for the token. The url is the
base only: https://HOST:8088 (Enterprise, Cloud trial), https://http-inputs-STACK.splunkcloud.com
(Cloud). Forms: `cim` sends JSON with CIM field names; `raw` sends the line as it came, for the
search-time add-on (`datto-siem rules splunk-ta`); `ocsf` and `ecs` send those documents.

Events carry an indexed field `datto_event_id` that repeats when one is sent twice, so
`| dedup datto_event_id` removes the copies that at-least-once delivery may make.

With acknowledgement each sender waits until its events are indexed, a second or more: give the
output `concurrency = 16` or so. Tokens must have useACK then.
"""

EXAMPLE = """\
[[output]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example.com:8088"
token = { env = "HEC_TOKEN" }
to = "cim"
index = "netops"
indexes = { secure_edge = "netfw" }
"""

_INDEX = {"pattern": "^[a-z0-9_][a-z0-9_-]*$", "maxLength": 255}
_TEXT = {"minLength": 1, "maxLength": 1024}
_TOKEN = re.compile(r"[!-~]+").fullmatch
_ENDPOINT = "/services/collector"
_FIRST_POLL, _LAST_POLL = 0.1, 2.0  # indexing takes about a second on an idle Splunk


@dataclass(frozen=True)
class Config:
    """Options of the output; the schema of its table in the configuration."""

    url: str = option("Base URL, such as https://splunk.example.com:8088", pattern="^https?://")
    token: Secret = option("HEC token")
    to: Literal["cim", "ocsf", "ecs", "raw"] = option(
        "What `event` holds: a CIM, OCSF or ECS document, or the raw line", "cim"
    )
    index: str | None = option("Index; absent: the token's default index", None, **_INDEX)
    indexes: dict[str, str] = option(
        "Product (access_point, secure_edge, switch) -> its index, where it is not `index`",
        {},
        propertyNames={"enum": list(PRODUCTS)},
        additionalProperties={"type": "string", **_INDEX},
    )
    sourcetype: str | None = option(
        "Sourcetype; absent: datto:cim, datto:ecs, ocsf:datto:networking, or in raw form"
        " datto:accesspoint:cef, datto:secureedge:cef, datto:switch and datto:cef",
        None,
        **_TEXT,
    )
    source: str = option("Source", "datto:networking", **_TEXT)
    host: str | None = option("Host; absent: the sender's address", None, **_TEXT)
    fields: dict[str, str] = option("Indexed fields added to every event", {})
    ack: Literal["off", "auto", "required"] = option(
        "Wait until events are indexed: off, auto (when the token has useACK) or required", "off"
    )
    ack_timeout: Duration = option(
        "Longest wait for an acknowledgement; then the events are sent again", Duration(300.0)
    )
    tls: Tls = option("How the server is authenticated, and how we are", Tls())
    http: Http = option("How requests are made", Http())

    def __post_init__(self) -> None:
        """Check what the schema cannot.

        Raises:
            ValueError: Says what to change.
        """
        parts = urlsplit(self.url)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("url: write https://HOST:PORT only, no user, token or query in it")
        if EVENT_ID in self.fields:
            raise ValueError(f"fields: {EVENT_ID} is set by the forwarder, choose another name")
        if self.to == "ecs" and self.indexes:
            raise ValueError("indexes: ECS documents of a product are not told apart; use index")
        if self.to == "ocsf" and not (self.sourcetype or "ocsf:").startswith("ocsf:"):
            raise ValueError('sourcetype: Splunk\'s OCSF add-on wants one that begins with "ocsf:"')

    @property
    def base(self) -> str:
        """URL of the collector, whether or not its path was given with `url`."""
        url = self.url.rstrip("/")
        for ending in ("/event", "/event/1.0"):
            url = url.removesuffix(_ENDPOINT + ending)
        return url.removesuffix(_ENDPOINT) + _ENDPOINT


class HecSink:
    """Sends envelopes; see `datto_siem.plugins.sink.Sink`.

    Each sending thread has a channel and a connection of its own: acknowledgements are counted by
    channel, and behind a load balancer must be asked where the events went.
    """

    batching = Batching(count=1000, nbytes=1_000_000, age=1.0, each=1)

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the mapping; connects to nothing yet."""
        self.config = config
        given = config.sourcetype
        self.envelopes = Envelopes(
            config.to,
            Metadata(
                SOURCETYPES[config.to] if given is None else {"": given},
                {"": config.index or "", **config.indexes},
                config.source,
                config.host,
                config.fields,
            ),
            context,
        )
        self.item = self.envelopes.item
        self._who = context.name
        self._transport = Transport(config.tls, config.http, context.name)
        self._channels = Channels(context.state)
        self._acks = config.ack != "off"
        self._warned: set[str] = set()
        self._closing = threading.Event()

    def send(self, items: Sequence[Item]) -> Reply:
        """Post items and, with acknowledgement, wait until they are indexed."""
        if not items:
            return TAKEN
        count = len(items)
        body = b"\n".join([item.body for item in items])
        try:
            said = self.ask("/event", body)
        except SecretMissing as error:
            return whole(count, Next.HALT, str(error))
        except Unreachable as error:
            return whole(count, Next.RETRY, str(error))
        if said.code == _hec_reply.CHANNEL_FULL:
            self._channels.renew()
        reply = _hec_reply.judge(said, count, len(body))
        if reply.left or reply.rejected:
            return reply
        if said.ack is not None and self.config.ack == "off":
            self._warn(
                "the token has useACK but ack = off: acknowledgements nobody asks for pile up in"
                ' Splunk; set ack = "auto" or use a token without'
            )
        if not self._acks:
            return reply
        if said.ack is None:
            return self._without_ack(reply, count, "the token has no useACK")
        return self._confirmed(reply, count, said.ack)

    def check(self, test: Record | None) -> Iterable[Finding]:
        """Ask for health, token, acknowledgement and, with a test record, the indexes."""
        self._channels.renew()  # a running forwarder has the kept ones
        return _hec_check.findings(self, test)

    def close(self) -> None:
        """End waiting for acknowledgements and close connections."""
        self._closing.set()
        self._transport.close()

    def ask(self, path: str, body: bytes) -> _hec_reply.Said:
        """Post to an endpoint under the collector and read the answer.

        Raises:
            SecretMissing: No usable token.
            Unreachable: No whole answer.
        """
        answer, token = self.post(path, body)
        return _hec_reply.read(answer, token, time.time())

    def post(self, path: str, body: bytes) -> tuple[Answer, str]:
        """Post to an endpoint under the collector; also gives the token that was used.

        Raises:
            SecretMissing: No usable token.
            Unreachable: No whole answer.
        """
        token = self.config.token.value()
        if not _TOKEN(token):
            raise SecretMissing("the token holds blanks or other signs no token has: set it anew")
        headers = {
            "Authorization": f"Splunk {token}",
            "X-Splunk-Request-Channel": self._channels.current,
            "Content-Type": "application/json",
            "User-Agent": "datto-siem",
        }
        return self._transport.post(self.config.base + path, body, headers), token

    def health(self) -> _hec_reply.Said:
        """Ask for health, without the token.

        Raises:
            Unreachable: No whole answer.
        """
        answer = self._transport.request("GET", self.config.base + "/health")
        return _hec_reply.read(answer, "Authorization", time.time())

    def _confirmed(self, reply: Reply, count: int, ack: int) -> Reply:
        """Ask for an acknowledgement until it is there."""
        until = time.monotonic() + self.config.ack_timeout
        pause = _FIRST_POLL
        while not self._closing.wait(min(pause, max(0.0, until - time.monotonic()))):
            pause = min(2 * pause, _LAST_POLL)
            try:
                answer = self._acknowledged(ack)
            except SecretMissing as error:
                return whole(count, Next.HALT, str(error))
            except Unreachable:
                answer = False
            if answer is True:
                return reply
            if isinstance(answer, _hec_reply.Said):
                if answer.code == _hec_reply.ACK_DISABLED or answer.status in (404, 405):
                    return self._without_ack(reply, count, answer.text)
                if answer.meaning.do is _hec_reply.Do.HALT:
                    return whole(count, Next.HALT, f"asked for acks: {answer.reason}")
            if time.monotonic() >= until:
                self._channels.renew()
                why = f"not acknowledged within {self.config.ack_timeout:g} s"
                return whole(count, Next.RETRY, f"{why}: sent again on a new channel")
        return whole(count, Next.RETRY, "closed before the acknowledgement came")

    def _acknowledged(self, ack: int) -> bool | _hec_reply.Said:
        """Whether events are indexed, or what was answered instead."""
        path = f"/ack?channel={self._channels.current}"
        answer, token = self.post(path, orjson.dumps({"acks": [ack]}))
        acks = _hec_reply.loaded(answer.body).get("acks")
        if answer.status == 200 and isinstance(acks, dict):
            return acks.get(str(ack)) is True
        return _hec_reply.read(answer, token, time.time())

    def _without_ack(self, reply: Reply, count: int, reason: str) -> Reply:
        if self.config.ack == "required":
            return whole(count, Next.HALT, f"ack = required, but {reason}: enable useACK for it")
        self._acks = False
        self._warn(f"no acknowledgement ({reason}): a delivery is what Splunk queued")
        return reply

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            _LOG.warning("%s: %s", self._who, text)


def connect(config: Config, context: Context) -> HecSink:
    """A sink for one output."""
    return HecSink(config, context)
