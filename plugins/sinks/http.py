"""Any HTTP endpoint: events as NDJSON, a JSON array or an OCSF bundle, in any form.

Owns options, framing and credentials. What products want is data (`_http_presets`), what answers
mean is `_http_reply`'s; batches, pauses and dead letters are the forwarder's.
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import orjson

from datto_siem.converters import Converter
from datto_siem.converters.schemas import ocsf_versions
from datto_siem.plugins.options import Size, option
from datto_siem.plugins.secret import Secret, SecretMissing
from datto_siem.plugins.sink import TAKEN, Batching, Finding, Item, Level, Next, Reply, whole
from datto_siem.plugins.sinks._http_presets import NONE, Preset, presets
from datto_siem.plugins.sinks._http_reply import judge
from datto_siem.plugins.transport import Http, Tls, Transport, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context

USAGE = """\
Any product that takes events by HTTP POST: Sekoia, Datadog, Panther, Tenzir, Cribl, Vector, Data
Prepper, or your own.

Choose a `preset`, or give `url`, `to` and `framing`; options win over the preset. The token goes
as `Authorization: Bearer`, or bare in `token_header`. Every 2xx counts as taken, so the server must
answer only after it has stored the events. For SentinelOne use type `splunk_hec` with to = "ocsf".

An event may arrive twice when an answer is lost; it carries the same id then (`metadata.uid` in
OCSF, `event.id` in ECS).
"""

EXAMPLE = """\
[[output]]
name = "sekoia"
type = "http"
preset = "sekoia"
token = { env = "SEKOIA_INTAKE_KEY" }
"""

_NAME = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_VALUE = re.compile(r"[!-~]+(?: +[!-~]+)*").fullmatch
_OURS = frozenset(["content-length", "content-encoding", "transfer-encoding", "host", "connection"])
_SECRET = frozenset(["authorization", "proxy-authorization", "cookie"])
_LINES = frozenset(["raw", "cef"])
_TIME = re.compile(rb'"time":([0-9]{1,16})').search
_DEFAULT_BYTES, _DEFAULT_COUNT = 1_000_000, 1000
_SUMMARY = b'],"count":%d,"start_time":%d,"end_time":%d}'
_SUMMARY_LENGTH = 100

To = Literal["ocsf", "ecs", "cim", "asim", "csl", "cef", "raw"]
Framing = Literal["ndjson", "array", "bundle"]


@dataclass(frozen=True)
class Config:
    """Options of the output; the schema of its table in the configuration."""

    url: str | None = option("Where to post; absent: the preset's", None, pattern="^https?://")
    preset: str | None = option(
        "Product whose address, credential header, framing and form to use",
        None,
        enum=sorted(presets()),
    )
    region: str | None = option(
        "Region in the preset's address", None, pattern="^[a-z0-9.-]+$", maxLength=64
    )
    to: To | None = option(
        "Form of events: a document, a repaired CEF line, or the line as it came; absent: the"
        " preset's, or ocsf",
        None,
    )
    ocsf_version: str | None = option(
        "Version of OCSF, such as 1.3.0; absent: the preset's, or 1.8.0", None
    )
    framing: Framing | None = option(
        "One event a line, a JSON array, or an OCSF bundle; absent: the preset's, or ndjson", None
    )
    under: str | None = option(
        "Key to put each document under; absent: the preset's, or none", None, minLength=1
    )
    token: Secret | None = option("Bearer token, or the key for token_header", None)
    token_header: str | None = option("Header that carries the token bare", None, pattern=_NAME)
    username: str | None = option("User for basic authentication", None, pattern="^[ -9;-~]+$")
    password: Secret | None = option("Password for basic authentication", None)
    headers: dict[str, str] = option("More headers", {}, propertyNames={"pattern": _NAME})
    secret_headers: dict[str, Secret] = option(
        "More headers whose values are secrets", {}, propertyNames={"pattern": _NAME}
    )
    content_type: str | None = option("Content-Type; absent: the framing's", None, minLength=1)
    max_count: int | None = option("Most events a request takes", None, minimum=1)
    max_bytes: Size | None = option("Most bytes a request takes, before compression", None)
    tls: Tls = option("How the server is authenticated, and how we are", Tls())
    http: Http = option("How requests are made", Http())

    def __post_init__(self) -> None:
        """Check what the schema cannot.

        Raises:
            ValueError: Says what to change.
        """
        self._check_address()
        self._check_credentials()
        form, framing, under = self.form, self.frame, self.key
        if self.ocsf_version is not None:
            if form != "ocsf":
                raise ValueError('ocsf_version: only with to = "ocsf"')
            if self.ocsf_version not in ocsf_versions():
                raise ValueError(f"ocsf_version: there is {', '.join(ocsf_versions())}")
        if framing == "bundle" and (form != "ocsf" or under is not None):
            raise ValueError('framing: a bundle holds OCSF documents: set to = "ocsf", no under')
        if under is not None and form in _LINES:
            raise ValueError("under: lines are no documents: leave it out")

    @property
    def known(self) -> Preset:
        """The preset, or one that says nothing."""
        return NONE if self.preset is None else presets()[self.preset]

    @property
    def address(self) -> str:
        """Where to post."""
        return self.url or self.known.address(self.region) or ""

    @property
    def form(self) -> str:
        """Form of the events."""
        return self.to or self.known.to or "ocsf"

    @property
    def frame(self) -> str:
        """How they are joined."""
        return self.framing or self.known.framing or "ndjson"

    @property
    def key(self) -> str | None:
        """What documents are put under."""
        return self.under if self.under is not None or self.to is not None else self.known.under

    def _check_address(self) -> None:
        if self.preset is not None and self.preset not in presets():
            raise ValueError(f"preset: no {self.preset!r}; there are {', '.join(presets())}")
        if not self.address:
            raise ValueError("url: give the address to post to")
        if self.region is not None and (self.url is not None or self.known.url is None):
            raise ValueError("region: only with a preset that has regions, and without url")
        parts = urlsplit(self.address)
        if not parts.hostname or parts.username or parts.fragment:
            raise ValueError("url: write https://HOST/PATH, no user and no fragment in it")

    def _check_credentials(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password: give both or none")
        if self.token is not None and self.username is not None and self._bearer:
            raise ValueError("token: give it or username and password, not both")
        for name in [*self.headers, *self.secret_headers, self.token_header or ""]:
            if name.lower() in _OURS:
                raise ValueError(f"headers: {name} is set by the forwarder")
        for name, value in self.headers.items():
            if name.lower() in _SECRET:
                raise ValueError(f"headers: {name} is a secret: use secret_headers or token")
            if not _VALUE(value):
                raise ValueError(f"headers: {name} holds signs that no header may hold")

    @property
    def _bearer(self) -> bool:
        return not (self.token_header or self.known.token_header)


class HttpSink:
    """Posts events; see `datto_siem.plugins.sink.Sink`."""

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the mapping; connects to nothing yet."""
        self.config = config
        known, form, self._framing = config.known, config.form, config.frame
        version = (config.ocsf_version or known.ocsf_version) if form == "ocsf" else None
        self._encode = Converter(
            "cef" if form in _LINES else form, version, context.overlay, context.switches
        ).encode
        self._raw, self._quoted = form == "raw", form in _LINES and self._framing != "ndjson"
        self._head = b"" if config.key is None else b"{%b:" % orjson.dumps(config.key)
        self._tail = b"}" if self._head else b""
        framed = self._framing == "bundle"
        self.batching = Batching(
            count=config.max_count or known.max_count or _DEFAULT_COUNT,
            nbytes=config.max_bytes or known.max_bytes or _DEFAULT_BYTES,
            age=1.0,
            each=1,
            fixed=len(b'{"events":[') + _SUMMARY_LENGTH if framed else 2,
        )
        plain = "text/plain; charset=utf-8" if form in _LINES else "application/x-ndjson"
        kind = plain if self._framing == "ndjson" else "application/json"
        self._headers = {
            "User-Agent": "datto-siem",
            **config.headers,
            "Content-Type": config.content_type or kind,
        }
        self._transport = Transport(config.tls, config.http, context.name)

    def item(self, record: Record) -> Item:
        """One event."""
        raw, received, peer, offset = record
        if self._raw and raw.strip():
            body = _one_line(raw)
        else:
            body = self._encode(raw, received, peer or None, ordinal=offset)
        if self._quoted:
            body = orjson.dumps(body.decode("utf-8", "backslashreplace"))
        return Item(b"%b%b%b" % (self._head, body, self._tail) if self._head else body)

    def send(self, items: Sequence[Item]) -> Reply:
        """Post events as one request."""
        if not items:
            return TAKEN
        count = len(items)
        secrets: list[str] = []
        try:
            headers = {**self._headers, **self._credentials(secrets)}
            answer = self._transport.post(self.config.address, self._joined(items), headers)
        except SecretMissing as error:
            return whole(count, Next.HALT, str(error))
        except Unreachable as error:
            return whole(count, Next.RETRY, str(error))
        return judge(answer, count, secrets, time.time())

    def check(self, test: Record | None) -> Iterator[Finding]:
        """Reach the server and read the secrets; deliver the test record when there is one."""
        config = self.config
        if config.address.startswith("http://"):
            said = "credential and events go unencrypted"
            yield Finding(Level.WARNING, "encryption", said, "use https:// in url")
        elif config.tls.insecure_skip_verify:
            said = "insecure_skip_verify is set: anybody can read and answer"
            remedy = "name the server's authority in tls.ca_file and take the setting out"
            yield Finding(Level.WARNING, "encryption", said, remedy)
        parts = urlsplit(config.address)
        what = f"reach {parts.scheme}://{parts.hostname}"
        try:
            answer = self._transport.request("OPTIONS", config.address)
        except Unreachable as error:
            remedy = "check url, tls.ca_file, http.proxy and the way to the server"
            yield Finding(Level.FAULT, what, str(error), remedy)
            return
        yield Finding(Level.GOOD, what, f"the server answers (HTTP {answer.status} to OPTIONS)")
        try:
            given = self._credentials([])
        except SecretMissing as error:
            yield Finding(Level.FAULT, "credential", str(error), "set it, then ask again")
            return
        if test is not None:
            yield self._delivery(test)
            return
        said = f"sent in {', '.join(given)}" if given else "none is configured"
        advice = "only a test record shows whether it is accepted"
        note = f"{advice}; {config.known.notes}" if config.known.notes else advice
        yield Finding(Level.GOOD, "credential", said, note)

    def close(self) -> None:
        """Close connections."""
        self._transport.close()

    def _delivery(self, test: Record) -> Finding:
        reply = self.send([self.item(test)])
        if not reply.left and not reply.rejected:
            return Finding(Level.GOOD, "test record", "the server took it")
        remedy = self.config.known.notes or "look at the answer, mend it and ask again"
        return Finding(Level.FAULT, "test record", reply.reason, remedy)

    def _joined(self, items: Sequence[Item]) -> bytes:
        bodies = [item.body for item in items]
        if self._framing == "ndjson":
            return b"\n".join(bodies) + b"\n"
        if self._framing == "array":
            return b"[%b]" % b",".join(bodies)
        times = [int(found[1]) for body in bodies if (found := _TIME(body))] or [0]
        summary = _SUMMARY % (len(bodies), min(times), max(times))
        return b'{"events":[%b%b' % (b",".join(bodies), summary)

    def _credentials(self, secrets: list[str]) -> dict[str, str]:
        """Headers with secrets, read anew; the secrets are added to `secrets`.

        Raises:
            SecretMissing: One is absent or no header can carry it.
        """
        config = self.config
        headers = {name: _read(secret, secrets) for name, secret in config.secret_headers.items()}
        if config.token is not None:
            token = _read(config.token, secrets)
            name = config.token_header or config.known.token_header
            headers[name or "Authorization"] = token if name else f"Bearer {token}"
        if config.password is not None:
            pair = f"{config.username}:{config.password.value()}"
            coded = base64.b64encode(pair.encode()).decode()
            secrets += [coded, config.password.value()]
            headers["Authorization"] = f"Basic {coded}"
        return headers


def _one_line(raw: bytes) -> bytes:
    r"""A record as one line: a line break in it would make two events, so it becomes `\n`."""
    raw = raw.rstrip(b"\r\n\0")
    if b"\n" in raw or b"\r" in raw:
        raw = raw.replace(b"\r", b"\\r").replace(b"\n", b"\\n")
    return raw


def _read(secret: Secret, secrets: list[str]) -> str:
    value = secret.value()
    if not _VALUE(value):
        raise SecretMissing("a secret holds signs that no header may hold: set it anew")
    secrets.append(value)
    return value


def connect(config: Config, context: Context) -> HttpSink:
    """A sink for one output."""
    return HttpSink(config, context)
