"""The add-on's search-time settings: stanzas of props, transforms, event types, tags, lookups.

One stanza of `props.conf` a sourcetype: transforms take the record apart, one `EVAL-` a field
writes what depends on the record, one lookup adds what is fixed for its event. Settings of
`EVAL-` see only extracted fields, never one another, so each is whole in itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._splunk_eval import NULL, absent, either, present, when
from datto_siem.plugins.generators._splunk_event import is_one_of, source_events
from datto_siem.plugins.generators._splunk_extract import Extraction
from datto_siem.plugins.generators._splunk_fields import clean
from datto_siem.plugins.products import PRODUCTS
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datto_siem.plugins.generators._splunk_event import Event

EVENTS = "datto_events"
_LONG = 20  # rows from which a table of the mapping is a lookup of its own, not part of an EVAL


@dataclass
class Addon:
    """What the generated files hold, by file.

    Attributes:
        props, transforms, eventtypes, tags: Stanzas in order.
        lookups: File name -> content.
        unlisted: Lookup -> what it gives for a key it does not list.
    """

    props: dict[str, dict[str, str]] = field(default_factory=dict)
    transforms: dict[str, dict[str, str]] = field(default_factory=dict)
    eventtypes: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    lookups: dict[str, bytes] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Long:
    """A field that a lookup of its own fills: table, column, key, text for an unlisted key."""

    table: str
    column: str
    key: str
    unlisted: str


def build(tables: Mapping[str, Any]) -> Addon:
    """Everything that comes from the tables."""
    addon = Addon()
    sources = {source["name"]: source for source in tables["sources"]}
    other = next(name for name, source in sources.items() if source["any"])
    constants: dict[str, dict[str, str]] = {}
    listed: set[str] = set()
    for product, sourcetype in SOURCETYPES["raw"].items():
        source = sources[product or other]
        stanza = _Stanza(addon, tables, source, sourcetype)
        addon.props[sourcetype] = stanza.settings()
        constants |= stanza.constants
        for event in stanza.events:
            listed |= {
                p for p, expr in event.emit.items() if tables["types"].get(_ref(expr)) == "list"
            }
            _event_type(addon, event, sourcetype)
    columns = sorted({path for row in constants.values() for path in row})
    addon.lookups[f"{EVENTS}.csv"] = _spl.table(
        ["line_event", *columns],
        [[name, *(row.get(path, "") for path in columns)] for name, row in constants.items()],
    )
    addon.transforms[EVENTS] = {"filename": f"{EVENTS}.csv", "case_sensitive_match": "true"}
    _route(addon, [sources[name] for name in PRODUCTS], tables)
    addon.props[SOURCETYPES["cim"][""]] = {
        "KV_MODE": "json",
        **{f"EVAL-{path}": f"coalesce('{path}{{}}',{path})" for path in sorted(listed)},
    }
    return addon


def _ref(expr: list[Any]) -> str:
    return expr[1] if expr[0] == "ref" else ""


def _route(addon: Addon, sources: Iterable[Mapping[str, Any]], tables: Mapping[str, Any]) -> None:
    """Index time: what comes in under the general name gets its product's, and its time."""
    general = SOURCETYPES["raw"][""]
    routes = []
    for source in sources:
        names = "|".join(_folded(pattern) for pattern in source["products"])
        name = f"datto_route_{source['name']}"
        addon.transforms[name] = {
            "REGEX": rf"(?i)[0-9]\|[ ]*{_folded(source['vendor'])}[ ]*\|[ ]*(?:{names})[ ]*\|",
            "DEST_KEY": "MetaData:Sourcetype",
            "FORMAT": f"sourcetype::{SOURCETYPES['raw'][source['name']]}",
        }
        routes.append(name)
    keys = dict.fromkeys(key for event in tables["events"] for key in event["time"])
    addon.props[general] = {
        "SHOULD_LINEMERGE": "false",
        "LINE_BREAKER": r"([\r\n]+)",
        "TRUNCATE": "65536",
        "TIME_PREFIX": rf"[ |](?:{'|'.join(map(_spl.literal, keys))})=(?=1[0-9]{{12}}(?:[^0-9]|$))",
        "TIME_FORMAT": "%s%3N",
        "MAX_TIMESTAMP_LOOKAHEAD": "16",
        "TRANSFORMS-datto_route": ", ".join(routes),
        **addon.props[general],
    }


def _folded(pattern: str) -> str:
    """A vendor or product without case and blanks, `*` for anything."""
    return " *".join("[^|]*" if char == "*" else _spl.literal(char) for char in pattern)


def _event_type(addon: Addon, event: Event, sourcetype: str) -> None:
    """The event type of a documented event: one search for both forms. Tags: of its data set."""
    if not event.row["keys"]:
        return
    code, notes = event.path("event.code"), event.path("notes")
    if code is None:
        raise ValueError(f"{event.row['id']}: the add-on needs a row of cim with $event.code")
    codes = [_spl.term(code, name.replace("/", ":", 1).lower()) for name in event.names]
    forms = (sourcetype, SOURCETYPES["cim"][""])
    terms = [_or([_spl.term("sourcetype", form) for form in forms]), _or(codes)]
    title = event.emit.get("signature", ["const", None])
    if title[0] == "const" and title[1] is not None:
        terms.append(_spl.term("signature", title[1]))
    note = event.plan["note"]
    if note and notes:  # what lacks a field its data set needs is in none
        terms.append(f"NOT {_spl.term(notes, note)}")
    addon.eventtypes[event.event_type] = {"search": " ".join(terms)}
    tags = event.plan["facts"].get("tags")
    if tags:
        addon.tags[f"eventtype={event.event_type}"] = dict.fromkeys(tags, "enabled")


def _or(terms: list[str]) -> str:
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"


class _Stanza:
    """One sourcetype: the events of one source.

    Attributes:
        events: The events.
        constants: Event -> what is fixed for it, path by path.
    """

    def __init__(
        self, addon: Addon, tables: Mapping[str, Any], source: Mapping[str, Any], sourcetype: str
    ) -> None:
        self.events, names = source_events(tables, source)
        self.constants: dict[str, dict[str, str]] = {event.name: {} for event in self.events}
        self._addon = addon
        self._tables = tables
        self._filled: set[str] = set()
        self._instead: dict[tuple[str, str], str] = {}
        self._tables_written = addon.unlisted
        prefix = re.sub(r"[^a-z0-9]+", "_", sourcetype.lower())
        extraction = Extraction(prefix, source, self.events, names, tables["casts"])
        self._transforms = extraction.transforms

    def settings(self) -> dict[str, str]:
        """The stanza of `props.conf`; transforms and lookups go to the add-on."""
        self._addon.transforms |= self._transforms
        found = {"KV_MODE": "none", "REPORT-datto": ", ".join(self._transforms)}
        leftovers = self._leftovers()
        paths = dict.fromkeys(path for event in self.events for path in event.emit)
        lookups: dict[str, str] = {}
        for path in (*paths, *(name for name in leftovers if name not in paths)):
            value = self._path(path, leftovers.get(path, {}), found, lookups)
            if value != NULL:
                found[f"EVAL-{_spl.field(path)}"] = value
        columns = sorted({path for row in self.constants.values() for path in row})
        # a column that an EVAL or another lookup may fill too stands alone: whether OUTPUTNEW
        # looks at each of several fields or at all of them then does not matter
        shared = [path for path in columns if f"EVAL-{path}" in found or path in self._filled]
        alone = [path for path in columns if path not in shared]
        if alone:
            found[f"LOOKUP-{EVENTS}"] = f"{EVENTS} line_event OUTPUTNEW {' '.join(alone)}"
        for path in shared:
            found[f"LOOKUP-{EVENTS}_{path}"] = f"{EVENTS} line_event OUTPUTNEW {path}"
        return {**found, **lookups}

    def _path(
        self,
        path: str,
        leftovers: Mapping[str, list[Event]],
        settings: dict[str, str],
        lookups: dict[str, str],
    ) -> str:
        """One field: an expression by event; constants and long tables go elsewhere."""
        found = {value: list(found_in) for value, found_in in leftovers.items()}
        long: dict[_Long, list[Event]] = {}
        for event in self.events:
            expr = event.emit.get(path)
            if expr is None:
                continue
            if expr[0] == "const" and isinstance(expr[1], (str, int)) and expr[1] is not True:
                self.constants[event.name][path] = str(expr[1])
                continue
            table = self._long(event, expr)
            if table is not None:
                long.setdefault(table, []).append(event)
                continue
            value = event.fields.write(expr)
            instead = self._instead.get((event.name, path), NULL)
            if NULL not in (value, instead):
                value = f"coalesce({value},{instead})"
            value = instead if value == NULL else value
            if value != NULL:
                found.setdefault(value, []).append(event)
        for number, (table, found_in) in enumerate(long.items()):
            self._lookup(path, number, table, found_in, settings, lookups)
        if any(event.path("notes") == path for event in self.events):
            found = self._incomplete()
        return self._by_event(found)

    def _by_event(self, found: Mapping[str, list[Event]]) -> str:
        if not found:
            return NULL
        if len(found) == 1:
            value, found_in = next(iter(found.items()))
            return value if len(found_in) == len(self.events) else when(is_one_of(found_in), value)
        cases = (f"{is_one_of(found_in)},{value}" for value, found_in in found.items())
        return f"case({','.join(cases)})"

    def _incomplete(self) -> dict[str, list[Event]]:
        """The one note that is known at search time: needs of the data set that are not met."""
        found: dict[str, list[Event]] = {}
        for event in self.events:
            needs = dict.fromkeys(map(event.fields.write, event.plan["needs"]))
            missing = list(dict.fromkeys(absent(need) for need in needs if need[0] != '"'))
            if missing and event.plan["note"]:
                value = when(either(missing), _spl.text(event.plan["note"]))
                found.setdefault(value, []).append(event)
        return found

    def _long(self, event: Event, expr: list[Any]) -> _Long | None:
        """A long table's column, if the expression is just that, and what an unlisted key gives."""
        while expr[0] == "ref" and event.fields.derived(expr[1]) is not None:
            expr = event.fields.derived(expr[1]) or expr
        if expr[0] != "table":
            return None
        _, subject, name, column, other = expr
        table = self._tables["lookups"][name]
        rows = [row for row in table["rows"].values() if row.get(column) is not None]
        unlisted = table["default"].get(column)
        if unlisted is None and other[0] == "if" and other[1] == subject and other[2][0] == "const":
            unlisted = other[2][1]
        elif other != ["const", None]:
            return None
        if len(rows) <= _LONG or not isinstance(unlisted, (str, type(None))):
            return None
        return _Long(name, column, f"lower({event.fields.write(subject)})", unlisted or "")

    def _lookup(
        self,
        path: str,
        number: int,
        table: _Long,
        found_in: list[Event],
        settings: dict[str, str],
        lookups: dict[str, str],
    ) -> None:
        rows = self._tables["lookups"][table.table]["rows"]
        name, again = f"datto_{table.table}_{table.column}", 1
        while self._tables_written.setdefault(name, table.unlisted) != table.unlisted:
            again += 1
            name = f"datto_{table.table}_{table.column}_{again}"
        self._addon.lookups[f"{name}.csv"] = _spl.table(
            ["key", table.column],
            [
                [key, str(row.get(table.column, table.unlisted))]
                for key, row in rows.items()
                if row.get(table.column) is not None or table.unlisted
            ],
        )
        self._addon.transforms[name] = {"filename": f"{name}.csv", "max_matches": "1"}
        if table.unlisted:
            self._addon.transforms[name] |= {"min_matches": "1", "default_match": table.unlisted}
        self._filled.add(path)
        key = f"line_key_{path}_{number + 1}"
        settings[f"EVAL-{key}"] = when(is_one_of(found_in), table.key)
        lookups[f"LOOKUP-{name}_{path}"] = f"{name} key AS {key} OUTPUTNEW {table.column} AS {path}"

    def _leftovers(self) -> dict[str, dict[str, list[Event]]]:
        """Name -> value -> events: `datto_KEY` for what no field carries."""
        found: dict[str, dict[str, list[Event]]] = {}
        for event in self.events:
            if event.plan["leftovers"] is None:
                continue
            into = event.plan["leftovers"][0]
            values = {f"{into}_text": "line_text"} if event.row["casts"] else {}
            keys = (*event.fields.casts, *event.fields.unread)
            values |= {f"{into}{clean(key)}": event.fields.leftover(key) for key in keys}
            for name, value in values.items():
                place = name
                if name in event.emit and value != NULL:  # set apart where a row fills the name
                    self._instead[event.name, name] = value
                    place = f"{into}raw_{name.removeprefix(into)}"
                    value = when(present(event.fields.write(event.emit[name])), value)
                if value != NULL:
                    found.setdefault(place, {}).setdefault(value, []).append(event)
        return found
