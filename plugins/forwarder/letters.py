"""Dead letters as lines of JSON, and what a place to keep them is."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from datto_siem.converters.identity import uid
from datto_siem.plugins.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

_LONGEST_REASON = 2000
_LONGEST_BODY = 64 * 1024


class Letter(NamedTuple):
    """One dead letter.

    Attributes:
        record: The record as received.
        reason: Why it was refused; may hold text from the wire.
        body: What was sent for it, when there was something.
        key: The item's key: index or stream.
        tries: How often a redelivery was refused again.
    """

    record: Record
    reason: str
    body: bytes | None = None
    key: str = ""
    tries: int = 0


class Letters(Protocol):
    """Where the dead letters of one output are kept. A part is a file, or a range of a topic."""

    output: str

    def write(self, letters: Sequence[Letter]) -> None:
        """Add letters; durable on return.

        Raises:
            OSError: They are not kept; says what to do.
        """

    def listed(self) -> Iterator[dict[str, Any]]:
        """Every letter as it is kept, oldest first."""

    def sealed(self) -> AbstractContextManager[Sequence[Any]]:
        """The parts of now, for one redelivery."""

    def read(self, part: Any) -> Iterator[tuple[bytes, Letter | None]]:
        """Lines of a part, and the letters in them; None where one cannot be read."""

    def replace(self, part: Any, lines: Iterable[bytes]) -> None:
        """Put these lines in a part's place; durable on return."""

    def again(self, letter: Letter, reason: str) -> bytes:
        """The line of a letter that was refused again."""


def written(letter: Letter, output: str, now: float) -> bytes:
    """A letter's line.

    Args:
        letter: The letter.
        output: Whose it is.
        now: Epoch seconds.
    """
    record = letter.record
    at = datetime.fromtimestamp(now, timezone.utc)
    document: dict[str, Any] = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "output": output,
        "reason": letter.reason[:_LONGEST_REASON],
        "tries": letter.tries,
        "offset": record.offset,
        "uid": uid(record.raw, record.peer or None, record.received, record.offset),
        "received": record.received,
        "peer": record.peer,
        **_bytes("raw", record.raw),
    }
    if letter.key:
        document["key"] = letter.key
    if letter.body is not None and len(letter.body) <= _LONGEST_BODY:
        document |= _bytes("body", letter.body)
    return orjson.dumps(_encodable(document), option=orjson.OPT_APPEND_NEWLINE)


def letter_of(document: dict[str, Any]) -> Letter | None:
    """A letter from its line; None when somebody changed it beyond use."""
    try:
        raw = _content(document, "raw")
        if raw is None:
            return None
        record = Record(
            raw=raw,
            received=int(document["received"]),
            peer=str(document["peer"]),
            offset=int(document["offset"]),
        )
        return Letter(
            record,
            str(document["reason"]),
            _content(document, "body"),
            str(document.get("key", "")),
            int(document.get("tries", 0)),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _bytes(name: str, content: bytes) -> dict[str, str]:
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def _content(document: dict[str, Any], name: str) -> bytes | None:
    if name in document:
        found: bytes = document[name].encode()
        return found
    coded = document.get(f"{name}_base64")
    return None if coded is None else base64.b64decode(coded, validate=True)


def _encodable(document: dict[str, Any]) -> dict[str, Any]:
    """Texts that came from outside may hold lone surrogates, which JSON cannot."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, str)
        else value
        for name, value in document.items()
    }
