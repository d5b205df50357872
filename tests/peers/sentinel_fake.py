"""A TLS fake of the login service and of the Logs Ingestion API, from sentinel.md section 3.

Strict about what the real service is strict about: bearer, API version, JSON array, declared
columns and their types, sizes on the wire and unpacked, gzip. `script` makes it answer anything.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
import threading
from collections import deque
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import trustme

from datto_siem.converters.schemas import columns
from datto_siem.plugins.sentinel_streams import STREAMS

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
SECRET = "right-secret"  # noqa: S105  not a real one
DCR = "dcr-0123456789abcdef0123456789abcdef"
MOST = 1_048_576
_PATH = re.compile(r"/dataCollectionRules/([^/]+)/streams/([^/]+)").fullmatch
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "long": (int,),
    "real": (int, float),
    "bool": (bool,),
    "boolean": (bool,),
    "dynamic": (dict, list, str, int, float, bool),
    "datetime": (str,),
    "guid": (str,),
}


class SentinelFake:
    """Runs both services on one loopback port while in a `with` block.

    Attributes:
        rows: Stream -> rows taken.
        script: Answers to give next to ingestion requests: (status, headers, body); None: serve.
        logins: Answers to give next to token requests.
        tokens: How many tokens were given.
        valid: Tokens that count now.
        seen: Headers of all ingestion requests.
        half_hours: Whether a request may hold only half an hour of records.
    """

    def __init__(self, folder: Path, fast: bool = False) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.script: deque[tuple[int, dict[str, str], bytes] | None] = deque()
        self.logins: deque[tuple[int, dict[str, str], bytes] | None] = deque()
        self.seen: list[dict[str, str]] = []
        self.valid: set[str] = set()
        self.tokens = 0
        self.lives = 3600
        self.half_hours = False
        self.most = MOST
        self.fast = fast
        self.lock = threading.Lock()
        self.columns = _columns()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self  # type: ignore[attr-defined]
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> SentinelFake:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def taken(self) -> list[dict[str, Any]]:
        """All rows, of all streams."""
        return [row for rows in self.rows.values() for row in rows]

    def ingest(self, path: str, query: str, headers: dict[str, str], wire: bytes) -> _Answer:
        """One ingestion request."""
        with self.lock:
            self.seen.append(headers)
            told = self.script.popleft() if self.script else None
        if told is not None:
            return told
        found = _PATH(path)
        if found is None or found[1] != DCR:
            return _error(404, "NotFound", "no such data collection rule")
        if found[2] not in self.columns:
            return _error(404, "NotFound", "stream not declared")
        if parse_qs(query).get("api-version") != ["2023-01-01"]:
            return _error(400, "UnsupportedApiVersion", query)
        bearer = headers.get("authorization", "")
        if bearer.removeprefix("Bearer ") not in self.valid:
            return _error(401, "InvalidToken", "The given token is invalid.")
        if not headers.get("content-type", "").startswith("application/json"):
            return _error(415, "UnsupportedMediaType", "")
        packed = headers.get("content-encoding") == "gzip"
        try:
            body = gzip.decompress(wire) if packed else wire
        except OSError:
            return _error(400, "InvalidStream", "not gzip")
        if len(body) > self.most or len(wire) > self.most:
            return _error(413, "ContentLengthLimitExceeded", f"Maximum allowed: {self.most} bytes")
        return self._stored(found[2], body)

    def _stored(self, stream: str, body: bytes) -> _Answer:
        try:
            rows = json.loads(body)
        except ValueError:
            return _error(400, "InvalidPayload", "not JSON")
        if not isinstance(rows, list):
            return _error(400, "InvalidPayload", "not an array")
        if not self.fast:
            for row in rows:
                why = self._wrong(stream, row)
                if why:
                    return _error(400, "InvalidRecord", why)
        if self.half_hours and _spread(rows) > 1800:
            return _error(400, "RecordsTimeRangeIsMoreThan30Minutes", "")
        with self.lock:
            self.rows.setdefault(stream, []).extend(rows)
        return 204, {}, b""

    def _wrong(self, stream: str, row: Any) -> str:
        if not isinstance(row, dict):
            return "a row is no object"
        columns = self.columns[stream]
        for name, value in row.items():
            if name not in columns:
                return f"{name} is not declared"
            kinds = _TYPES[columns[name].lower()]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                return f"{name} is {type(value).__name__}, not {columns[name]}"
            if columns[name].lower() == "datetime":
                datetime.fromisoformat(value.replace("Z", "+00:00"))
        return "" if "TimeGenerated" in row else "no TimeGenerated"

    def login(self, path: str, form: dict[str, list[str]]) -> _Answer:
        """One token request."""
        with self.lock:
            told = self.logins.popleft() if self.logins else None
        if told is not None:
            return told
        if path.split("/")[1] != TENANT:
            return 400, {}, b'{"error":"invalid_request"}'
        if form.get("client_id") != [CLIENT]:
            return 400, {}, b'{"error":"unauthorized_client"}'
        if form.get("client_secret") != [SECRET] and "client_assertion" not in form:
            return 401, {}, b'{"error":"invalid_client","error_description":"AADSTS7000215"}'
        if form.get("grant_type") != ["client_credentials"] or "scope" not in form:
            return 400, {}, b'{"error":"invalid_scope"}'
        with self.lock:
            self.tokens += 1
            token = f"token-{self.tokens}"
            self.valid.add(token)
        found = {"token_type": "Bearer", "expires_in": self.lives, "access_token": token}
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()

    def openid(self) -> _Answer:
        """What azure-identity asks before it asks for a token."""
        base = f"{self.url}/{TENANT}/oauth2/v2.0"
        found = {
            "token_endpoint": f"{base}/token",
            "authorization_endpoint": f"{base}/authorize",
            "issuer": f"{self.url}/{TENANT}/v2.0",
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


_Answer = tuple[int, dict[str, str], bytes]


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us hangs up: no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_GET(self) -> None:
        fake: SentinelFake = self.server.fake  # type: ignore[attr-defined]
        known = self.path.endswith("/openid-configuration")
        self._answer(fake.openid() if known else (404, {}, b""))

    def do_POST(self) -> None:
        fake: SentinelFake = self.server.fake  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urlsplit(self.path)
        if asked.path.endswith("/oauth2/v2.0/token"):
            self._answer(fake.login(asked.path, parse_qs(body.decode())))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(fake.ingest(asked.path, asked.query, headers, body))

    def _answer(self, answer: _Answer) -> None:
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _columns() -> dict[str, dict[str, str]]:
    """Stream -> column -> type; `Type` is reserved and never declared."""
    found = {}
    for table, stream in STREAMS.items():
        of = columns().table(table)
        found[stream] = {
            name: told.type for name, told in of.items() if told.physical and name != "Type"
        }
    return found


def _spread(rows: list[dict[str, Any]]) -> float:
    times = [datetime.fromisoformat(row["TimeGenerated"].replace("Z", "+00:00")) for row in rows]
    return (max(times) - min(times)).total_seconds() if times else 0.0


def _error(status: int, code: str, message: str) -> _Answer:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return status, {"x-ms-error-code": code, "Content-Type": "application/json"}, body
