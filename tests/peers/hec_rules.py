"""What Splunk takes, loses and refuses of a request's envelopes; the rules without the server.

Written from the protocol's description, not from our client. What it copies on purpose:

* a closed set of envelope keys: an unknown one answers 200 and loses it and the rest of the
  request in silence (`lost` counts); `fields` without `event` is skipped with 200;
* events before a bad one are indexed; `invalid-event-number` names it, but for a bad index
  (code 7) the one after it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

CODES: dict[int, tuple[int, str]] = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"),
    19: (503, "HEC is unhealthy, ack service unavailable"),
    20: (503, "HEC is unhealthy, queues are full, ack service unavailable"),
    21: (400, "Invalid token"),
    22: (400, "Token disabled"),
    23: (503, "Server is shutting down"),
    24: (200, "Success, queue approaching capacity"),
    25: (200, "Success, ACK channel approaching capacity"),
    26: (429, "Queue at capacity"),
    27: (429, "ACK channel at capacity"),
    28: (400, "Data channel is missing"),
}
KEYS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}
CLOUD_LIMIT = 5_242_881
_BLANK = " \t\r\n"


@dataclass
class Token:
    """What an administrator set for a token."""

    ack: bool = False
    disabled: bool = False
    indexes: tuple[str, ...] = ("main",)


class Index:
    """What was indexed.

    Attributes:
        events: Every envelope that was indexed, in order, unless `fast`.
        count: How many were indexed.
        lost: Envelopes lost in silence, as Splunk does after an unknown key.
        skipped: Envelopes without `event` but with `fields`, skipped in silence.

    Args:
        fast: Count lines, look at nothing else.
    """

    def __init__(self, fast: bool) -> None:
        self.fast = fast
        self.events: list[dict[str, Any]] = []
        self.count = self.lost = self.skipped = 0

    def take(self, body: bytes, token: Token, most: int | None) -> tuple[int, int | None]:
        """Take the events of a body until one is bad; gives code and number."""
        if self.fast:
            self.count += (body.count(b"\n") + 1) if most is None else most
            return 0, None
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return 6, 0
        decoder, place, number = json.JSONDecoder(parse_constant=_refuse), 0, 0
        while most is None or number < most:
            while text[place : place + 1] and text[place] in _BLANK:
                place += 1
            if place >= len(text):
                break
            try:
                envelope, place = decoder.raw_decode(text, place)
            except ValueError:
                return 6, number
            if not isinstance(envelope, dict):
                return 6, number
            if not envelope.keys() <= KEYS:
                self.lost += 1 + _objects(text[place:])
                return 0, None
            code = _judged(envelope, token)
            if code == 7:
                return 7, number + 1
            if code:
                return code, number
            if "event" in envelope:
                self.keep(envelope)
            else:
                self.skipped += 1
            number += 1
        return 0, None

    def keep(self, envelope: dict[str, Any]) -> None:
        self.count += 1
        self.events.append(envelope)


def _judged(envelope: dict[str, Any], token: Token) -> int:
    """The code one envelope of known keys gets."""
    fields = envelope.get("fields")
    if "event" not in envelope:
        return 0 if fields else 12
    event = envelope["event"]
    if event is None or (isinstance(event, str) and not event.strip()) or event == {}:
        return 13
    when = envelope.get("time", 0)
    if isinstance(when, bool) or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(when)):
        return 6
    for name in ("host", "source", "sourcetype", "index"):
        if not isinstance(envelope.get(name, ""), str):
            return 6
    if fields is not None and not _flat(fields):
        return 15
    index = envelope.get("index")
    return 7 if index is not None and token.indexes and index not in token.indexes else 0


def _flat(fields: object) -> bool:
    if not isinstance(fields, dict):
        return False
    values = [
        value for each in fields.values() for value in (each if isinstance(each, list) else [each])
    ]
    return all(isinstance(value, (str, int, float)) for value in values)


def _objects(text: str) -> int:
    decoder, place, number = json.JSONDecoder(), 0, 0
    while text[place:].strip():
        place = len(text) - len(text[place:].lstrip())
        try:
            place = decoder.raw_decode(text, place)[1]
        except ValueError:
            break
        number += 1
    return number


def _refuse(text: str) -> object:
    raise ValueError(text)
