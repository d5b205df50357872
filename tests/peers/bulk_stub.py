"""An Elasticsearch to test against: a real server that knows `_bulk` and as much as `doctor` asks.

Written from the API's description, not from our client; `tests/engines/test_opensearch.py` shows
that Elastic's own client gets along with it. It refuses what a strict server or reader would: a
body without its last line feed, an action other than `create`, a missing `_id`, documents that are
spread over lines, have no `@timestamp` or dotted names.

`fault(...)` scripts what comes instead, `judge` decides on single documents. `fast=True` only
counts lines, for benchmarks. As a program (`python -m peers.bulk_stub` in tests/) it prints its
port and, at the end of standard input, its counts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import socket
import sys
import threading
import time
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

_CREATED = b'{"create":{"status":201}}'


class Request(NamedTuple):
    """A request as it came, its body after decompression."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What to do instead of answering a `_bulk`, once.

    Attributes:
        status: HTTP status; 0: close the connection without an answer.
        body: Body of the answer.
        headers: Header fields of the answer.
        stored: Whether the documents are stored all the same.
        wait: Seconds before the answer; cut short by `close`.
        cut: Send the first byte of the body only, and reset.
        answered: Items in the answer, where the list is to be of a wrong length.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stored: bool = False
    wait: float = 0.0
    cut: bool = False
    answered: int | None = None


def error(kind: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "reason": reason}


def refusal(status: int, kind: str, reason: str) -> bytes:
    return json.dumps({"error": error(kind, reason), "status": status}).encode()


class BulkStub:
    """The server; `with` closes it.

    Attributes:
        documents: Stream -> `_id` -> document.
        requests: Every request.
        judge: Called with (`_id`, document); an item's result instead of storing, or None.
        authorization: The only Authorization header that is let in; None: security is off.
        limit: Most bytes of a body; above it 413.
        knows_require: Whether `require_data_stream` is known.
        objects: Path -> JSON body of what else is there (templates, pipelines); PUT adds to it.
        privileges: What the credential may do.
    """

    def __init__(self, fast: bool = False, port: int = 0) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.judge: Callable[[str, Any], dict[str, Any] | None] = lambda _id, _document: None
        self.authorization: str | None = None
        self.limit = 100_000_000
        self.knows_require = True
        self.objects: dict[str, Any] = {}
        self.privileges = {"auto_configure": True, "create_doc": True}
        self.version: dict[str, Any] = {"number": "8.19.0", "build_flavor": "default"}
        self.fast = fast
        self.counted = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._faults: list[Fault] = []
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def bulks(self) -> list[Request]:
        return [request for request in self.requests if request.path.endswith("/_bulk")]

    def fault(self, *faults: Fault) -> None:
        """Script what the next `_bulk` requests meet, one each."""
        self._faults.extend(faults)

    def next_fault(self) -> Fault | None:
        with self.lock:
            return self._faults.pop(0) if self._faults else None

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> BulkStub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def store(self, stream: str, body: bytes) -> list[dict[str, Any]]:
        """What becomes of each document of a body."""
        lines = body.split(b"\n")
        assert lines.pop() == b"", "The bulk request must be terminated by a newline [\\n]"
        assert len(lines) % 2 == 0, "an action without a document"
        with self.lock:
            pairs = zip(lines[::2], lines[1::2], strict=True)
            return [{"create": self._one(stream, *pair)} for pair in pairs]

    def _one(self, stream: str, action: bytes, line: bytes) -> dict[str, Any]:
        ((name, about),) = json.loads(action).items()
        assert name == "create", "only write ops with an op_type of create are allowed"
        document = json.loads(line)
        _strict(document)
        identity = about["_id"]
        kept = self.documents.setdefault(about.get("_index", stream), {})
        judged = self.judge(identity, document)
        if judged is not None:
            return judged
        if identity in kept:
            kind = "version_conflict_engine_exception"
            return {"status": 409, "error": error(kind, f"[{identity}]: document already exists")}
        kept[identity] = document
        return {"_id": identity, "status": 201, "result": "created"}


def _strict(document: Any) -> None:
    assert isinstance(document, dict)
    assert "@timestamp" in document
    places = [document]
    while places:
        place = places.pop()
        for name, value in place.items():
            assert "." not in name, "dotted names"
            if isinstance(value, dict) and name != "extensions":  # there the vendor's own names are
                places.append(value)


class _Server(ThreadingHTTPServer):
    stub: BulkStub
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: _Server

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(0.5)  # so that an idle connection notices the end

    def handle(self) -> None:
        self.close_connection = False
        while not self.close_connection and not self.server.stub.closing.is_set():
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return
            except TimeoutError:
                continue
            self.connection.settimeout(30)
            self.handle_one_request()
            self.connection.settimeout(0.5)

    def do_GET(self) -> None:
        self._any()

    do_PUT = do_POST = do_HEAD = do_GET

    def _any(self) -> None:
        stub = self.server.stub
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if len(body) > stub.limit:
            self._answer(413, refusal(413, "content_too_large", "too large"))
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body) if not stub.fast else zlib.decompress(body, 31)
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            parse_qs(parts.query),
            {name.title(): value for name, value in self.headers.items()},
            body,
        )
        if not stub.fast:
            stub.requests.append(request)
        if stub.authorization not in (None, self.headers.get("Authorization")):
            body = refusal(401, "security_exception", "unable to authenticate")
            self._answer(401, body, {"WWW-Authenticate": "ApiKey"})
        elif parts.path.endswith("/_bulk"):
            self._bulk(request)
        else:
            self._other(request)

    def _bulk(self, request: Request) -> None:
        stub = self.server.stub
        stream = request.path.split("/")[1]
        if stub.fast:
            count = request.body.count(b"\n") // 2
            with stub.lock:
                stub.counted += count
            items = b",".join([_CREATED] * count)
            self._answer(200, b'{"errors":false,"items":[%s]}' % items)
            return
        if "require_data_stream" in request.query and not stub.knows_require:
            reason = "request [/_bulk] contains unrecognized parameter: [require_data_stream]"
            self._answer(400, refusal(400, "illegal_argument_exception", reason))
            return
        fault = stub.next_fault()
        if fault is not None:
            self._fail(fault, stream, request.body)
            return
        try:
            assert request.headers.get("Content-Type", "").startswith(
                ("application/x-ndjson", "application/vnd.elasticsearch+x-ndjson")
            ), "Content-Type header is not supported"
            items = stub.store(stream, request.body)
        except (AssertionError, ValueError, KeyError) as wrong:
            self._answer(400, refusal(400, "illegal_argument_exception", repr(wrong)))
            return
        failed = any(item["create"]["status"] >= 400 for item in items)
        self._answer(200, json.dumps({"errors": failed, "took": 1, "items": items}).encode())

    def _fail(self, fault: Fault, stream: str, body: bytes) -> None:
        stub = self.server.stub
        items = stub.store(stream, body) if fault.stored else []
        stub.closing.wait(fault.wait)
        if fault.status == 0:
            self.close_connection = True
            return
        content = fault.body
        if fault.answered is not None:
            content = json.dumps({"errors": False, "items": items[: fault.answered]}).encode()
        self._answer(fault.status, content, fault.headers, fault.cut)

    def _other(self, request: Request) -> None:
        stub, path = self.server.stub, request.path
        if request.method == "PUT":
            stub.objects[path] = json.loads(request.body or b"{}")
            self._answer(200, b'{"acknowledged":true}')
        elif path == "/":
            about = {"name": "stub", "version": stub.version, "tagline": "You Know, for Search"}
            self._answer(200, json.dumps(about).encode())
        elif path == "/_security/_authenticate" and stub.authorization is not None:
            self._answer(200, b'{"username":"shipper"}')
        elif path == "/_security/user/_has_privileges" and stub.authorization is not None:
            (asked,) = json.loads(request.body)["index"]
            has = {
                name: {each: stub.privileges.get(each, False) for each in asked["privileges"]}
                for name in asked["names"]
            }
            self._answer(200, json.dumps({"index": has}).encode())
        elif path in stub.objects:
            self._answer(200, json.dumps(stub.objects[path]).encode())
        elif path == "/_index_template":
            self._answer(200, b'{"index_templates":[]}')
        elif path.startswith(("/_security", "/_plugins")):
            self._answer(400, refusal(400, "illegal_argument_exception", "no handler found"))
        else:
            self._answer(404, refusal(404, "resource_not_found_exception", "not there"))

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:1] if cut else body)
        if cut:
            self.close_connection = True
            self.connection.setsockopt(  # reset instead of an orderly end
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fast", action="store_true")
    given = parser.parse_args()
    with BulkStub(fast=given.fast, port=given.port) as stub:
        print(stub.url, flush=True)  # noqa: T201
        began = time.monotonic()
        sys.stdin.read()
        seconds = round(time.monotonic() - began, 1)
        kept = stub.counted or sum(len(each) for each in stub.documents.values())
        print(json.dumps({"documents": kept, "seconds": seconds}))  # noqa: T201


if __name__ == "__main__":
    main()
