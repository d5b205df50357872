"""One request out and what came back."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from datto_siem.plugins.options import Duration
from datto_siem.plugins.transport import Answer, Http, Tls, Transport, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_795_514_400.0  # 2026-11-24T10:00:00Z


class Echo(BaseHTTPRequestHandler):
    """Answers what its path says and keeps what it was sent."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/ok")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = gzip.compress(b"packed") if self.path == "/gzip" else b"plain"
        self.send_response(503 if self.path == "/busy" else 200)
        if self.path == "/gzip":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as httpd:
        httpd.seen = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}", httpd.seen  # type: ignore[attr-defined]
        finally:
            httpd.shutdown()
            thread.join()


@contextmanager
def transport(**http: Any) -> Iterator[Transport]:
    made = Transport(Tls(), Http(**http), "test")
    try:
        yield made
    finally:
        made.close()


def test_a_body_goes_out_compressed_and_the_answer_comes_back() -> None:
    with server() as (url, seen), transport() as out:
        answer = out.post(f"{url}/ok", b"hello", {"X-One": "1"})
        assert (answer.status, answer.body) == (200, b"plain")
        assert out.post(f"{url}/gzip", b"hello", {}).body == b"packed"
        assert out.post(f"{url}/busy", b"hello", {}).status == 503
    _, headers, body = seen[0]
    assert headers["X-One"] == "1"
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == b"hello"


def test_without_gzip_the_body_goes_as_it_is() -> None:
    with server() as (url, seen), transport(gzip=False) as out:
        out.post(f"{url}/ok", b"hello", {})
    assert seen[0][2] == b"hello"


def test_redirects_are_answers_and_take_no_credential_elsewhere() -> None:
    with server() as (url, seen), transport() as out:
        assert out.post(f"{url}/elsewhere", b"x", {"Authorization": "Splunk t"}).status == 302
    assert len(seen) == 1


def test_netrc_is_not_looked_into(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with server() as (url, seen), transport() as out:
        out.post(f"{url}/ok", b"x", {})
    assert "Authorization" not in seen[0][1]


def test_nobody_there_is_unreachable_and_names_no_url() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/services?token=hush"
        with transport() as out, pytest.raises(Unreachable, match="Connection refused") as caught:
            out.post(url, b"x", {})
    assert "hush" not in str(caught.value)


def test_no_answer_in_time_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        with transport(timeout=Duration(0.1)) as out, pytest.raises(Unreachable, match="in time"):
            out.post(url, b"x", {})


def test_a_cut_answer_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as broken:

        def answer() -> None:
            peer, _ = broken.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{broken.getsockname()[1]}/"
        with transport() as out, pytest.raises(Unreachable):
            out.post(url, b"x", {})
        thread.join()


def test_skipping_verification_warns_at_each_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Transport(Tls(insecure_skip_verify=True), Http(), "splunk").close()
    assert "splunk: insecure_skip_verify is set" in caplog.text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 24 Nov 2026 10:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0.0),
        ("999999999999", 86400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert Answer(429, {"Retry-After": text}, b"").after(NOW) == seconds
