"""Fields of one event as eval expressions: what decoder and casts give, from the wire's groups.

Owns how a captured value becomes its memory form, which of two keys that fill one field counts,
and what is left over. Names of groups are `_splunk_walk`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._splunk_eval import (
    ADDRESS,
    NULL,
    Eval,
    absent,
    either,
    mac,
    present,
    when,
)
from datto_siem.plugins.generators._splunk_times import plausible, span, time
from datto_siem.plugins.generators._splunk_types import CASTS
from datto_siem.plugins.generators._splunk_walk import MOST_LISTED, Names, listed
from datto_siem.plugins.splunk_sourcetypes import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER = r'replace(rtrim(line_{0}),"\x5c([\x5c|])","\1")'
_BREAK = 'urldecode("%0A")'

GIVEN: Mapping[str, str] = {
    "header.cef_version": "line_version",
    **{
        f"header.{name}": _HEADER.format(name) for name in ("vendor", "product", "name", "severity")
    },
    "header.class_id": _HEADER.format("class"),
    "syslog.priority": "line_pri",
    "syslog.facility": "floor(tonumber(line_pri)/8)",
    "syslog.severity": "(tonumber(line_pri)%8)",
    "syslog.host": "line_host",
    "syslog.app": "line_app",
    "syslog.text": "line_message",
    "peer.ip": when(f"match(host,{_spl.pattern(ADDRESS)})", "lower(host)"),
    "received": "(_indextime*1000)",
    "processed": "(_indextime*1000)",
    "uid": EVENT_ID,
    "original": "_raw",
    "fault": when(
        present("line_short"),
        '"a CEF header with fewer than three fields"',
        '"neither CEF nor syslog"',
    ),
    "event.time": "(_time*1000)",
}
"""Given field -> its value; one that is not here is not known at search time."""


def unescaped(value: str) -> str:
    r"""A value with its escapes read; a backslash before anything else is itself.

    Line breaks first, each only after an even number of backslashes, then the rest.
    """
    for letter, code in ("n", "%0A"), ("r", "%0D"):
        even = rf"(?<!\x5c)((?:\x5c\x5c)*)\x5c{letter}"
        value = rf'replace({value},"{even}","\1" . urldecode("{code}"))'
    return rf'replace({value},"\x5c([\x5c=|])","\1")'


class Fields:
    """The fields of one event.

    Attributes:
        write: Writes an expression of the event's plan.

    Args:
        event: The row of the portable tables.
        plan: Its plan.
        tables: The portable tables.
        names: Names of wire keys.
    """

    def __init__(
        self,
        event: Mapping[str, Any],
        plan: Mapping[str, Any],
        tables: Mapping[str, Any],
        names: Names,
    ) -> None:
        """See the class."""
        self._names = names
        self._plan = plan
        self._constants = dict(event["constants"])
        rows = tables["casts"]
        self.casts: dict[str, Mapping[str, Any]] = {
            key: rows[number] for key, number in event["casts"].items()
        }
        self.unread: dict[str, Mapping[str, Any]] = {
            key: rows[number]
            for key, number in event["boundary"].items()
            if key not in self.casts and not key.endswith("*")
        }
        self._lists = {rows[number]["parts"][0][1]: start for start, number in event["lists"]}
        self._holders: dict[str, list[tuple[str, str]]] = {}
        for key, cast in self.casts.items():
            for part, field in cast["parts"]:
                self._holders.setdefault(field, []).append((key, part))
        for found in self._holders.values():
            found.sort(key=lambda holder: not self.casts[holder[0]]["wins"])
        steps = tables["steps"]
        self._derived = {steps[number][0]: steps[number][1] for number in plan["derive"]}
        self._known: dict[str, str] = {}
        self.write = Eval(self.field, tables["lookups"]).write

    def field(self, name: str) -> str:
        """A field's value."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def derived(self, name: str) -> list[Any] | None:
        """The expression of a derived field."""
        return self._derived.get(name)

    def _find(self, name: str) -> str:
        if name in self._derived:
            return self.write(self._derived[name])
        if name in self._constants:
            return _spl.text(self._constants[name])
        if name in self._lists:
            start = self._lists[name]
            texts = ",".join(listed(self._names, start, number) for number in range(MOST_LISTED))
            joined = f"mvjoin(mvdedup(mvappend({texts})),{_BREAK})"
            return f"split({unescaped(joined)},{_BREAK})"
        if name in self._holders:
            values = dict.fromkeys(self.part(key, part) for key, part in self._holders[name])
            return next(iter(values)) if len(values) == 1 else f"coalesce({','.join(values)})"
        return GIVEN.get(name, NULL)

    def part(self, key: str, part: str) -> str:
        """One part of a key's value, in memory form."""
        kind, wire = self.casts[key]["kind"], self._names.wire(key)
        if kind == "time":
            return plausible(self._names.part(key), time(self._names.part(key)))
        if kind in ("int", "port"):
            return f'replace(replace({wire},"^(-?)0+(?=[0-9])","\\1"),"^-0$","0")'
        if kind == "mac":
            return f"upper({mac(wire)})"
        if kind == "ip":
            return f"lower({wire})"
        if kind == "hostport":
            host = f"lower({self._names.part(key)}_ip)"
            number = f"{self._names.part(key)}_port"
            return host if part == "ip" else f'replace({number},"^0+(?=[0-9])","")'
        if kind == "span" and part == "length":
            return span(self._names.part(key))
        if kind == "span" and part == "end":
            return plausible(self._names.end(key), time(self._names.end(key)))
        return _text_part(kind, part, unescaped(wire))

    def leftover(self, key: str) -> str:
        """What of a key no row carries; null when a row carries its whole value."""
        cast = self.casts.get(key) or self.unread[key]
        wire, bad = self._names.wire(key), self._names.bad(key)
        text = unescaped(wire)
        said = dict(map(tuple, self._plan["said"])).get(key)
        typed = cast["kind"] in CASTS
        failed = [unescaped(bad)] if typed else []
        if key in self._plan["used"] or said is not None:
            kept: list[str] = []
            if cast["kind"] == "time":
                kept.append(plausible(self._names.part(key), NULL, wire))
            if said is not None and key not in self._plan["used"]:
                covered = self.write(said)
                kept.append(text if covered == NULL else when(absent(covered), text))
            lost = self._lost(key)
            if lost:
                kept.append(when(either(lost), text))
            values = [*failed, *kept]
        else:
            values = [*failed, text]
        found = list(dict.fromkeys(values))
        if not found:
            return NULL
        return found[0] if len(found) == 1 else f"coalesce({','.join(found)})"

    def _lost(self, key: str) -> list[str]:
        """When another key fills this key's field with another value."""
        found = []
        for part, field in self.casts[key]["parts"] if key in self.casts else ():
            winner, other = self._holders[field][0]
            if winner != key:
                found.append(f"{self.part(winner, other)}!={self.part(key, part)}")
        return found


def _text_part(kind: str, part: str, text: str) -> str:
    """A part of what is read as text first."""
    if kind == "lower":
        return f"lower({text})"
    if kind == "dns_name":
        return f'replace(lower({text}),"[.]$","")'
    if kind == "email":
        name = r"^([^@\x09-\x0d ]+)@([^@\x09-\x0d ]+)$"
        whole = f"lower({text})"
        is_mail = f"match({whole},{_spl.pattern(name)})"
        return {
            "all": whole,
            "email": when(is_mail, whole),
            "name": f'replace({whole},{_spl.pattern(name)},"\\1")',
            "domain": when(is_mail, f'replace({whole},{_spl.pattern(name)},"\\2")'),
        }[part]
    if kind == "uid" and part == "mac":
        return Eval(lambda _: text, {}).write(["mac", ["ref", ""]])
    if kind == "float":
        return f"tonumber({text})"
    return text


def clean(key: str) -> str:
    """A wire key as the rest of a field name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", key)
