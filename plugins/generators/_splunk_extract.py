"""The transforms that take the records of one sourcetype apart, in the order they must run.

Of two transforms that fill one field the first wins, so the cut record's shorter body comes before
the header's, and the rows for any event after those of named ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.converters.read import CUT_SIZES
from datto_siem.plugins.generators import _splunk_syslog, _splunk_types
from datto_siem.plugins.generators import _splunk_walk as walk
from datto_siem.plugins.generators._splunk_fields import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datto_siem.plugins.generators._splunk_event import Event

_PARTS = {
    "time": _splunk_types.TIME_PARTS,
    "hostport": _splunk_types.HOST_PARTS,
    "span": _splunk_types.SPAN_PARTS,
}


class Extraction:
    """Transforms of one sourcetype.

    Attributes:
        transforms: Name -> settings, in order.

    Args:
        prefix: What names of its own transforms begin with.
        source: The source's row of the portable tables.
        events: Its events.
        names: Names of its wire keys.
        casts: The casts that rows name by number.
    """

    def __init__(
        self,
        prefix: str,
        source: Mapping[str, Any],
        events: Sequence[Event],
        names: walk.Names,
        casts: Sequence[Mapping[str, Any]],
    ) -> None:
        """Build all of them."""
        self.transforms: dict[str, dict[str, str]] = {}
        self._prefix = prefix
        self._source = source
        self._events = events
        self._names = names
        self._casts = casts
        self._record()
        heads = [
            walk.named(class_id, found, self._siblings(class_id))
            for event in events
            for class_id, found in event.by_class.items()
            if class_id != "*"
        ]
        for event in sorted(events, key=lambda event: "*" in event.by_class):
            self._pairs(event, heads)
        for event in events:
            self._not_cef(event)
        self._values()

    def _add(self, name: str, regex: str, source: str = "", form: str = "") -> None:
        settings = {"REGEX": regex}
        if source:
            settings["SOURCE_KEY"] = source
        if form:
            settings["FORMAT"] = form
        self.transforms[name] = settings

    def _kinds(self) -> dict[str, dict[str, bool]]:
        """Wire key -> the kinds it is read as, and whether a colon may follow it."""
        found: dict[str, dict[str, bool]] = {}
        for event in self._events:
            for key, cast in {**event.fields.unread, **event.fields.casts}.items():
                kinds = found.setdefault(key, {})
                kinds[cast["kind"]] = kinds.get(cast["kind"], False) or cast["colon"]
        return found

    def _record(self) -> None:
        """Header, body, syslog prefix."""
        marks = [
            walk.colon(key, sorted(kinds))
            for key, kinds in sorted(self._kinds().items())
            if any(kinds.values())
        ]
        self._add(f"{self._prefix}_cut", walk.cut(CUT_SIZES, marks))
        self._add("datto_header", walk.HEADER)
        self._add("datto_body", walk.BODY, "line_body")
        self._add("datto_prefix", f"(?={walk.IS_CEF}){_splunk_syslog.PREFIX}")

    def _siblings(self, class_id: str) -> list[str]:
        """Names of a class that rows of their own have, `*` left out."""
        found = (name.split("/", 1) for name in self._source["names"] if "/" in name)
        return [name for each, name in found if each == class_id and name != "*"]

    def _pairs(self, event: Event, heads: Sequence[str]) -> None:
        """What marks a record as this event, and what takes its pairs apart."""
        walker = walk.Walk(event.row, self._casts, self._names)
        for number, (class_id, found) in enumerate(event.by_class.items()):
            name = event.event_type + (f"_{number + 1}" if number else "")
            if class_id == "*":
                head = (f"(?!{'|'.join(heads)})" if heads else "") + walk.ANY_HEAD
                self._add(f"{name}_is", "^.", "line_version", event.mark)
            else:
                head = walk.named(class_id, found, self._siblings(class_id))
                self._add(f"{name}_is", f"^{head}", "line_body", event.mark)
            self._add(name, walker.expression(head), "line_body")

    def _not_cef(self, event: Event) -> None:
        """Records that are not CEF."""
        if event.row["event"] == "text":
            self._add("datto_message", f"(?!{walk.IS_CEF}){_splunk_syslog.MESSAGE}")
            head = f"(?!{walk.IS_CEF}){_splunk_syslog.IS_MESSAGE}"
            self._add(f"{event.event_type}_is", head, "", event.mark)
        elif event.row["event"] == "undecodable":
            self._add("datto_short", walk.SHORT)
            self._add(f"{event.event_type}_is", "(?s)^.", "", event.mark)

    def _values(self) -> None:
        """Lists, and the parts of values that have some."""
        for start in sorted({start for event in self._events for start, _ in event.row["lists"]}):
            name = f"{self._prefix}_list_{clean(start).strip('_').lower()}"
            self._add(name, walk.lists(self._names, start), "line_body")
        for key, kinds in sorted(self._kinds().items()):
            for kind in sorted(set(kinds) & set(_PARTS)):
                self._parts(kind, kind, self._names.part(key), self._names.wire(key))
                if kind == "span":
                    self._parts(kind, "time", self._names.end(key), self._names.wire(key))

    def _parts(self, kind: str, form: str, part: str, wire: str) -> None:
        self._add(f"{self._prefix}_{kind}_{part}", _PARTS[form].format(part), wire)
