"""Microsoft Sentinel by the Logs Ingestion API (2023-01-01): rows to the streams of one DCR.

Owns the request and what its answers mean. Tokens are `_sentinel_token`'s, rows `_sentinel_rows`';
batches, pauses and dead letters are the forwarder's.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from datto_siem.converters import Converter
from datto_siem.plugins.options import option
from datto_siem.plugins.secret import Secret  # noqa: TC001  options read their types at run time
from datto_siem.plugins.sentinel_streams import STREAMS
from datto_siem.plugins.sink import TAKEN, Batching, Finding, Item, Level, Next, Reply, whole
from datto_siem.plugins.sinks._sentinel_rows import MOST, half_hour, routed, trimmed
from datto_siem.plugins.sinks._sentinel_token import ByIdentity, BySecret, Refused, Tokens
from datto_siem.plugins.transport import Http, Tls, Transport, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context
    from datto_siem.plugins.sinks._sentinel_token import Fetch
    from datto_siem.plugins.transport import Answer

_LOG = logging.getLogger(__name__)
_API = "2023-01-01"
_CLOUDS = {
    "public": ("https://login.microsoftonline.com", "https://monitor.azure.com/.default"),
    "government": ("https://login.microsoftonline.us", "https://monitor.azure.us/.default"),
    "china": ("https://login.chinacloudapi.cn", "https://monitor.azure.cn/.default"),
}
_ROLE = (
    "give the application the role Monitoring Metrics Publisher on the DCR; it takes up to"
    " 30 minutes to count"
)
_NAMES = "check endpoint, dcr (the immutable id, dcr-...) and the stream names against the DCR"
_WIDE = "RecordsTimeRangeIsMoreThan30Minutes"

USAGE = """\
Microsoft Sentinel by the Logs Ingestion API.

Azure must have: a data collection rule (DCR) of kind Direct, or one with a data collection
endpoint, that declares the streams; and an application with the role Monitoring Metrics Publisher
on that DCR. `to = "asim"` fills the native ASIM tables, and Datto_CL for what nobody documents;
`to = "csl"` fills CommonSecurityLog. Choose one: both would count every event twice.

Credentials: a client secret needs nothing more. A certificate, a managed identity, a workload
identity or what the environment offers needs `pip install 'datto-siem[azure]'`.
"""

EXAMPLE = """\
[[output]]
name = "sentinel"
type = "sentinel"
endpoint = "https://dcr-datto-x1y2.westeurope-1.ingest.monitor.azure.com"
dcr = "dcr-00000000000000000000000000000000"
tenant = "00000000-0000-0000-0000-000000000000"
client_id = "00000000-0000-0000-0000-000000000000"
client_secret = { env = "AZURE_CLIENT_SECRET" }
"""

_ID = {"pattern": "^[A-Za-z0-9._-]+$", "maxLength": 128}
_HTTPS = {"pattern": "^https://"}


@dataclass(frozen=True)
class Config:
    """Options of the output; the schema of its table in the configuration."""

    endpoint: str = option("Logs ingestion endpoint of the DCR or of a DCE", **_HTTPS)
    dcr: str = option("Immutable id of the DCR, such as dcr-00000000", **_ID)
    to: Literal["asim", "csl"] = option("Native ASIM tables, or CommonSecurityLog", "asim")
    credential: Literal[
        "secret", "certificate", "managed_identity", "workload_identity", "default"
    ] = option("How we prove who we are; all but secret need the extra azure", "secret")
    tenant: str | None = option("Directory (tenant) id", None, **_ID)
    client_id: str | None = option("Application (client) id", None, **_ID)
    client_secret: Secret | None = option("Secret of the application", None)
    certificate: str | None = option("PEM file with certificate and key", None)
    cloud: Literal["public", "government", "china"] = option("Azure cloud", "public")
    login: str | None = option("Login service, when it is not the cloud's", None, **_HTTPS)
    streams: dict[str, str] = option("Table -> stream, where names differ from ours", {})
    tls: Tls = option("How the service is trusted", Tls())
    http: Http = option("How requests are made", Http())

    def __post_init__(self) -> None:
        """Check what belongs together."""
        needed = {
            "secret": ("tenant", "client_id", "client_secret"),
            "certificate": ("tenant", "client_id", "certificate"),
        }.get(self.credential, ())
        absent = [name for name in needed if getattr(self, name) is None]
        if absent:
            raise ValueError(f'credential = "{self.credential}" needs {", ".join(absent)}')
        unknown = sorted(set(self.streams) - set(STREAMS))
        if unknown:
            raise ValueError(f"streams: no table {unknown[0]}; there are {', '.join(STREAMS)}")
        for stream in self.streams.values():
            if not stream.replace("-", "").replace("_", "").isalnum() or not stream.isascii():
                raise ValueError(f"streams: {stream!r} is no stream name, such as Custom-Datto_CL")


def connect(config: Config, context: Context) -> Sentinel:
    """Prepare the sink; connects to nothing yet.

    Raises:
        ModuleNotFoundError: The credential needs the extra `azure`, which is not installed.
    """
    transport = Transport(config.tls, config.http, context.name)
    login, scope = _CLOUDS[config.cloud]
    fetch: Fetch
    if config.credential == "secret" and config.client_secret is not None:
        fetch = BySecret(
            transport,
            config.login or login,
            config.tenant or "",
            config.client_id or "",
            config.client_secret,
            scope,
        )
    else:
        fetch = ByIdentity(_identity(config, config.login or login), scope)
    converter = Converter(config.to, overlay=context.overlay, switches=context.switches)
    return Sentinel(config, context.name, transport, Tokens(fetch), converter)


class Sentinel:
    """The Logs Ingestion API of one DCR.

    Args:
        config: The output's options.
        name: The output's name, for logs.
        transport: Makes requests.
        tokens: The access token.
        converter: Makes the rows.
    """

    batching = Batching(count=5000, nbytes=MOST, age=2.0, each=1, fixed=1)

    def __init__(
        self, config: Config, name: str, transport: Transport, tokens: Tokens, converter: Converter
    ) -> None:
        """See the class for the arguments."""
        self._transport, self._tokens, self._converter, self._name = (
            transport,
            tokens,
            converter,
            name,
        )
        named = {**STREAMS, **config.streams}
        self._streams = {table.encode(): stream for table, stream in named.items()}
        self._single = named["CommonSecurityLog"] if config.to == "csl" else None
        self._base = f"{config.endpoint.rstrip('/')}/dataCollectionRules/{config.dcr}/streams/"

    def item(self, record: Record) -> Item | None:
        """The record's row and, as key, its stream; see `Sink.item`."""
        row = self._converter.encode(
            record.raw, record.received, record.peer or None, None, record.offset
        )
        stream = self._single
        if stream is None:
            row, stream = routed(row, self._streams)
            if stream is None:
                return None  # a table of an overlay that no stream takes
        return Item(row, stream)

    def send(self, items: Sequence[Item]) -> Reply:
        """Post rows of one stream; see `Sink.send`."""
        stream = items[0].key
        rows = [item.body for item in items]
        try:
            answer = self._post(stream, rows)
        except Refused as error:
            return whole(len(items), Next.HALT, str(error))
        except Unreachable as error:
            return whole(len(items), Next.RETRY, str(error))
        if answer.status == 413 and len(rows) == 1:
            return self._smaller(stream, rows[0], answer)
        if answer.status == 400 and _error(answer).startswith(_WIDE) and len(rows) > 1:
            return self._by_time(items)
        return self._reply(answer, len(items))

    def check(self, test: Record | None) -> Iterable[Finding]:
        """Token, role, DCR and every stream; see `Sink.check`."""
        try:
            self._tokens.get()
        except (Refused, Unreachable) as error:
            yield Finding(Level.FAULT, "token", str(error), "mend it, then run doctor again")
            return
        yield Finding(Level.GOOD, "token", "the login service gave one")
        streams = [self._single] if self._single else sorted(set(self._streams.values()))
        for stream in streams:
            yield self._checked(stream)
        if test is not None:
            item = self.item(test)
            if item is not None:
                reply = self.send([item])
                good = not reply.left and not reply.rejected
                said = "taken" if good else reply.reason or next(iter(reply.rejected.values()))
                level = Level.GOOD if good else Level.FAULT
                yield Finding(level, f"test record to {item.key}", said)

    def close(self) -> None:
        """See `Sink.close`."""
        self._transport.close()

    def _post(self, stream: str, rows: Sequence[bytes]) -> Answer:
        """One request; a refused token is fetched anew once."""
        answer = self._once(stream, rows)
        return self._once(stream, rows) if answer.status == 401 else answer

    def _once(self, stream: str, rows: Sequence[bytes]) -> Answer:
        token = self._tokens.get()
        request = str(uuid.uuid4())
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "x-ms-client-request-id": request,
        }
        body = b"[%s]" % b",".join(rows)
        answer = self._transport.post(f"{self._base}{stream}?api-version={_API}", body, headers)
        if answer.status == 401:
            self._tokens.drop(token)
        if answer.status != 204:
            _LOG.debug("%s: request %s answered %d", self._name, request, answer.status)
        return answer

    def _reply(self, answer: Answer, count: int) -> Reply:
        """What an answer means for all rows of its request (sentinel.md section 3)."""
        status = answer.status
        if status in (200, 202, 204):
            return TAKEN
        said = f"{status} {_error(answer)}".strip()
        if status == 401:
            return whole(count, Next.HALT, f"{said}: the new token is refused too; check cloud")
        if status == 403:
            return whole(count, Next.HALT, f"{said}: {_ROLE}")
        if status in (404, 405) or 300 <= status < 400:
            return whole(count, Next.HALT, f"{said}: {_NAMES}")
        if status in (408, 429) or status >= 500:
            return whole(count, Next.RETRY, said, answer.after(time.time()))
        return whole(count, Next.SPLIT, said)

    def _smaller(self, stream: str, row: bytes, answer: Answer) -> Reply:
        """A single row that is too large: sent once more with its broadest columns cut."""
        less = trimmed(row)
        if less is None or less == row:
            return self._reply(answer, 1)
        try:
            return self._reply(self._post(stream, [less]), 1)
        except Refused as error:
            return whole(1, Next.HALT, str(error))
        except Unreachable as error:
            return whole(1, Next.RETRY, str(error))

    def _by_time(self, items: Sequence[Item]) -> Reply:
        """A stream that takes half an hour at once: one request for each half hour."""
        groups: dict[bytes, list[int]] = {}
        for at, item in enumerate(items):
            groups.setdefault(half_hour(item.body), []).append(at)
        if len(groups) == 1:
            return whole(len(items), Next.SPLIT, _WIDE)
        worst, left, rejected = TAKEN, list[int](), dict[int, str]()
        for places in groups.values():
            reply = self.send([items[at] for at in places])
            left += [places[at] for at in reply.left]
            rejected |= {places[at]: why for at, why in reply.rejected.items()}
            if reply.left and _GRAVITY[reply.next] >= _GRAVITY[worst.next]:
                worst = reply
        return Reply(tuple(sorted(left)), worst.next, rejected, worst.after, worst.reason)

    def _checked(self, stream: str) -> Finding:
        """An empty array changes nothing and shows whether role, DCR and stream are right."""
        what = f"stream {stream}"
        try:
            answer = self._post(stream, [])
        except (Refused, Unreachable) as error:
            return Finding(Level.FAULT, what, str(error), "check endpoint, proxy and firewall")
        if answer.status in (200, 202, 204):
            return Finding(Level.GOOD, what, "the DCR takes it")
        remedy = {401: "check cloud and tenant", 403: _ROLE, 404: _NAMES}.get(answer.status, "")
        said = f"{answer.status} {_error(answer)}".strip()
        return Finding(Level.FAULT, what, said, remedy or "try again; then see Azure's status")


_GRAVITY = {Next.AGAIN: 0, Next.RETRY: 1, Next.SPLIT: 2, Next.HALT: 3}


def _error(answer: Answer) -> str:
    """The service's error code and message, short; "" when there is none."""
    try:
        error: Any = orjson.loads(answer.body)["error"]
        found = f"{error['code']}: {error.get('message') or ''}".rstrip(": ")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        found = answer.headers.get("x-ms-error-code", "")
    return found[:300]


def _identity(config: Config, login: str) -> Any:
    """A credential of azure-identity."""
    try:
        import azure.identity as identity
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"credential = \"{config.credential}\" needs more: pip install 'datto-siem[azure]'"
        ) from error
    verify = not config.tls.insecure_skip_verify and (config.tls.ca_file or True)
    common: dict[str, Any] = {"connection_verify": verify}
    if config.http.proxy is not None:
        common["proxies"] = {"https": config.http.proxy, "http": config.http.proxy}
    if config.credential == "certificate":
        return identity.CertificateCredential(
            config.tenant or "",
            config.client_id or "",
            config.certificate,
            authority=login,
            disable_instance_discovery=config.login is not None,
            **common,
        )
    if config.credential == "managed_identity":
        return identity.ManagedIdentityCredential(client_id=config.client_id, **common)
    if config.credential == "workload_identity":
        return identity.WorkloadIdentityCredential(
            tenant_id=config.tenant, client_id=config.client_id, authority=login, **common
        )
    return identity.DefaultAzureCredential(authority=login, **common)
