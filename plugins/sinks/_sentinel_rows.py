"""Rows of the Logs Ingestion API as bytes: their stream, their time, and making one smaller.

A document is looked into by exact byte search from its end: keys are sorted, no column behind
`TimeGenerated` and `Type` is an object, and inside JSON text every quote is escaped, so what a
device sent can imitate neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 1_000_000
"""Bytes of a request's array, brackets and commas included; the service refuses above 1 MiB."""

_TYPE = b'"Type":"'
_TIME = b'"TimeGenerated":"'
_MINUTE = len("2026-11-24T09:36")
_BROAD = ("RawEvent", "AdditionalFields", "Extensions", "AdditionalExtensions", "ParseWarnings")


def routed(document: bytes, streams: Mapping[bytes, str]) -> tuple[bytes, str | None]:
    """A row without its `Type`, and the stream of that table.

    Args:
        document: A finished ASIM row.
        streams: Table name -> stream.

    Returns:
        The row (`Type` is a reserved column that no stream declares) and the stream, None when
        the table has none.
    """
    at = document.rfind(_TYPE)
    end = document.index(b'"', at + len(_TYPE))
    table = document[at + len(_TYPE) : end]
    after = end + 1
    if document[after : after + 1] == b",":
        after += 1
    else:
        at -= 1  # last column: the comma before goes with it
    return document[:at] + document[after:], streams.get(table)


def half_hour(row: bytes) -> bytes:
    """The half hour of a row's `TimeGenerated`, for streams that take no wider range."""
    at = row.rfind(_TIME) + len(_TIME)
    minute = row[at : at + _MINUTE]
    return minute[:-2] + (b"00" if minute[-2:] < b"30" else b"30")


def trimmed(row: bytes) -> bytes | None:
    """A row that fits a request by cutting its broadest columns; None when that is not enough.

    A text that was cut ends in `...`, an object becomes `{"Trimmed": true}`; the original stays in
    the log until it is swept.
    """
    columns: dict[str, Any] = orjson.loads(row)
    for name in _BROAD:
        if name not in columns:
            continue
        value = columns[name]
        if isinstance(value, str):
            spare = MOST - 2 - (len(row) - len(orjson.dumps(value)))
            columns[name] = _cut(value, spare - 5)
        else:
            columns[name] = {"Trimmed": True}
        row = orjson.dumps(columns)
        if len(row) <= MOST - 2:
            return row
    return None


def _cut(text: str, nbytes: int) -> str:
    """The longest beginning of a text whose JSON form takes at most so many bytes."""
    low, high = 0, min(len(text), max(nbytes, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if len(orjson.dumps(text[:middle])) <= nbytes:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low]}..."
