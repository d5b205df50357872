"""A record's id: the same record at the same place gives the same id, so retries de-duplicate."""

from __future__ import annotations

import hashlib

# Namespace of these ids: UUIDv5 of the DNS name "datto-siem.invalid", as bytes.
_NAMED = hashlib.sha1(bytes.fromhex("bc198a93fb3f5a6f8e4add65f1f2e66f"), usedforsecurity=False)
_VARIANT = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}


def uid(raw: bytes, peer: str | None, received: int, ordinal: int) -> str:
    """An id in the form of a UUID version 5 (RFC 9562 section 5.5).

    Args:
        raw: The record's bytes.
        peer: The sender's address.
        received: Receive time in milliseconds.
        ordinal: Number of the record among those of one input, so that equal lines stay apart.
    """
    return named(b"%b\0%d\0%d\0%b" % ((peer or "").encode(), received, ordinal, raw))


def named(name: bytes) -> str:
    """The id of all that tells a record, a NUL between two: sender, time, ordinal, record."""
    digest = _NAMED.copy()
    digest.update(name)
    hex_ = digest.hexdigest()
    variant = _VARIANT[hex_[16]]
    return f"{hex_[:8]}-{hex_[8:12]}-5{hex_[13:16]}-{variant}{hex_[17:20]}-{hex_[20:32]}"
