"""One HTTP request out and what came back: TLS, proxy, time-outs, gzip; no retry, no meaning.

Retries need the reply's body and must outlive the process, so they belong to the forwarder. A
session is kept for each thread: `requests.Session` is not safe to share.
"""

from __future__ import annotations

import gzip
import logging
import ssl
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import requests
import urllib3
from requests.adapters import HTTPAdapter

from datto_siem.plugins.options import Duration, option

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG = logging.getLogger(__name__)
_LONGEST_REPLY = 16 * 1024 * 1024
_FAST = 1  # gzip level: of level 6 it takes a third of the time for nine tenths of the gain


@dataclass(frozen=True)
class Tls:
    """How the destination is authenticated, and how we are."""

    ca_file: str | None = option(
        "PEM file of the authorities to trust; the system's when absent", None
    )
    client_cert: str | None = option("PEM file of our certificate, for mutual TLS", None)
    client_key: str | None = option("PEM file of its key; absent: it is in client_cert", None)
    insecure_skip_verify: bool = option("Trust any certificate; warns at each start", False)


@dataclass(frozen=True)
class Http:
    """How requests are made."""

    proxy: str | None = option(
        "URL of the proxy; absent: the environment's HTTPS_PROXY and NO_PROXY", None
    )
    connect_timeout: Duration = option("Longest wait for a connection", Duration(10.0))
    timeout: Duration = option("Longest wait for an answer", Duration(60.0))
    gzip: bool = option("Compress requests", True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        headers: Header fields; look-up ignores case.
        body: The body, at most 16 MiB.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def after(self, now: float) -> float | None:
        """Seconds of `Retry-After` (number or date), or None.

        Args:
            now: Epoch seconds.
        """
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text), 86400.0)
        try:
            return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), 86400.0)
        except (ValueError, TypeError, OverflowError):
            return None


class Unreachable(Exception):
    """No answer: whether the request arrived is unknown. The message names the cause only."""


class Transport:
    """Makes requests; safe to share between threads.

    Args:
        tls: How servers are trusted.
        http: Proxy, time-outs, compression.
        who: Name for the warning about switched-off verification.
    """

    def __init__(self, tls: Tls, http: Http, who: str) -> None:
        """Prepare; connects to nothing yet."""
        self._tls, self._http = tls, http
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()
        if tls.insecure_skip_verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            _LOG.warning("%s: insecure_skip_verify is set: anybody can read and answer", who)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST a body, compressed when configured.

        Raises:
            Unreachable: No whole answer.
        """
        sent = dict(headers)
        if self._http.gzip and body:
            body = gzip.compress(body, _FAST, mtime=0)
            sent["Content-Encoding"] = "gzip"
        return self.request("POST", url, body, sent)

    def request(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request as it is; redirects are not followed, credentials would go with them.

        Raises:
            Unreachable: No whole answer.
        """
        session = self._session()
        try:
            with session.request(
                method,
                url,
                data=body,
                headers=dict(headers or {}),
                timeout=(self._http.connect_timeout, self._http.timeout),
                allow_redirects=False,
                stream=True,
                verify=session.verify,  # else REQUESTS_CA_BUNDLE would override it
            ) as reply:
                content = reply.raw.read(_LONGEST_REPLY, decode_content=True)
                return Answer(reply.status_code, reply.headers, content)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(_cause(error)) from error

    def close(self) -> None:
        """Close every thread's connections."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.auth = _no_auth  # else requests would look into ~/.netrc
            session.mount("https://", HTTPAdapter(max_retries=0))
            session.mount("http://", HTTPAdapter(max_retries=0))
            if self._http.proxy is not None:
                session.trust_env = False
                session.proxies = {"http": self._http.proxy, "https": self._http.proxy}
            tls = self._tls
            session.verify = not tls.insecure_skip_verify and (tls.ca_file or True)
            if tls.client_cert is not None:
                session.cert = (
                    (tls.client_cert, tls.client_key) if tls.client_key else tls.client_cert
                )
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _cause(error: BaseException) -> str:
    """The innermost cause in a few words, without the URL (it may hold a secret)."""
    seen: BaseException = error
    while True:
        held = [getattr(seen, "reason", None), seen.__cause__, *seen.args[:1]]
        inner = next((each for each in held if isinstance(each, BaseException)), None)
        if inner is None:
            break
        seen = inner
    if isinstance(seen, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {seen.verify_message}"
    if isinstance(seen, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return "no answer in time"
    text = getattr(seen, "strerror", None)
    return f"{type(seen).__name__}: {text}" if text else type(seen).__name__
