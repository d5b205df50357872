"""What the decoder notes about a record: the kinds of notes, and one note."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTES: Mapping[str, str] = {
    "bad_time": "a time key holds no plausible time; the next best clock stands in",
    "bad_type": "a value does not fit its key's type; it is kept as text among the leftovers",
    "bad_utf8": "bytes that are no UTF-8 are written as \\xNN; the original bytes are kept",
    "cef_missing": "the word CEF: was eaten on the way",
    "conflict": "two keys that should agree do not",
    "duplicate_key": "a key came more than once; every value is kept",
    "glued_pair": "two pairs without a blank between them were parted",
    "header_short": "fewer than seven header fields; the known ones were put in place",
    "incomplete": "the record lacks what its class requires in this schema; a simpler form is used",
    "inferred": "the vendor documents no sample of this event: its reading is our inference",
    "line_too_long": "beyond 64 KiB a record is kept but not taken apart",
    "no_final_pipe": "the header's last pipe is missing",
    "old_firmware": "firmware older than the vendor's minimum for CEF",
    "placeholder": "a value is a placeholder of the vendor's manual",
    "swapped": "a value belongs to another key; it is read by what it is",
    "text_before_key": "text stands before the first key",
    "too_many_pairs": "beyond 512 pairs a record is kept but not taken apart",
    "truncated": "the record was cut on the way; its last value is not typed",
    "unexpected_key": "a key the vendor does not document for this event",
    "unknown_value": "a value outside the documented ones",
}
"""Kinds of notes and what they mean."""


class Note(NamedTuple):
    """One repair or doubt.

    Attributes:
        kind: One of `NOTES`.
        key: The wire key it is about, or "".
        offset: Where in the text of the record, in characters from its start.
    """

    kind: str
    key: str
    offset: int
