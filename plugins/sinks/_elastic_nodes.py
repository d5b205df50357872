"""The nodes of a cluster as one: credentials, and the next node when one is away."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import orjson

from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.transport import Transport, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.secret import Secret
    from datto_siem.plugins.sinks.elasticsearch import Config
    from datto_siem.plugins.transport import Answer

_AWAY = frozenset({502, 503, 504})


class Nodes:
    """Makes requests; safe to share between threads.

    Requests go to one node until it is away; the caller repeats nothing that must not be repeated.
    """

    def __init__(self, config: Config, who: str) -> None:
        """Prepare; connects to nothing yet."""
        self.urls = [url.rstrip("/") for url in config.urls]
        self._config = config
        self._transport = Transport(config.tls, config.http, who)
        self._at = 0

    def bulk(self, path: str, body: bytes) -> Answer:
        """Post NDJSON to the first node that answers.

        Raises:
            Unreachable: No node gave a whole answer.
            SecretMissing: The credential cannot be read, or cannot be one.
        """
        headers = {"Content-Type": "application/x-ndjson", **self._credential()}
        return self._first(lambda url: self._transport.post(url + path, body, headers))

    def ask(
        self, method: str, path: str, content: object = None, node: str | None = None
    ) -> Answer:
        """Make a small JSON request, to one node or to the first that answers.

        Raises:
            Unreachable: No node gave a whole answer.
            SecretMissing: The credential cannot be read, or cannot be one.
        """
        headers = self._credential()
        body = None
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = orjson.dumps(content)
        if node is not None:
            return self._transport.request(method, node + path, body, headers)
        return self._first(lambda url: self._transport.request(method, url + path, body, headers))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _first(self, make: Callable[[str], Answer]) -> Answer:
        start, count = self._at, len(self.urls)
        outcome: Answer | Unreachable = Unreachable("no node")
        for turn in range(count):
            at = (start + turn) % count
            try:
                outcome = make(self.urls[at])
            except Unreachable as error:
                outcome = error
                continue
            if outcome.status not in _AWAY:
                self._at = at
                return outcome
        self._at = (start + 1) % count
        if isinstance(outcome, Unreachable):
            raise outcome
        return outcome

    def _credential(self) -> dict[str, str]:
        config = self._config
        if config.api_key is not None:
            key = _plain(config.api_key, "api_key")
            if ":" in key:  # id:key, as Beats take it; else it is encoded already
                key = base64.b64encode(key.encode()).decode()
            return {"Authorization": f"ApiKey {key}"}
        if config.username is not None and config.password is not None:
            pair = f"{config.username}:{config.password.value()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}


def _plain(secret: Secret, name: str) -> str:
    """A secret that may stand in a header."""
    value = secret.value()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SecretMissing(f"{name} holds characters that no API key has: set it anew")
    return value
