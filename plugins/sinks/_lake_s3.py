"""Putting objects into the lake's bucket, each source by its own role.

Needs boto3, of the extra security-lake. Owns credentials and what AWS's errors mean; a role is
assumed anew before its credentials end, and once more when AWS calls them expired.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3  # type: ignore[import-untyped]
from botocore.config import Config as Settings  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.sink import Next

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.secret import Secret
    from datto_siem.plugins.transport import Http, Tls

_MARGIN = 300.0  # seconds before their end that credentials are fetched anew
_STALE = frozenset(
    ["ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"]
)
_BUSY = frozenset(
    [
        *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"),
        *("RequestTimeout", "OperationAborted", "IDPCommunicationError"),
    ]
)
_REMEDIES = {
    "AccessDenied": "check role, external_id and the role's policy for this bucket and region",
    "NoSuchBucket": "check bucket: it is the one of the lake in this region",
    "InvalidBucketName": "check bucket: give the name only",
    "InvalidAccessKeyId": "check access_key_id, or the credentials of this machine",
    "InvalidClientTokenId": "check access_key_id, or the credentials of this machine",
    "UnrecognizedClientException": "check access_key_id, or the credentials of this machine",
    "SignatureDoesNotMatch": "check secret_access_key, or the credentials of this machine",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "PermanentRedirect": "check region: the bucket is in another",
    "AuthorizationHeaderMalformed": "check region: the bucket is in another",
    "IllegalLocationConstraintException": "check region: the bucket is in another",
    "RegionDisabledException": "activate STS in this region, or use another",
}
_OTHERWISE = "look the code up in the service's error list, mend it and ask again"


class Access(NamedTuple):
    """How the lake is reached.

    Attributes:
        bucket: Its bucket.
        region: Its region.
        role: ARN of the role to assume, `{source}` and `{region}` filled in; None: none.
        external_id: What the role's trust policy wants.
        key_id: Access key, or None for what the machine offers.
        key: Its secret.
        endpoint: S3 endpoint, or None for AWS's.
        sts_endpoint: STS endpoint, or None for AWS's.
        session_name: Name that the lake's audit log shows.
    """

    bucket: str
    region: str
    role: str | None
    external_id: Secret | None
    key_id: Secret | None
    key: Secret | None
    endpoint: str | None
    sts_endpoint: str | None
    session_name: str


class Refusal(NamedTuple):
    """Why something was not done.

    Attributes:
        next: What to do.
        reason: What AWS said, and what to look at.
    """

    next: Next
    reason: str


class _Client(NamedTuple):
    s3: Any
    until: float


class Bucket:
    """The lake's bucket; safe to share between threads."""

    def __init__(self, access: Access, tls: Tls, http: Http) -> None:
        """Prepare; connects to nothing yet."""
        self._access = access
        self._lock = threading.Lock()
        self._clients: dict[str, _Client] = {}
        self._verify: Any = False if tls.insecure_skip_verify else tls.ca_file
        cert: Any = tls.client_cert
        if tls.client_cert is not None and tls.client_key is not None:
            cert = (tls.client_cert, tls.client_key)
        proxy = http.proxy
        self._settings = Settings(
            region_name=access.region,
            connect_timeout=http.connect_timeout,
            read_timeout=http.timeout,
            retries={"total_max_attempts": 1},  # the forwarder retries
            proxies=None if proxy is None else {"http": proxy, "https": proxy},
            client_cert=cert,
            s3={"addressing_style": "path" if access.endpoint is not None else "auto"},
        )

    def put(self, source: str, key: str, body: bytes) -> Refusal | None:
        """Put an object, replacing one of the same name; why not, when it was not taken."""

        def action() -> None:
            client = self.client(source)
            client.put_object(Bucket=self._access.bucket, Key=key, Body=body)

        return self._tried(action)

    def enter(self, source: str) -> Refusal | None:
        """Assume the role of a source, without touching the bucket; why not, when that failed."""
        return self._tried(lambda: self.client(source))

    def _tried(self, action: Callable[[], object]) -> Refusal | None:
        """Do it, once more with fresh credentials when the old ones are called expired."""
        for again in (True, False):
            try:
                action()
            except ClientError as error:
                if again and _code(error) in _STALE:
                    self.close()
                    continue
                return _refusal(error)
            except SecretMissing as error:
                return Refusal(Next.HALT, str(error))
            except (NoCredentialsError, PartialCredentialsError):
                said = "no AWS credentials: set access_key_id and secret_access_key, or a profile"
                return Refusal(Next.HALT, said)
            except (BotoCoreError, OSError) as error:
                return Refusal(Next.RETRY, f"no answer: {type(error).__name__}")
            break
        return None

    def client(self, source: str) -> Any:
        """An S3 client with the credentials of a source's role."""
        access = self._access
        name = "" if access.role is None else source
        with self._lock:
            kept = self._clients.get(name)
            if kept is not None and time.time() < kept.until - _MARGIN:
                return kept.s3
            made = self._made(source)
            if kept is not None:
                kept.s3.close()
            self._clients[name] = made
            return made.s3

    def close(self) -> None:
        """Drop all credentials and connections; they are made again when needed."""
        with self._lock:
            for client in self._clients.values():
                client.s3.close()
            self._clients.clear()

    def _made(self, source: str) -> _Client:
        access = self._access
        own: dict[str, Any] = {}
        if access.key_id is not None and access.key is not None:
            own["aws_access_key_id"] = access.key_id.value()
            own["aws_secret_access_key"] = access.key.value()
        session = boto3.session.Session(region_name=access.region, **own)
        until = float("inf")
        if access.role is not None:
            role = access.role.replace("{source}", source).replace("{region}", access.region)
            sts = self._connected(session, "sts", access.sts_endpoint)
            asked = {"RoleArn": role, "RoleSessionName": access.session_name}
            if access.external_id is not None:
                asked["ExternalId"] = access.external_id.value()
            try:
                given = sts.assume_role(**asked)["Credentials"]
            finally:
                sts.close()
            until = given["Expiration"].timestamp()
            session = boto3.session.Session(
                given["AccessKeyId"],
                given["SecretAccessKey"],
                given["SessionToken"],
                region_name=access.region,
            )
        elif access.key is not None:
            until = time.time() + 2 * _MARGIN  # a rotated file is taken up
        return _Client(self._connected(session, "s3", access.endpoint), until)

    def _connected(self, session: Any, service: str, endpoint: str | None) -> Any:
        return session.client(
            service, endpoint_url=endpoint, verify=self._verify, config=self._settings
        )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: ClientError) -> Refusal:
    """What an error of S3 or STS means; its message is left out, it may name keys."""
    code = _code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    what = f"{error.operation_name}: {code or status}"
    if code in _STALE:
        return Refusal(Next.RETRY, f"{what}: credentials are fetched anew")
    if code in _BUSY or status >= 500 or status == 429:
        return Refusal(Next.RETRY, what)
    return Refusal(Next.HALT, f"{what}: {_REMEDIES.get(code, _OTHERWISE)}")
