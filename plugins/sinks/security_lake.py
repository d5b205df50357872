"""Amazon Security Lake: OCSF as Parquet, one object per class, account, day and window.

Owns options, partitions and object names. What a class's columns are is `plugins.shape`'s, the file
`_lake_parquet`'s, credentials and S3 `_lake_s3`'s; windows, pauses and dead letters are the
forwarder's.
"""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from datto_siem.converters import Converter
from datto_siem.plugins.lake_sources import SOURCES
from datto_siem.plugins.options import Size, option
from datto_siem.plugins.secret import Secret  # noqa: TC001
from datto_siem.plugins.shape import shapes
from datto_siem.plugins.sink import TAKEN, Batching, Finding, Item, Level, Reply
from datto_siem.plugins.transport import Http, Tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context
    from datto_siem.plugins.sinks._lake_s3 import Bucket

_LOG = logging.getLogger(__name__)

USAGE = """\
Amazon Security Lake, as custom sources: OCSF 1.3.0 in Parquet, to
`ext/SOURCE/region=R/accountId=A/eventDay=D/` of the lake's bucket. Needs
`pip install 'datto-siem[security-lake]'`.

The lake must have a custom source for each class that is sent (4001 datto-net, 4003 datto-dns, 4004
datto-dhcp, 4014 datto-tunnel, 3002 datto-auth, 6002 datto-app); creating one makes its role
`AmazonSecurityLake-Provider-SOURCE-REGION`, which `role` names with `{source}` in it.

Events of a class without a source are skipped and counted: give `base_event` a source for what is
no known event. Events wait up to 6 minutes for their window to end. An object sent twice replaces
itself. A known organisation's events go to an account of their own by `accounts`.
"""

EXAMPLE = """\
[[output]]
name = "lake"
type = "security_lake"
bucket = "aws-security-data-lake-eu-west-1-example"
region = "eu-west-1"
role = "arn:aws:iam::123456789012:role/AmazonSecurityLake-Provider-{source}-{region}"
external_id = { env = "LAKE_EXTERNAL_ID" }
"""

_SOURCES = {str(uid): name for uid, name in SOURCES.items()}

_SOURCE = "^[A-Za-z0-9][A-Za-z0-9_-]{0,19}$"
_ACCOUNT = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_ARN = "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_{}/-]+$"
_NAMES = uuid.UUID("6d3a9f1e-52f7-5a0b-9b43-8f3f0b1c7d55")
_CLASS = re.compile(rb'"class_uid":([0-9]{1,9})').search
_TIME = re.compile(rb'"time":(-?[0-9]{1,16})').search
_TENANT = re.compile(rb'"tenant_uid":"([^"\\]{1,128})"').search
_WINDOW, _LATE = 300.0, 60.0
_LARGEST = 200_000_000
_UNMAPPED = b'"unmapped":{'
_DAY = 86_400_000
_PAST, _FUTURE = 30 * _DAY, 2 * _DAY
"""How far an event's time may be from its receipt to choose the day; a device whose clock is wrong,
or a stranger, could spread events over any number of partitions."""


@dataclass(frozen=True)
class Config:
    """Options of the output; the schema of its table in the configuration."""

    bucket: str = option("The lake's bucket", pattern="^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    region: str = option("The lake's region", pattern="^[a-z0-9-]{4,32}$")
    role: str | None = option(
        "Role to assume, {source} and {region} are filled in; absent: none", None, pattern=_ARN
    )
    external_id: Secret | None = option("External id that the role wants", None)
    access_key_id: Secret | None = option(
        "Access key; absent: what the machine's environment, files or instance role offer", None
    )
    secret_access_key: Secret | None = option("Its secret", None)
    account: str = option("Account (accountId) of the partition", "external", pattern=_ACCOUNT)
    accounts: dict[str, str] = option(
        "Datto organisation code -> accountId, for events that name one",
        {},
        additionalProperties={"type": "string", "pattern": _ACCOUNT},
    )
    sources: dict[str, str] = option(
        "Class (class_uid) -> custom source",
        _SOURCES,
        propertyNames={"pattern": "^[0-9]{1,7}$"},
        additionalProperties={"type": "string", "pattern": _SOURCE},
    )
    base_event: str | None = option(
        "Custom source for events that are none of these, such as datto-other; absent: skipped",
        None,
        pattern=_SOURCE,
    )
    source_version: str | None = option(
        "Version in the path, where the source was made with one", None, pattern=_SOURCE
    )
    ocsf_version: Literal["1.1.0", "1.2.0", "1.3.0"] = option("Version of OCSF", "1.3.0")
    max_bytes: Size = option(
        "Most bytes of events, as JSON, in one object; memory grows with it", Size(16_000_000)
    )
    endpoint: str | None = option("S3 endpoint; absent: AWS's", None, pattern="^https?://")
    sts_endpoint: str | None = option("STS endpoint; absent: AWS's", None, pattern="^https?://")
    tls: Tls = option("How AWS is authenticated, and how we are", Tls())
    http: Http = option("How requests are made; Parquet is compressed in any case", Http())

    def __post_init__(self) -> None:
        """Check what the schema cannot.

        Raises:
            ValueError: Says what to change.
        """
        if not 0 < self.max_bytes <= _LARGEST:
            raise ValueError("max_bytes: give 1 byte to 200 MB: a row group holds 256 MB at most")
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key: give both or none")
        if self.external_id is not None and self.role is None:
            raise ValueError("external_id: only with role")
        names = list(self.by_class.values())
        if len(set(names)) != len(names):
            raise ValueError("sources: a custom source holds one class: give each its own name")
        values = [*names, self.account, *self.accounts.values(), self.source_version or "x"]
        for value in values:
            if not re.fullmatch(_ACCOUNT, value):
                raise ValueError(f"{value!r} cannot stand in an object's name")

    @property
    def by_class(self) -> dict[str, str]:
        """class_uid -> source, with that of the base event."""
        return self.sources if self.base_event is None else {**self.sources, "0": self.base_event}


class SecurityLake:
    """Puts windows of events; see `datto_siem.plugins.sink.Sink`.

    An item's key is its partition, `class_uid/account/day`, so one `send` is one object.
    """

    def __init__(self, config: Config, context: Context, bucket: Bucket, parquet: Any) -> None:
        """Compile the mapping and every schema; connects to nothing yet.

        Args:
            config: Options.
            context: Tables and switches.
            bucket: Where objects go.
            parquet: The module that writes them.
        """
        self.config = config
        self.batching = Batching(count=50_000, nbytes=config.max_bytes, age=_LATE, window=_WINDOW)
        converter = Converter("ocsf", config.ocsf_version, context.overlay, context.switches)
        self._encode = converter.encode
        self._shapes = shapes(converter, config.ocsf_version)
        self.schemas = {uid: parquet.arrow(shape) for uid, shape in self._shapes.items()}
        self._sources = config.by_class
        self._accounts = {code.encode(): name for code, name in config.accounts.items()}
        self._bucket, self._parquet = bucket, parquet
        unknown = sorted(set(config.sources) - set(_SOURCES) - {str(uid) for uid in self._shapes})
        if unknown:
            _LOG.warning("%s: sources: no event has class %s", context.name, ", ".join(unknown))

    def item(self, record: Record) -> Item | None:
        """A document by partition; None when its class has no source."""
        raw, received, peer, offset = record
        body = self._encode(raw, received, peer or None, ordinal=offset)
        found = _CLASS(body)
        uid = found[1].decode() if found is not None else "0"
        if uid not in self._sources:
            return None
        account = self.config.account
        if self._accounts:
            tenant = _TENANT(body, 0, body.find(_UNMAPPED))  # what follows may hold any key
            account = account if tenant is None else self._accounts.get(tenant[1], account)
        when = _time(body, received)
        if not received - _PAST <= when <= received + _FUTURE:
            when = received
        return Item(body, f"{uid}/{account}/{_day(when)}")

    def send(self, items: Sequence[Item]) -> Reply:
        """Put the items of a partition as one object."""
        if not items:
            return TAKEN
        uid, account, day = items[0].key.split("/")
        bodies = [item.body for item in items]
        shape, schema = self._shapes[int(uid)], self.schemas[int(uid)]
        fitted = self._parquet.Fitted(bodies, shape, schema)
        rejected = fitted.rejected
        if not fitted.good:
            return Reply(rejected=rejected, reason=next(iter(rejected.values())))
        source = self._sources[uid]
        folder = self._folder(source, account, day)
        name = uuid.uuid5(_NAMES, f"{folder}{fitted.first}/{fitted.last}")
        body = self._parquet.parquet(fitted.table, max(map(len, bodies)))
        refusal = self._bucket.put(source, f"{folder}{name}.parquet", body)
        if refusal is None:
            return Reply(rejected=rejected, reason=next(iter(rejected.values()), ""))
        return Reply(fitted.good, refusal.next, rejected, reason=refusal.reason)

    def check(self, test: Record | None) -> Iterator[Finding]:
        """Assume every source's role; put the test record as an object when there is one."""
        if self.config.tls.insecure_skip_verify:
            said = "insecure_skip_verify is set: anybody can read and answer"
            remedy = "name the authority in tls.ca_file and take the setting out"
            yield Finding(Level.WARNING, "encryption", said, remedy)
        for source in self._sources.values():
            what = f"role of {source}" if self.config.role is not None else "credentials"
            refusal = self._bucket.enter(source)
            if refusal is not None:
                advice = "create the custom source in the lake, then check role and external_id"
                yield Finding(Level.FAULT, what, refusal.reason, advice)
                continue
            if self.config.role is None:
                said = "a client is ready; only a test record shows whether they are accepted"
                yield Finding(Level.GOOD, what, said)
                break
            yield Finding(Level.GOOD, what, "assumed")
        if test is not None:
            yield self._delivery(test)

    def close(self) -> None:
        """Close connections."""
        self._bucket.close()

    def _delivery(self, test: Record) -> Finding:
        item = self.item(test)
        if item is None:
            said = "its class has no source here, so it would be skipped"
            return Finding(Level.WARNING, "test record", said, "add it to sources or base_event")
        reply = self.send([item])
        if reply.left or reply.rejected:
            return Finding(Level.FAULT, "test record", reply.reason, "mend it and ask again")
        return Finding(Level.GOOD, "test record", f"put into {self.config.bucket}")

    def _folder(self, source: str, account: str, day: str) -> str:
        version = self.config.source_version
        parts = ["ext", source, *([version] if version is not None else [])]
        parts += [f"region={self.config.region}", f"accountId={account}", f"eventDay={day}"]
        return "/".join(parts) + "/"


def _time(body: bytes, received: int) -> int:
    found = _TIME(body)
    return int(found[1]) if found is not None else received


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, timezone.utc).strftime("%Y%m%d")


def connect(config: Config, context: Context) -> SecurityLake:
    """Prepare the sink; connects to nothing yet.

    Raises:
        ModuleNotFoundError: The extra `security-lake` is not installed.
    """
    try:
        from datto_siem.plugins.sinks import _lake_parquet, _lake_s3
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "type = \"security_lake\" needs more: pip install 'datto-siem[security-lake]'"
        ) from error
    access = _lake_s3.Access(
        bucket=config.bucket,
        region=config.region,
        role=config.role,
        external_id=config.external_id,
        key_id=config.access_key_id,
        key=config.secret_access_key,
        endpoint=config.endpoint,
        sts_endpoint=config.sts_endpoint,
        session_name="datto-siem",
    )
    if config.tls.insecure_skip_verify:
        _LOG.warning("%s: insecure_skip_verify is set: anybody can read and answer", context.name)
    bucket = _lake_s3.Bucket(access, config.tls, config.http)
    return SecurityLake(config, context, bucket, _lake_parquet)
