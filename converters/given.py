"""Where an event keeps the fields that decoder and caller fill (the vocabulary's `given`)."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ATTRIBUTES: Mapping[str, str] = {
    "header.cef_version": "head.version",
    "header.vendor": "head.vendor",
    "header.product": "head.product",
    "header.version": "head.device_version",
    "header.class_id": "head.class_id",
    "header.name": "head.name",
    "header.severity": "head.severity",
    "syslog.priority": "envelope.priority",
    "syslog.facility": "envelope.facility",
    "syslog.severity": "envelope.severity",
    "syslog.host": "envelope.host",
    "syslog.app": "envelope.app",
    "syslog.time": "header_time",
    "syslog.format": "envelope.format",
    "syslog.text": "body",
    "peer.ip": "peer_ip",
    "received": "received",
    "processed": "received",
    "uid": "uid",
    "original": "original_text",
    "original_size": "original_size",
    "notes": "note_kinds",
    "fault": "fault",
    "pairs": "every_pair",
    "event.time": "time",
    "event.time_text": "time_text",
}
"""Given field -> attribute path of `Event`. Interpreter and compiled plans both read this."""

EMPTY_IS_ABSENT = frozenset(
    name
    for name in ATTRIBUTES
    if name.startswith("header.") or name in ("syslog.format", "syslog.text", "pairs")
)
"""Given fields whose attribute may be empty where the field is absent."""


def reader(name: str) -> Callable[[Any], Any]:
    """A function that reads one given field off an event."""
    get = attrgetter(ATTRIBUTES[name])
    return (lambda event: get(event) or None) if name in EMPTY_IS_ABSENT else get
