"""JSON records of shippers: the line is taken out, the document put in, the rest is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from datto_siem.converters.convert import CEF
from datto_siem.converters.output import dump

if TYPE_CHECKING:
    from datto_siem.converters import Event
    from datto_siem.plugins.filter import Settings


class Records:
    """Turns a shipper's JSON records into documents.

    Args:
        settings: What to convert to and where things are.
    """

    def __init__(self, settings: Settings) -> None:
        """Count from the first record."""
        self._settings = settings
        self._decode = settings.converter.decoder.decode
        self._path = settings.field.split(".")
        self._peer = settings.peer_field.split(".") if settings.peer_field else None
        self._count = 0

    def document(self, record: dict[str, Any], line: bytes) -> tuple[dict[str, Any], Event]:
        """A record with its line converted.

        A record without the line is converted as what it is, text, so that it becomes the
        target's fallback document.

        Args:
            record: The record; taken apart.
            line: The bytes it was read from.
        """
        raw, peer = self._line(record, line)
        event = self._event(raw, peer)
        return self._laid(record, self._settings.converter(event)), event

    def encoded(self, record: dict[str, Any], line: bytes) -> bytes:
        """The same as finished JSON, by the converter's short way from bytes to bytes."""
        if self._settings.converter.name == CEF:  # its bytes are a line, no JSON
            return dump(self.document(record, line)[0])
        raw, peer = self._line(record, line)
        self._count += 1
        encode = self._settings.converter.encode
        document = encode(raw, self._settings.clock(), peer, None, self._count)
        return dump(self._laid(record, orjson.loads(document))) if record else document

    def _line(self, record: dict[str, Any], line: bytes) -> tuple[bytes, str | None]:
        """The line, taken out of its record, and who sent it."""
        found = _taken(record, self._path)
        raw = line if found is None else found.encode("utf-8", "surrogatepass")
        return raw, None if self._peer is None else _found(record, self._peer)

    def _laid(self, record: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        """The document laid over what is left of the record; what it overwrites is kept aside."""
        clashes = _merge(record, document)
        if clashes:
            keep = self._settings.keep
            if keep in record:
                clashes.setdefault(keep, record[keep])
            record[keep] = clashes
        return record

    def fallback(self, line: bytes) -> tuple[dict[str, Any], Event]:
        """The document of a line that is no JSON object."""
        event = self._event(line, None)
        return self._settings.converter(event), event

    def _event(self, raw: bytes, peer: str | None) -> Event:
        self._count += 1
        return self._decode(raw, self._settings.clock(), peer, None, self._count)


def read(line: bytes) -> Any:
    """The JSON value of a line; None when it is none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _taken(record: dict[str, Any], path: list[str]) -> str | None:
    """Take a text out of a record, by its dotted name or level by level."""
    whole = ".".join(path)
    if isinstance(record.get(whole), str):
        found: str = record.pop(whole)
        return found
    for name in path[:-1]:
        inner = record.get(name)
        if not isinstance(inner, dict):
            return None
        record = inner
    return record.pop(path[-1]) if isinstance(record.get(path[-1]), str) else None


def _found(record: dict[str, Any], path: list[str]) -> str | None:
    """An address in a record; what is no plain text is none."""
    value: Any = record.get(".".join(path))
    if value is None:
        value = record
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value.isascii() and len(value) <= 255 else None


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one document over another, object by object.

    Returns:
        What of `base` was overwritten and differs.
    """
    clashes: dict[str, Any] = {}
    for name, value in over.items():
        if name not in base:
            base[name] = value
            continue
        ours = base[name]
        if isinstance(ours, dict) and isinstance(value, dict):
            inner = _merge(ours, value)
            if inner:
                clashes[name] = inner
        else:
            if ours != value:
                clashes[name] = ours
            base[name] = value
    return clashes
