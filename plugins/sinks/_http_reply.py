"""What an HTTP answer means when nothing is known of the server but HTTP itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.sink import TAKEN, Next, Reply, whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datto_siem.plugins.transport import Answer

_BUSY = frozenset([408, 425, 429])
_TOO_LARGE = 413
_REMEDIES = {
    401: "check the token or password",
    402: "the account there does not pay for it",
    403: "check the token, and what it may do",
    404: "check url",
    405: "check url: it takes no POST",
    406: "check url and framing",
    407: "the proxy wants a password: check http.proxy",
    410: "check url: it is gone for good",
    411: "check url and http.proxy",
    415: "check framing and content_type, or set http.gzip = false",
    421: "check url",
    426: "use https:// in url",
}
"""Statuses that no record causes: everything is kept until somebody mends the setting."""
_LONGEST = 200


def judge(answer: Answer, count: int, secrets: Iterable[str], now: float) -> Reply:
    """What became of `count` events.

    A status that a single record may have caused (400, 422 ...) splits the batch: halves of it are
    sent until the record stands alone, and only that one becomes a dead letter.

    Args:
        answer: The answer.
        count: How many events were sent.
        secrets: What must not be shown.
        now: Epoch seconds.
    """
    status = answer.status
    if 200 <= status < 300:
        return TAKEN
    reason = _said(answer, secrets)
    if status in _BUSY or status >= 500:
        return whole(count, Next.RETRY, reason, answer.after(now))
    if status == _TOO_LARGE:
        return whole(count, Next.SPLIT, reason)
    if status < 400:
        return whole(count, Next.HALT, f"{reason}: redirects are not followed, set url to its aim")
    if status in _REMEDIES:
        return whole(count, Next.HALT, f"{reason}: {_REMEDIES[status]}")
    if count == 1:
        return Reply(rejected={0: reason}, reason=reason)
    return whole(count, Next.SPLIT, reason)


def _said(answer: Answer, secrets: Iterable[str]) -> str:
    """The status and the beginning of the body, without secrets the server may have repeated."""
    text = answer.body[:4096].decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, "***")
    text = " ".join(text.split())[:_LONGEST]
    return f"HTTP {answer.status} {text}".rstrip()
