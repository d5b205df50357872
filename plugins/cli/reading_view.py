"""The half of `explain` about reading: envelope, header, pairs, fields, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters import times
from datto_siem.converters.notes import NOTES
from datto_siem.plugins.shown import escaped, quoted, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters import Event, Note
    from datto_siem.converters.event import Header
    from datto_siem.converters.plan.model import Cast
    from datto_siem.converters.tables.model import Key, Tables
    from datto_siem.plugins.shown import Paint

_INNER = frozenset({"_text", "_rest"})


def view(tables: Tables, event: Event, colours: Paint) -> Iterator[str]:
    """The lines about how a record was read."""
    yield f"  {event.original_size} bytes, received {shown_time(event.received)}"
    yield f"  envelope   {_envelope(event)}"
    if event.header is not None:
        yield f"  header     {_header(event.header)}"
    yield f"  read by    {_row(tables, event, colours)}"
    if event.fault:
        yield f"  {colours('bad', f'undecodable: {event.fault}')}"
    if event.body is not None:
        yield f"  not CEF    {colours('value', quoted(event.body))}"
    yield f"  event time {_time(event)}"
    yield f"  id         {event.uid}"
    if event.header is not None:
        yield colours("heading", "pairs")
        yield from _pairs(tables, event, colours) if event.pairs else ("  none",)
        yield from _missing(event)
    if event.notes:
        yield colours("heading", "notes")
        yield from (_note(note, colours) for note in event.notes)


def shown_time(when: int) -> str:
    """A time for people; a number where it is out of a calendar's reach."""
    return times.iso(when) if 0 <= when < 253_402_300_800_000 else str(when)


def _envelope(event: Event) -> str:
    envelope = event.envelope
    parts = [envelope.format or "no syslog header"]
    if envelope.priority is not None:
        inside = f"facility {envelope.facility}, severity {envelope.severity}"
        parts.append(f"priority {envelope.priority} ({inside})")
    for name, text in (
        ("time", envelope.time_text),
        ("host", envelope.host),
        ("app", envelope.app),
        ("pid", envelope.pid),
        ("msgid", envelope.msgid),
        ("data", envelope.structured_data),
    ):
        if text:
            parts.append(f"{name} {quoted(text)}")
    return ", ".join(parts)


def _header(header: Header) -> str:
    names = ("CEF", "vendor", "product", "version", "class", "name", "severity")
    return ", ".join(f"{name} {quoted(text)}" for name, text in zip(names, header, strict=True))


def _row(tables: Tables, event: Event, colours: Paint) -> str:
    reading = event.reading
    where = tables.sources[reading.source].events[reading.event].where
    inferred = ", inferred" if reading.inferred else ""
    return f"{reading.id} {colours('place', where)}, activity {reading.activity}{inferred}"


def _time(event: Event) -> str:
    if event.time_text is None:
        return f"{shown_time(event.time)} (the receive time stands in)"
    keys = [key for key in event.reading.time if event.extension.get(key) == event.time_text]
    origin = keys[0] if keys else "the syslog header"
    return f"{shown_time(event.time)} from {origin}"


def _pairs(tables: Tables, event: Event, colours: Paint) -> Iterator[str]:
    scanned, parts = event.scanned, event.parts
    casts = {cast.key: cast for cast in event.reading.casts}
    first: set[str] = set()
    for (key, text), offset in zip(scanned.pairs, scanned.offsets, strict=True):
        line = f"  @{offset:<5} {escaped(key)} = {colours('value', quoted(text))}"
        cast = _cast(casts, key)
        if key in first and (key, text) in parts.spare:
            yield f"{line}  a duplicate, left over"
        elif cast is None:
            yield f"{line}  {'no key' if key in _INNER else 'no table row: left over'}"
        elif key in parts.left:
            yield f"{line}  {cast.kind}: does not fit or does not count, left over"
        else:
            yield f"{line}  {_meaning(tables, event, cast, colours)}"
        first.add(key)


def _cast(casts: dict[str, Cast], key: str) -> Cast | None:
    found = casts.get(key) or casts.get(key.lower())
    if found is None and "." in key:
        found = casts.get(f"{key[: key.rindex('.')]}.*")
    return found


def _meaning(tables: Tables, event: Event, cast: Cast, colours: Paint) -> str:
    rule = _rule(tables, event, cast.key)
    fields = []
    for _, name in cast.parts:
        value = event.fields.get(name)
        if value is not None:
            is_time = tables.vocabulary.fields[name].type == "time" and isinstance(value, int)
            written = shown_time(value) if is_time else value  # type: ignore[arg-type]
            fields.append(f"{name} = {value_text(written)}")
    meaning = f"{cast.kind} -> {', '.join(fields)}" if fields else cast.kind
    inferred = ", inferred" if rule is not None and rule.inferred else ""
    place = f" {colours('place', rule.where)}" if rule is not None else ""
    return f"{meaning}{place}{inferred}"


def _rule(tables: Tables, event: Event, key: str) -> Key | None:
    source = tables.sources[event.reading.source]
    override = source.events[event.reading.event].overrides.get(key)
    return override or source.keys.get(key)


def _missing(event: Event) -> Iterator[str]:
    present = {key.lower() for key in event.extension}
    numbered = {f"{key[: key.rindex('.')]}.*" for key in present if "." in key}
    absent = [
        key for key in event.reading.keys if key.lower() not in present and key not in numbered
    ]
    if absent:
        yield f"  documented but missing: {', '.join(absent)}"


def _note(note: Note, colours: Paint) -> str:
    what = f"{note.kind} {escaped(note.key)}" if note.key else note.kind
    return f"  @{note.offset:<5} {colours('note', what)}: {NOTES[note.kind]}"
