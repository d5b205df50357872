"""The generated add-on in the emulated search head: records in, fields out, both forms."""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cases import PEER, RECEIVED
from rule_corpus import Case, differences, document
from splunk_eval import text
from splunk_search_time import Splunk

from datto_siem.converters.catalogue import boundary
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators._splunk_differences import KNOWN_DIFFERENCES
from datto_siem.plugins.record import Record
from datto_siem.plugins.sink import Context
from datto_siem.plugins.sinks._hec_envelope import Envelopes, Metadata
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datto_siem.converters import Converter, Event

PACKAGE = "TA_datto_networking.spl"
_WORKINGS = ("wire_", "bad_", "part_", "ends_", "line_")
_DEFAULT = ("_raw", "_indextime", "host", "source", "sourcetype")


def addon(overlay: Path | None = None, atomic: bool = False) -> Splunk:
    """The add-on, installed."""
    return Splunk(generate("splunk-ta", None, overlay)[PACKAGE], atomic)


class Sender:
    """What the sink sends of a record, and what Splunk then shows.

    Args:
        splunk: The search head.
        form: `raw` or `cim`.
        overlay: Mapping tables.
        switches: Known switches.
    """

    def __init__(
        self,
        splunk: Splunk,
        form: Any,
        overlay: Path | None = None,
        switches: tuple[str, ...] = (),
    ) -> None:
        self.splunk = splunk
        self._envelopes = Envelopes(
            form,
            Metadata(SOURCETYPES[form], {}, "datto:networking", None, {}),
            Context("splunk", Path("unused"), overlay, switches),
        )

    def fields(self, case: Case) -> dict[str, Any]:
        """Every field of a record."""
        item = self._envelopes.item(Record(case.line, RECEIVED, PEER, case.ordinal))
        envelope = json.loads(item.body)
        event, sourcetype = envelope["event"], envelope["sourcetype"]
        if not isinstance(event, str):  # a blank record has no raw form
            event, sourcetype = json.dumps(event, ensure_ascii=False), SOURCETYPES["cim"][""]
        return self.splunk.event(
            event,
            host=envelope["host"],
            source=envelope["source"],
            sourcetype=sourcetype,
            _time=envelope["time"],
            _indextime=RECEIVED // 1000,
            **envelope["fields"],
        )


def shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as an analyst sees them, workings of the add-on left out."""
    found = {}
    for name, value in fields.items():
        if name in _DEFAULT or name.startswith(_WORKINGS):
            continue
        if name.endswith("{}"):  # a JSON list; where the add-on gives it a plain name, that counts
            name = name[:-2]
            if name in fields:
                continue
        found[name] = _shown(value)
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return text(value[0]) if len(value) == 1 else [text(item) for item in value]
    return text(value)


def compared(
    converter: Converter, case: Case, fields: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """(field, converter's, add-on's) where they differ."""
    expected = {name: _shown(value) for name, value in document(converter, case).items()}
    return differences(expected, shown(fields))


# Conditions of KNOWN_DIFFERENCES: whether a difference of a record is of that kind.


def _key_of(name: str) -> str:
    return name.removeprefix("datto_").removeprefix("raw_")


def _clean(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", key)


def _kinds(event: Event) -> set[str]:
    return {note.kind for note in event.notes}


def _unnamed(converter: Converter, event: Event, name: str, got: Any) -> bool:
    source = converter.tables.sources[event.reading.source]
    named = {cast.key for cast in event.reading.casts} | set(boundary(source, event.reading))
    unnamed = {_clean(key) for key, _ in event.pairs if key not in named}
    return got is None and name.removeprefix("datto_") in unnamed


def _twice(converter: Converter, event: Event, name: str, got: Any) -> bool:
    counted = Counter(key for key, _ in event.pairs)
    return _key_of(name) in {_clean(key) for key, count in counted.items() if count > 1}


def _cut(converter: Converter, event: Event, name: str, got: Any) -> bool:
    return "truncated" in _kinds(event) and _key_of(name) == _clean(event.pairs[-1][0])


def _cut_letters(converter: Converter, event: Event, name: str, got: Any) -> bool:
    return "truncated" in _kinds(event) and not event.original.isascii()


def _late_number(converter: Converter, event: Event, name: str, got: Any) -> bool:
    numbers = [re.fullmatch(r"groups\.([0-9]+)", key) for key, _ in event.pairs]
    return any(match is not None and int(match[1]) >= 64 for match in numbers)


CONDITIONS: Mapping[str, Callable[[Converter, Event, str, Any], bool]] = {
    "always": lambda converter, event, name, got: True,
    "a key no table names": _unnamed,
    "a key that came twice": _twice,
    "the last pair of a record that was cut": _cut,
    "a cut record with letters beyond ASCII": _cut_letters,
    "a numbered key from 64 on": _late_number,
}


def known(converter: Converter, case: Case, name: str, got: Any) -> int | None:
    """The row of KNOWN_DIFFERENCES that a difference belongs to."""
    event = converter.decoder.decode(case.line, RECEIVED, PEER, None, case.ordinal)
    for number, row in enumerate(KNOWN_DIFFERENCES):
        named = any(fnmatch.fnmatchcase(name, glob) for glob in row.path.split())
        if named and CONDITIONS[row.when](converter, event, name, got):
            return number
    return None
