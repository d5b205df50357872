"""A real OpenSearch node for tests: started, killed, started again, ended with the tests."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engine import ENGINES, needed

if TYPE_CHECKING:
    from collections.abc import Iterator

_JARS = ENGINES / "opensearch" / "2.19.1.0"
_LAUNCHER = Path(__file__).with_name("Launcher.java")
_PATIENCE = 180.0


class Node:
    """One node on loopback with a directory of its own."""

    jars = _JARS
    launcher = _LAUNCHER

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @classmethod
    def present(cls) -> bool:
        """Whether there is a JDK and the product's jars."""
        return shutil.which("javac") is not None and cls.jars.is_dir()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, on the port of before where it was started before, and wait until it answers."""
        again = self._port != 0
        if not again:
            self._compile()
        for _ in range(3):  # a port found free may be taken before the node binds it
            if not again:
                self._port = _free_port()
            if self._started():
                return
        raise AssertionError(f"no OpenSearch node came up:\n{self._told()}")

    @property
    def _classes(self) -> Path:
        return self._directory / "classes"

    def _compile(self) -> None:
        """The launcher and what it shares with the other product's: `java` takes one file only."""
        done = subprocess.run(  # noqa: S603
            [
                shutil.which("javac") or "javac", "-d", str(self._classes), "-cp",
                f"{self.jars}/*", "-sourcepath", str(self.launcher.parent), str(self.launcher),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _started(self) -> bool:
        log = (self._directory / "node.log").open("ab")
        with log:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    shutil.which("java") or "java",
                    "-Xms512m", "-Xmx1g", "-XX:+UseSerialGC",
                    "-cp", f"{self._classes}:{self.jars}/*",
                    self.launcher.stem, str(self._port), str(_free_port()),
                    str(self._directory / "node"),
                ],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                status, _ = self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=5s")
            except OSError:
                time.sleep(0.1)
                continue
            if status == 200:
                return True
        self.kill()
        return False

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None

    def ask(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """One JSON request by other code than the sink's."""
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310  http:// on loopback
            self.url + path, body, {"Content-Type": "application/json"}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def documents(self, stream: str) -> dict[str, Any]:
        """Everything in a stream by `_id`; fails when an id is there twice."""
        self.ask("POST", f"/{stream}/_refresh")
        found: dict[str, Any] = {}
        after: list[Any] = []
        while True:
            query: dict[str, Any] = {"size": 5000, "sort": [{"_doc": "asc"}]}
            if after:
                query["search_after"] = after
            status, answer = self.ask("POST", f"/{stream}/_search", query)
            assert status == 200, answer
            hits = answer["hits"]["hits"]
            if not hits:
                return found
            for hit in hits:
                assert hit["_id"] not in found
                found[hit["_id"]] = hit["_source"]
            after = hits[-1]["sort"]

    def _told(self) -> str:
        return (self._directory / "node.log").read_text(errors="replace")[-3000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session", name="node")
def running() -> Iterator[Node]:
    """One node for all tests of the session."""
    needed(Node.present(), "OpenSearch (.ci/engines/opensearch)")
    with tempfile.TemporaryDirectory(prefix="opensearch-", ignore_cleanup_errors=True) as directory:
        made = Node(Path(directory))
        try:
            made.start()
            yield made
        finally:
            made.kill()
