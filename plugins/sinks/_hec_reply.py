"""What a HEC answer means: code, HTTP status and event number to a `Reply`.

Owns the table of codes. Making the request, and acknowledgement, are the sink's.

A code is believed before its text and before the HTTP status; an answer without one (a proxy's
page, a load balancer's) is judged by the status. Only what Splunk calls a success is one: a page
that comes with 200 has indexed nothing.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from datto_siem.plugins.sink import Next, Reply, whole

if TYPE_CHECKING:
    from datto_siem.plugins.transport import Answer

LARGE = 65_536
"""Above so many bytes, code 6 at the first event may be about the size (Splunk Cloud, 5 MiB)."""
_LONGEST_TEXT = 200


class Do(Enum):
    """What a code asks for."""

    TAKEN = auto()
    SLOW = auto()
    RETRY = auto()
    RESUME = auto()
    HALT = auto()
    INDEX = auto()
    EVENT = auto()
    SPLIT = auto()


class Meaning(NamedTuple):
    """A row of the table: what to do, and what somebody has to mend."""

    do: Do
    advice: str = ""


_GRANT = "check the token and that HEC is enabled (Settings, Data inputs, HTTP Event Collector)"
_ENABLE = "enable the token (Settings, Data inputs, HTTP Event Collector)"
_CHANNEL = "the channel header was lost or changed on the way: look at proxies and load balancers"
_PATH = "check url: it is the base, such as https://splunk.example.com:8088"
_INDEX = "create the index, or allow it for the token"

CODES: dict[int, Meaning] = {
    0: Meaning(Do.TAKEN),
    1: Meaning(Do.HALT, _ENABLE),
    2: Meaning(Do.HALT, "the Authorization header was lost on the way: look at proxies"),
    3: Meaning(Do.HALT, _GRANT),
    4: Meaning(Do.HALT, _GRANT),
    5: Meaning(Do.SPLIT),
    6: Meaning(Do.EVENT),
    7: Meaning(Do.INDEX, _INDEX),
    8: Meaning(Do.RETRY),
    9: Meaning(Do.RESUME),
    10: Meaning(Do.HALT, _CHANNEL),
    11: Meaning(Do.HALT, _CHANNEL),
    12: Meaning(Do.EVENT),
    13: Meaning(Do.EVENT),
    14: Meaning(Do.HALT, "enable indexer acknowledgement for the token, or set ack = off"),
    15: Meaning(Do.EVENT),
    16: Meaning(Do.HALT, "the Authorization header was lost on the way: look at proxies"),
    17: Meaning(Do.TAKEN),
    18: Meaning(Do.RETRY),
    19: Meaning(Do.RETRY),
    20: Meaning(Do.RETRY),
    21: Meaning(Do.HALT, _GRANT),
    22: Meaning(Do.HALT, _ENABLE),
    23: Meaning(Do.RETRY),
    24: Meaning(Do.SLOW),
    25: Meaning(Do.SLOW),
    26: Meaning(Do.RETRY),
    27: Meaning(Do.RETRY),
    28: Meaning(Do.HALT, _CHANNEL),
}
CHANNEL_FULL = 27
ACK_DISABLED = 14
NO_DATA = 5

_STATUSES: dict[int, Meaning] = {
    401: Meaning(Do.HALT, _GRANT),
    403: Meaning(Do.HALT, _GRANT),
    404: Meaning(Do.HALT, _PATH),
    405: Meaning(Do.HALT, _PATH),
    407: Meaning(Do.HALT, "the proxy wants credentials: put them into http.proxy or pass it by"),
    408: Meaning(Do.RETRY),
    413: Meaning(Do.SPLIT),
    415: Meaning(
        Do.HALT, "set http.gzip = false: something on the way takes no compressed requests"
    ),
    429: Meaning(Do.RETRY),
}


class Said(NamedTuple):
    """A HEC answer, read.

    Attributes:
        status: HTTP status.
        code: HEC code, or None when the body is no HEC answer.
        number: `invalid-event-number`, or None.
        ack: `ackId`, or None.
        text: What it said, short, without the token.
        after: Seconds it asked to wait, or None.
    """

    status: int
    code: int | None
    number: int | None
    ack: int | None
    text: str
    after: float | None

    @property
    def meaning(self) -> Meaning:
        """What to do, by the code or else the status."""
        good = 200 <= self.status < 300
        known = CODES.get(-1 if self.code is None else self.code)
        if known is not None and (good or known.do not in (Do.TAKEN, Do.SLOW)):
            return known
        if good:
            return Meaning(Do.HALT, _PATH) if self.code is None else Meaning(Do.TAKEN)
        if 300 <= self.status < 400:
            return Meaning(Do.HALT, f"redirects are not followed; {_PATH}")
        other = Meaning(Do.SPLIT) if 400 <= self.status < 500 else Meaning(Do.RETRY)
        return _STATUSES.get(self.status, other)

    @property
    def reason(self) -> str:
        """For logs and status: what it said and what to do."""
        advice = self.meaning.advice
        return f"{self.text}: {advice}" if advice else self.text


def read(answer: Answer, token: str, now: float) -> Said:
    """Read an answer, whatever it holds.

    Args:
        answer: What came back.
        token: To be kept out of the text, should the server repeat it.
        now: Epoch seconds.
    """
    body = loaded(answer.body)
    code = _number(body, "code")
    if code is None:
        kind = answer.headers.get("Content-Type", "no content type")
        text = f"HTTP {answer.status} that is no HEC answer ({kind})"
    else:
        text = f"HTTP {answer.status}, HEC code {code}, {body.get('text')}"
    return Said(
        answer.status,
        code,
        _number(body, "invalid-event-number"),
        _number(body, "ackId"),
        text.replace(token, "[token]")[:_LONGEST_TEXT],
        answer.after(now),
    )


def loaded(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; empty when it holds none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def judge(said: Said, count: int, nbytes: int) -> Reply:
    """What became of the items of a request.

    Args:
        said: The answer.
        count: How many items were sent.
        nbytes: Size of the request before compression.
    """
    do, reason = said.meaning.do, said.reason
    number = said.number
    if do is Do.TAKEN:
        return Reply()
    if do is Do.SLOW:
        return Reply(slow=True, reason=reason, after=said.after)
    if do is Do.HALT:
        return whole(count, Next.HALT, reason, said.after)
    if do is Do.INDEX:  # it counts one too far: the event before `number` has the bad index
        start = number - 1 if number is not None and 1 <= number <= count else 0
        return Reply(range(start, count), Next.HALT, reason=reason, after=said.after)
    if do in (Do.RETRY, Do.RESUME):
        start = number if do is Do.RESUME and number is not None and 0 <= number < count else 0
        return Reply(range(start, count), Next.RETRY, reason=reason, after=said.after)
    if do is Do.EVENT and number is not None and 0 <= number < count:
        sized = said.code == 6 and number == 0 and nbytes > LARGE
        if not sized or count == 1:
            return _without(number, count, reason)
    if count > 1:
        return whole(count, Next.SPLIT, reason, said.after)
    return Reply(rejected={0: reason}, reason=reason)


def _without(number: int, count: int, reason: str) -> Reply:
    """Events before `number` are indexed, it never will be, those after it were not looked at."""
    left = range(number + 1, count)
    return Reply(left, Next.AGAIN, rejected={number: reason}, reason=reason)


def _number(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
