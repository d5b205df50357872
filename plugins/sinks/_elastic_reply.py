"""What a `_bulk` answer means: item by item, by position, or as a whole. No request is made here.

The table is the one of Elastic's own shippers, except where those lose data: a missing stream, a
missing pipeline or a refused credential halts and keeps everything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from datto_siem.plugins.sink import TAKEN, Next, Reply, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.transport import Answer

_LONGEST = 500
_CONFLICT = 409
_TOO_MANY = 429
_TOO_LARGE = 413
_BAD = 400
_HALTING = frozenset({401, 403, 404})
_TYPES = frozenset(  # a 400 that is about the cluster or the name, not about the document
    {
        "index_closed_exception",
        "invalid_index_name_exception",
        "security_exception",
        "validation_exception",  # the cluster has as many shards as it may
    }
)
_PIPELINE = re.compile(r"pipeline with id \[[^\]]*\] does not exist")
REMEDIES = {
    400: "see the cluster's log; nothing is lost",
    401: "check api_key, or username and password",
    403: "give the credential auto_configure and create_doc on the data stream; or lift the block",
    404: "install an index template with a data_stream for it (install_template = true)",
}


def read(answer: Answer, count: int, now: float) -> Reply:
    """The reply for a request of `count` items.

    Args:
        answer: What the server answered.
        count: How many items were sent.
        now: Epoch seconds, for a Retry-After that is a date.
    """
    status = answer.status
    if status in (200, 201):
        return _items(answer.body, count)
    reason = f"{status} {said(answer.body)}".rstrip()
    if status == _TOO_LARGE:
        return whole(count, Next.SPLIT, reason)
    if status in (408, 425, _TOO_MANY) or status >= 500:
        return whole(count, Next.RETRY, reason, answer.after(now))
    error = _error(answer.body)
    if status == _BAD and error and not _of_the_cluster(error):
        return whole(count, Next.SPLIT, reason)
    if 300 <= status < 400:
        return whole(count, Next.HALT, f"{reason}: redirects are not followed: name the right URL")
    if status == _BAD and not error:
        return whole(count, Next.HALT, f"{reason}: something before the cluster refuses requests")
    return whole(count, Next.HALT, f"{reason}: {REMEDIES.get(status, REMEDIES[400])}")


def said(body: bytes) -> str:
    """An error's type and reason in a line; "" when the body holds none."""
    return _told(_error(body))


def unknown_parameter(answer: Answer, name: str) -> bool:
    """Whether a server refused a request because it does not know a parameter."""
    if answer.status != _BAD:
        return False
    reason = _error(answer.body).get("reason")
    return isinstance(reason, str) and f"unrecognized parameter: [{name}]" in reason


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object; an empty one when the body is none."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _items(body: bytes, count: int) -> Reply:
    content = parsed(body)
    items = content.get("items")
    if not isinstance(items, list) or len(items) != count:
        got = len(items) if isinstance(items, list) else "no"
        return whole(count, Next.RETRY, f"answer with {got} items for {count}")
    left, rejected, reason = [], {}, ""
    halted, diverted = False, 0
    for at, item in enumerate(items):
        result = _result(item)
        status = result.get("status")
        if status in (200, 201, _CONFLICT):
            diverted += result.get("failure_store") == "used"
            continue
        error = _as_error(result.get("error"))
        text = f"{status} {_told(error)}".rstrip()
        if not isinstance(status, int) or status == _TOO_MANY or status >= 500 or status < _BAD:
            left.append(at)
        elif status in _HALTING or _of_the_cluster(error):
            left.append(at)
            if not halted:
                reason = f"{text}: {REMEDIES.get(status, REMEDIES[400])}"
            halted = True
        else:
            rejected[at] = text
            continue
        reason = reason or text
    if not (left or rejected or diverted):
        return TAKEN
    then = Next.HALT if halted else Next.RETRY
    reason = reason or next(iter(rejected.values()), "")
    return Reply(left, then, rejected, reason=reason, diverted=diverted)


def _result(item: Any) -> Mapping[str, Any]:
    """What became of one item, whatever its action is called."""
    if isinstance(item, dict):
        for result in item.values():
            if isinstance(result, dict):
                return result
    return {}


def _error(body: bytes) -> Mapping[str, Any]:
    return _as_error(parsed(body).get("error"))


def _as_error(error: Any) -> Mapping[str, Any]:
    if isinstance(error, dict):
        return error
    return {"reason": error} if isinstance(error, str) and error else {}


def _told(error: Mapping[str, Any]) -> str:
    parts = [str(error[key]) for key in ("type", "reason") if error.get(key)]
    cause = error.get("caused_by")
    if isinstance(cause, dict) and cause.get("reason"):
        parts.append(str(cause["reason"]))
    return ": ".join(parts)[:_LONGEST]


def _of_the_cluster(error: Mapping[str, Any]) -> bool:
    if error.get("type") in _TYPES:
        return True
    return _PIPELINE.fullmatch(str(error.get("reason", ""))) is not None
