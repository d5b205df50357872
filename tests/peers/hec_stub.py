"""A Splunk HTTP Event Collector to test against: a real server, as strict as the protocol is known.

`hec_rules` says what becomes of envelopes; this owns tokens, channels, acknowledgements and HTTP.
Written from the protocol's description, not from our client; `tests/engines/test_hec_clients.py`
shows that foreign clients get along with it. Acknowledgement ids count from 0 in each channel,
another channel sees false, true is said once. Splunk Cloud refuses more than 5 MiB as code 6 at
event 0, Enterprise by 413.

`fault(...)` scripts what comes instead. `fast=True` only counts lines, for benchmarks.
As a program (`python -m peers.hec_stub` in tests/) it prints its port and, at the end of standard
input, its counts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import socket
import sys
import threading
import time
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from peers.hec_rules import CLOUD_LIMIT, CODES, KEYS, Index, Token

if TYPE_CHECKING:
    import ssl

HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
TOKEN = "11111111-2222-3333-4444-555555555555"  # noqa: S105  of this stub only
_COLLECTOR = "/services/collector"
_ENDPOINTS = {
    _COLLECTOR: "event",
    **{
        f"{_COLLECTOR}/{kind}{version}": kind
        for kind in ("event", "raw", "ack", "health")
        for version in ("", "/1.0")
    },
}
_CHANNEL = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}").fullmatch


class Request(NamedTuple):
    """A request as it came, its body after decompression."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Fault:
    """What to do instead of answering, once.

    Attributes:
        status: HTTP status; 0: close the connection without an answer.
        body: Body of the answer.
        headers: Header fields of the answer.
        take: So many events of the request are indexed all the same; None: all of them.
        wait: Seconds before the answer.
        cut: Leave the answer's body away but for its first byte, and close.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    take: int | None = 0
    wait: float = 0.0
    cut: bool = False


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class HecStub(Index):
    """The server; a context manager.

    Attributes:
        requests: Every request, unless `fast`.
        connections: How many were opened.

    Args:
        tokens: Token -> what is set for it.
        cloud: Refuse by size, and ask for the channel, as Splunk Cloud does.
        limit: Largest body, uncompressed; None: 5 MiB in the cloud, 800 MiB elsewhere.
        ack_polls: How often an acknowledgement is asked for in vain.
        sticky: Acknowledge only where the cookie says the events went, like a load balancer.
        tls: Context to serve HTTPS with.
        fast: Count lines, look at nothing else.
        port: Port on loopback; 0: any.
    """

    def __init__(
        self,
        tokens: dict[str, Token] | None = None,
        *,
        cloud: bool = True,
        limit: int | None = None,
        ack_polls: int = 0,
        sticky: bool = False,
        tls: ssl.SSLContext | None = None,
        fast: bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(fast)
        self.tokens = {TOKEN: Token()} if tokens is None else tokens
        self.cloud = cloud
        self.limit = limit or (CLOUD_LIMIT if cloud else 838_860_800)
        self.ack_polls, self.sticky = ack_polls, sticky
        self.requests: list[Request] = []
        self.connections = self.served = 0
        self.lock = threading.Lock()
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._next_ack: dict[str, int] = defaultdict(int)
        self._pending: dict[tuple[str, str, int], int] = {}
        self._server = _Server(("127.0.0.1", port), self, tls)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> HecStub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.end()
        self._server.server_close()
        self._thread.join()

    def fault(self, what: int | Fault, number: int | None = None, on: str = "event") -> None:
        """Script an answer, used once, after those scripted before.

        Args:
            what: A HEC code, answered with its status and text, or a whole fault.
            number: `invalid-event-number` of a code; the events before it are indexed (for
                code 7 one less).
            on: The endpoint: `event`, `raw`, `ack` or `health`.
        """
        if isinstance(what, int):
            take = max(0, (number or 0) - (what == 7)) if CODES[what][0] != 200 else None
            status, body = _said(what, number)
            what = Fault(status, body, {"Content-Type": "application/json"}, take)
        self._faults[on].append(what)

    def answer(self, request: Request) -> _Answer | Fault:
        """What a request gets."""
        if request.method == "OPTIONS":
            return _Answer(200, b"", {})
        path = request.path
        kind = _ENDPOINTS.get(path)
        if kind is None:
            return _plain(404, "The requested URL was not found on this server.")
        if request.method != ("GET" if kind == "health" else "POST"):
            return _plain(405, "The method is not allowed for the requested URL.")
        with self.lock:
            if self._faults[kind]:
                fault = self._faults[kind].pop(0)
                if kind == "event" and fault.take != 0:
                    self.take(request.body, Token(indexes=()), fault.take)
                return fault
            if kind == "health":
                return _answer(17)
            return self._authorized(request, kind)

    def _authorized(self, request: Request, kind: str) -> _Answer:
        given = request.headers.get("authorization")
        if given is None:
            return _answer(16 if "token" in request.query else 2)
        if not given.startswith("Splunk "):
            return _answer(3)
        token = self.tokens.get(given.removeprefix("Splunk ").strip())
        if token is None:
            return _answer(4)
        if token.disabled:
            return _answer(1)
        channel = request.headers.get("x-splunk-request-channel")
        channel = channel or request.query.get("channel", [None])[0]
        if channel is None and (token.ack or kind in ("raw", "ack")):
            return _answer(28 if self.cloud else 10)
        if channel is not None and not _CHANNEL(channel):
            return _answer(11)
        node = self._node(request)
        if kind == "ack":
            return self._acknowledge(request, token, channel or "", node)
        if len(request.body) > self.limit:
            return (
                _answer(6, 0) if self.cloud else _Answer(413, HTML, {"Content-Type": "text/html"})
            )
        if not request.body.strip():
            return _answer(5)
        code, number = self._take(request, token, kind)
        ack = None
        if code == 0 and token.ack and channel is not None:
            ack = self._next_ack[channel]
            self._next_ack[channel] += 1
            self._pending[channel, node, ack] = self.ack_polls
        answer = _answer(code, number, ack)
        return answer._replace(headers={**answer.headers, "Set-Cookie": f"node={node}; Path=/"})

    def _node(self, request: Request) -> str:
        """The indexer behind the load balancer that a request reaches."""
        if not self.sticky:
            return "0"
        found = re.search(r"node=([0-9]+)", request.headers.get("cookie", ""))
        return found[1] if found else str(len(self.requests))

    def _take(self, request: Request, token: Token, kind: str) -> tuple[int, int | None]:
        if kind == "event":
            return self.take(request.body, token, None)
        for line in request.body.decode("utf-8", "replace").splitlines():
            if line.strip():
                about = {key: value[0] for key, value in request.query.items() if key in KEYS}
                self.keep({**about, "event": line})
        return 0, None

    def _acknowledge(self, request: Request, token: Token, channel: str, node: str) -> _Answer:
        if not token.ack:
            return _answer(14)
        try:
            asked = json.loads(request.body)["acks"]
            assert all(type(number) is int for number in asked)
        except (ValueError, LookupError, TypeError, AssertionError):
            return _answer(6)
        said = {}
        for number in asked:
            left = self._pending.get((channel, node, number))
            said[str(number)] = left == 0
            if left == 0:
                del self._pending[channel, node, number]
            elif left is not None:
                self._pending[channel, node, number] = left - 1
        return _Answer(200, json.dumps({"acks": said}).encode(), {})


def _said(code: int, number: int | None = None, ack: int | None = None) -> tuple[int, bytes]:
    status, text = CODES[code]
    body: dict[str, Any] = {"text": text, "code": code}
    if number is not None:
        body["invalid-event-number"] = number
    if ack is not None:
        body["ackId"] = ack
    return status, json.dumps(body).encode()


def _answer(code: int, number: int | None = None, ack: int | None = None) -> _Answer:
    return _Answer(*_said(code, number, ack), {"Content-Type": "application/json"})


def _plain(status: int, text: str) -> _Answer:
    body = json.dumps({"text": text, "code": status}).encode()
    return _Answer(status, body, {"Content-Type": "application/json"})


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], stub: HecStub, tls: ssl.SSLContext | None) -> None:
        self.stub, self.tls = stub, tls
        self.open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.stub.lock:
            self.stub.connections += 1
            self.open.add(connection)
        return connection, peer

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.stub.lock:
            self.open.discard(request)
        with self.tls.wrap_socket(request, server_side=True) as secure:
            with self.stub.lock:
                self.open.add(secure)
            try:
                super().finish_request(secure, client_address)
            finally:
                with self.stub.lock:
                    self.open.discard(secure)

    def shutdown_request(self, request: Any) -> None:
        with self.stub.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        """Wake every handler that waits for a next request."""
        with self.stub.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that break off or refuse our certificate are part of the tests."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_OPTIONS(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        stub = self.server.stub
        body = self._body()
        coding = self.headers.get("Content-Encoding", "identity")
        if coding == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                self._reply(_answer(6, 0))
                return
        elif coding != "identity":
            self._reply(_Answer(415, HTML, {"Content-Type": "text/html"}))
            return
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(parts.query)
        request = Request(self.command, parts.path, query, headers, body, self.client_address[1])
        with stub.lock:
            stub.served += 1
            if not stub.fast:
                stub.requests.append(request)
        answer = stub.answer(request)
        if isinstance(answer, Fault):
            self._fail(answer)
        else:
            self._reply(answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fail(self, fault: Fault) -> None:
        time.sleep(fault.wait)
        if not fault.status:
            self.close_connection = True
            return
        self._reply(_Answer(fault.status, fault.body, fault.headers), fault.cut)

    def _reply(self, answer: _Answer, cut: bool = False) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[:1] if cut else answer.body)
        self.wfile.flush()
        if cut:
            self.close_connection = True


def main() -> None:
    """Serve until standard input ends; print the port first and the counts last."""
    parser = argparse.ArgumentParser(description="A HEC to test against")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--ack", action="store_true", help="the token has useACK")
    parser.add_argument("--fast", action="store_true", help="count lines, check nothing")
    args = parser.parse_args()
    tokens = {args.token: Token(ack=args.ack, indexes=())}
    with HecStub(tokens, fast=args.fast, port=args.port) as stub:
        print(stub.port, flush=True)  # noqa: T201
        sys.stdin.read()
        counts = {"events": stub.count, "lost": stub.lost, "requests": stub.served}
        print(json.dumps(counts), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
