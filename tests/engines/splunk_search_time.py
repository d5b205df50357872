"""Splunk's search-time steps, as far as an add-on needs them: reads its package and nothing else.

Transforms with PCRE2 under Splunk's default limits, JSON key-value extraction, calculated fields
(all at once, none sees another), automatic lookups, event types, tags: in that order. A function,
setting or case of comparison that is not modelled here fails loudly instead of being guessed.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pcre2
from splunk_eval import Program, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LIMITS = "(*NO_JIT)(*LIMIT_MATCH=100000)(*LIMIT_DEPTH=1000)"
PROPS = re.compile(
    r"(?:REPORT|EVAL|LOOKUP|TRANSFORMS)-[A-Za-z0-9_]+|KV_MODE|SHOULD_LINEMERGE|LINE_BREAKER|TRUNCATE"
    r"|TIME_PREFIX|TIME_FORMAT|MAX_TIMESTAMP_LOOKAHEAD"
)
TRANSFORMS = frozenset(
    [
        "REGEX",
        "FORMAT",
        "SOURCE_KEY",
        "DEST_KEY",
        "filename",
        "case_sensitive_match",
        "max_matches",
        "min_matches",
        "default_match",
    ]
)


def configuration(content: str) -> dict[str, dict[str, str]]:
    """Stanzas of a configuration file."""
    found: dict[str, dict[str, str]] = {}
    stanza: dict[str, str] | None = None
    for line in content.replace("\\\n", "").split("\n"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            assert line[1:-1] not in found, f"two stanzas {line}"
            stanza = found.setdefault(line[1:-1], {})
            continue
        key, equals, value = line.partition("=")
        assert equals, f"neither stanza nor setting: {line}"
        assert stanza is not None, f"a setting before any stanza: {line}"
        assert key.strip() not in stanza, f"set twice: {line}"
        stanza[key.strip()] = value.strip()
    return found


@lru_cache(maxsize=1024)
def expression(pattern: str, atomic: bool = False) -> Any:
    """A compiled pattern; `atomic`: calls are not gone back into, as before PCRE2 10.30."""
    if atomic:
        pattern = re.sub(r"\(\?&[a-z0-9]+\)", r"(?>\g<0>)", pattern)
    return pcre2.compile(LIMITS + pattern, jit=False)


class Splunk:
    """A search head with one add-on.

    Attributes:
        limited: (transform, record) for each pattern that ran into a limit.
    """

    def __init__(self, package: bytes, atomic: bool = False) -> None:
        self._atomic = atomic
        self.files: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as tar:
            for entry in tar.getmembers():
                file = tar.extractfile(entry)
                if file is not None:
                    self.files[entry.name.split("/", 1)[1]] = file.read()
        self.props, self.transforms, self.eventtypes, self.tags = (
            configuration(self.files[f"default/{name}.conf"].decode())
            for name in ("props", "transforms", "eventtypes", "tags")
        )
        self.limited: list[tuple[str, str]] = []
        self._programs: dict[str, list[tuple[str, Program]]] = {
            stanza: [
                (key[5:], Program(value)) for key, value in settings.items() if key[:5] == "EVAL-"
            ]
            for stanza, settings in self.props.items()
        }
        self._tables: dict[str, list[dict[str, str]]] = {}
        self._indexes: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
        self._searches = {name: Search(row["search"]) for name, row in self.eventtypes.items()}

    def event(self, raw: str, **default: Any) -> dict[str, Any]:
        """The fields of one event; `default` are those it was indexed with."""
        fields: dict[str, Any] = {"_raw": raw, **default}
        settings = self.props[fields["sourcetype"]]
        for key in sorted(settings):
            if key.startswith("REPORT-"):
                for name in settings[key].split(","):
                    self._transform(name.strip(), fields)
        if settings.get("KV_MODE") == "json":
            for name, value in _flat(json.loads(raw)):
                fields.setdefault(name, value)
        else:
            assert settings["KV_MODE"] == "none"
        before = dict(fields)
        for name, program in self._programs[fields["sourcetype"]]:
            value = program.run(before)
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = (
                    [text(item) for item in value] if isinstance(value, list) else text(value)
                )
        for key in sorted(settings):
            if key.startswith("LOOKUP-"):
                self._lookup(settings[key], fields)
        return fields

    def event_types(self, fields: Mapping[str, Any]) -> list[str]:
        """Event types of an event."""
        return sorted(name for name, search in self._searches.items() if search.matches(fields))

    def tags_of(self, event_types: list[str]) -> set[str]:
        """Tags that event types carry."""
        rows = (self.tags.get(f"eventtype={name}", {}) for name in event_types)
        return {tag for row in rows for tag, state in row.items() if state == "enabled"}

    def _transform(self, name: str, fields: dict[str, Any]) -> None:
        settings = self.transforms[name]
        subject = fields.get(settings.get("SOURCE_KEY", "_raw"))
        if subject is None:
            return
        try:
            match = expression(settings["REGEX"], self._atomic).search(subject)
        except pcre2.LibraryError as error:
            if "limit" not in str(error):
                raise
            self.limited.append((name, fields["_raw"]))
            return
        if match is None:
            return
        if "FORMAT" in settings:
            field, value = settings["FORMAT"].split("::")
            assert "$" not in settings["FORMAT"], "a FORMAT with groups is not modelled"
            fields.setdefault(field, value)
            return
        for field in match.re.groupindex:
            value = match.group(field)
            if value:
                fields.setdefault(field, value)

    def _lookup(self, setting: str, fields: dict[str, Any]) -> None:
        name, key, *rest = setting.split()
        source = key
        if rest[0] == "AS":
            source, rest = rest[1], rest[2:]
        assert rest[0] == "OUTPUTNEW"
        pairs, words = [], rest[1:]
        while words:
            if words[1:2] == ["AS"]:
                pairs.append((words[0], words[2]))
                words = words[3:]
            else:
                pairs.append((words[0], words[0]))
                words = words[1:]
        if source not in fields:
            return
        settings = self.transforms[name]
        row = self._index(settings["filename"], key).get(fields[source])
        default = settings.get("default_match") if settings.get("min_matches") == "1" else None
        for column, field in pairs:
            value = default if row is None else row[column]
            if value:
                fields.setdefault(field, value)

    def _index(self, filename: str, key: str) -> dict[str, dict[str, str]]:
        if (filename, key) not in self._indexes:
            content = self.files[f"lookups/{filename}"].decode()
            rows = list(csv.DictReader(io.StringIO(content, newline="")))
            self._indexes[filename, key] = {row[key]: row for row in reversed(rows)}
        return self._indexes[filename, key]


def _flat(document: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """JSON as Splunk names it: `a.b`, and `a{}` for the items of a list."""
    for key, value in document.items():
        name = f"{at}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list):
            yield f"{name}{{}}", [text(item) for item in value]
        elif value is not None:
            yield name, text(value)


class Search:
    """A search string of terms, NOT, OR and brackets; without case, `*` for anything."""

    _WORDS = re.compile(
        r'\(|\)|OR\b|NOT\b|([A-Za-z_][A-Za-z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|(\S+?)(?=[\s)]|$))'
    )

    def __init__(self, search: str) -> None:
        self._tokens: list[Any] = []
        at = 0
        while at < len(search):
            if search[at].isspace():
                at += 1
                continue
            match = self._WORDS.match(search, at)
            assert match is not None, f"not modelled: {search[at:]}"
            at = match.end()
            if match[1]:
                value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
                self._tokens.append((match[1], value))
            else:
                self._tokens.append(match[0])
        self._at = 0
        self._tree = self._all()
        assert self._at == len(self._tokens), search

    def fields(self) -> set[str]:
        """Fields it asks for."""
        return {token[0] for token in self._tokens if isinstance(token, tuple)}

    def matches(self, fields: Mapping[str, Any]) -> bool:
        return self._check(self._tree, fields)

    def _peek(self) -> Any:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _all(self) -> Any:
        found = []
        while self._peek() not in (None, ")"):
            found.append(self._any())
        return ("and", found)

    def _any(self) -> Any:
        found = [self._one()]
        while self._peek() == "OR":
            self._at += 1
            found.append(self._one())
        return ("or", found)

    def _one(self) -> Any:
        found = self._peek()
        self._at += 1
        if found == "NOT":
            return ("not", self._one())
        if found == "(":
            inner = self._all()
            assert self._peek() == ")"
            self._at += 1
            return inner
        assert isinstance(found, tuple), found
        return ("term", found)

    def _check(self, node: Any, fields: Mapping[str, Any]) -> bool:
        kind, inner = node
        if kind == "and":
            return all(self._check(each, fields) for each in inner)
        if kind == "or":
            return any(self._check(each, fields) for each in inner)
        if kind == "not":
            return not self._check(inner, fields)
        name, wanted = inner
        pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
        held = fields.get(name)
        values = held if isinstance(held, list) else [] if held is None else [held]
        return any(re.fullmatch(pattern, value, re.IGNORECASE | re.DOTALL) for value in values)
