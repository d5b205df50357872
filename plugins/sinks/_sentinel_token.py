"""Access tokens for the Logs Ingestion API: fetched once for all threads, renewed before they end.

By client secret with our own request; every other credential by azure-identity (extra `azure`).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import orjson

from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.transport import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.secret import Secret
    from datto_siem.plugins.transport import Transport

_EARLY = 300.0  # seconds before its end that a token is renewed
_SAFE = "abcdefghijklmnopqrstuvwxyz_"


class Refused(Exception):
    """No token for this credential; somebody must mend it. Holds what to do, no secret."""


class Fetch(Protocol):
    """Gets a token from whoever gives them."""

    def __call__(self) -> tuple[str, float]:
        """A token and the seconds it lives.

        Raises:
            Refused: The credential is wrong.
            Unreachable: Nobody answered, or not now.
        """


class Tokens:
    """The current token; one thread fetches, the others wait for it.

    Args:
        fetch: Gets a new token.
        clock: Monotonic seconds.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is fetched yet."""
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0

    def get(self) -> str:
        """The token, fetched when there is none or it ends soon.

        Raises:
            Refused: See `Fetch`.
            Unreachable: See `Fetch`.
        """
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                token, lives = self._fetch()
                # a token that lives for less than the margin is used for half its life
                self._ends = self._clock() + max(lives - _EARLY, lives / 2)
                self._token = token
            return self._token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless another thread has renewed it already."""
        with self._lock:
            if self._token == token:
                self._token = ""


class BySecret:
    """Client credentials with a secret: one form to the tenant's token endpoint.

    Args:
        transport: Makes the request.
        login: Base of the login service, such as `https://login.microsoftonline.com`.
        tenant: Directory (tenant) id or name.
        client: Application (client) id.
        secret: Its secret.
        scope: What the token is for.
    """

    def __init__(
        self, transport: Transport, login: str, tenant: str, client: str, secret: Secret, scope: str
    ) -> None:
        """Keep the names; the secret is read at each fetch."""
        self._transport, self._secret = transport, secret
        self._url = f"{login.rstrip('/')}/{tenant}/oauth2/v2.0/token"
        self._form = {"grant_type": "client_credentials", "client_id": client, "scope": scope}

    def __call__(self) -> tuple[str, float]:
        """See `Fetch`."""
        try:
            form = urlencode({**self._form, "client_secret": self._secret.value()}).encode()
        except SecretMissing as error:
            raise Refused(str(error)) from error
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = self._transport.request("POST", self._url, form, kind)
        found = _object(answer.body)
        if answer.status == 200:
            token, lives = found.get("access_token"), found.get("expires_in")
            if isinstance(token, str) and token.isascii() and token.isprintable() and token:
                return token, float(lives) if isinstance(lives, (int, float)) else 3600.0
            raise Unreachable("the login service answered without a token")
        if answer.status in (408, 429) or answer.status >= 500:
            raise Unreachable(f"the login service answered {answer.status}")
        raise Refused(
            f"the login service refused ({answer.status} {_code(found)}): {_remedy(found)}"
        )


class ByIdentity:
    """Any credential of azure-identity: managed or workload identity, certificate, Arc.

    Args:
        credential: An azure-identity credential.
        scope: What the token is for.
        clock: Epoch seconds.
    """

    def __init__(self, credential: Any, scope: str, clock: Callable[[], float] = time.time) -> None:
        """Nothing is fetched yet."""
        self._credential, self._scope, self._clock = credential, scope, clock

    def __call__(self) -> tuple[str, float]:
        """See `Fetch`."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            token = self._credential.get_token(self._scope)
        except ClientAuthenticationError as error:
            raise Refused(f"azure-identity got no token ({type(error).__name__})") from error
        except AzureError as error:
            raise Unreachable(f"azure-identity: {type(error).__name__}") from error
        return token.token, token.expires_on - self._clock()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _code(found: dict[str, Any]) -> str:
    """The error's name from a closed alphabet; descriptions may echo what was sent."""
    return "".join(letter for letter in str(found.get("error", ""))[:40] if letter in _SAFE)


def _remedy(found: dict[str, Any]) -> str:
    return {
        "invalid_client": "make a new client secret in the app registration and set it",
        "unauthorized_client": "client_id is not an application of this tenant",
        "invalid_request": "tenant or client_id is misspelt",
        "invalid_scope": "cloud does not fit this tenant",
    }.get(_code(found), "check tenant, client_id and the secret")
