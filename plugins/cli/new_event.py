"""`datto-siem tables new`: a row for an event, and a fixture to start from.

The row goes into the file as text, so that comments and layout stay; afterwards the file is read
again, and nothing is kept unless exactly that row was added.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datto_siem.converters.check import folder
from datto_siem.converters.tables.files import FOLDERS, SINGLE
from datto_siem.converters.tables.load import load
from datto_siem.converters.tables.nodes import parse
from datto_siem.plugins.cli import checkout, sample_line
from datto_siem.plugins.cli.output import FileOutput
from datto_siem.plugins.cli.parsing import choices
from datto_siem.plugins.failure import Failure, os_failure
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datto_siem.converters.errors import TableError
    from datto_siem.converters.tables.model import Source, Tables

_EVENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}/(?:\*|[A-Za-z0-9][A-Za-z0-9 _-]{0,63})")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}(?:\.\*)?")
_OPENS = re.compile(r"events:[ \t]*(?:#.*)?")
_ROW = re.compile(r"(?P<indent> +)(?P<quote>[\"']?)(?P<name>[^\"':]+)(?P=quote):")


@dataclass(frozen=True)
class NewEvent:
    """What to add.

    Attributes:
        source: Name of the source table.
        event: `class/name`.
        activity: One of the vocabulary's.
        keys: Documented keys; None for those that all the source's events have.
    """

    source: str
    event: str
    activity: str
    keys: Sequence[str] | None


def create(new: NewEvent, overlay: Path | None) -> list[str]:
    """Add the row and the fixture.

    Args:
        new: The event.
        overlay: A directory of the user's own tables; the checkout's when None.

    Returns:
        What was done and what comes next, line by line.

    Raises:
        Failure: It cannot or must not be added; nothing was written.
    """
    top = checkout.needed("tables new without --tables") if overlay is None else overlay
    if not top.is_dir():
        raise Failure(f"{overlay} is not a directory", "make it first: mkdir")
    home = top / "mappings" if overlay is None else top
    tables = load(overlay if overlay is not None and _has_tables(overlay) else None)
    source = _source(tables, new)
    keys = list(_common(source) if new.keys is None else new.keys)
    _refuse(tables, source, new, keys)
    path = home / "sources" / f"{source.name}.yaml"
    row = f"{{activity: {new.activity}, keys: [{', '.join(_quoted(key) for key in keys)}]}}"
    text = _inserted(path, new.event, row)
    sample = top / "fixtures" / source.name / folder(source, new.event) / "event.log"
    fixture = sample_line.line(source, new.event, keys)
    if not sample.exists():
        _write(sample, fixture)
    _write(path, text)
    unknown = [key for key in keys if key not in source.keys]
    return [
        f"added {new.event} to {path}",
        f"sample line in {sample}",
        "next:",
        *_steps(new, unknown, path, sample, overlay),
    ]


def _has_tables(overlay: Path) -> bool:
    """Whether there is any table yet; a first one may be ours to make."""
    return any(
        path.is_file()
        for pattern in (*SINGLE, *(f"{folder}/*.yaml" for folder in FOLDERS))
        for path in overlay.glob(pattern)
    )


def _steps(
    new: NewEvent, unknown: list[str], path: Path, sample: Path, overlay: Path | None
) -> list[str]:
    steps = [f"put a real line into {sample}, with documentation addresses only"]
    if unknown:
        steps.append(f"describe {', '.join(unknown)} under `fields:` of {path}")
    if new.activity == "unknown":
        steps.append(
            "name an activity of vocabulary.yaml in the row; `unknown` converts, but blandly"
        )
    if overlay is None:
        steps += ["pytest --update    # writes the expected documents", "datto-siem tables check"]
        steps.append("datto-siem tables docs")
    else:
        steps += [
            f"datto-siem tables check {overlay}",
            f"datto-siem explain --tables {overlay} < {sample}",
        ]
    return [f"  {number}. {step}" for number, step in enumerate(steps, 1)]


def _source(tables: Tables, new: NewEvent) -> Source:
    names = [name for name, source in tables.sources.items() if not source.any]
    if new.source not in names:
        raise Failure(f"no source {new.source!r}", f"name {choices(sorted(names))}")
    return tables.sources[new.source]


def _common(source: Source) -> list[str]:
    """The keys that every documented event of a source has."""
    rows = [event.keys for event in source.events.values() if event.keys]
    return (
        [key for key in rows[0] if all(key in row for row in rows)] if rows else list(source.time)
    )


def _refuse(tables: Tables, source: Source, new: NewEvent, keys: list[str]) -> None:
    if _EVENT.fullmatch(new.event) is None:
        raise Failure(
            f"{new.event!r} is no event",
            "write CLASS/NAME of the CEF header: letters, digits, blanks, - and _; NAME may be *",
        )
    known = {name: event for event in source.events.values() for name in event.names}
    if new.event in known:
        raise Failure(f"{new.event} is there already", f"edit {known[new.event].where}")
    activities = tables.vocabulary.activities
    if new.activity not in activities:
        near = difflib.get_close_matches(new.activity, activities, 3) or sorted(activities)
        raise Failure(f"no activity {new.activity!r}", f"name {choices(near)}")
    for key in keys:
        if _KEY.fullmatch(key) is None:
            raise Failure(f"{key!r} is no key", "write them as rt,smac,cs2")


def _quoted(key: str) -> str:
    return f'"{key}"' if "*" in key or key.isdigit() else key


def _inserted(path: Path, event: str, row: str) -> str:
    """The file's text with the row, and nothing else changed."""
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {escaped(str(path))}: {error}", "mend it first") from error
    name = f'"{event}"' if "*" in event else event
    after = _with_row(before, name, row)
    faults: list[TableError] = []
    old, new = parse(before, path.name, faults).plain(), parse(after, path.name, faults).plain()
    events = new.get("events") if isinstance(new, dict) else None
    added = events.pop(event, None) if isinstance(events, dict) else None
    kept = {"events": {}, **old} if isinstance(old, dict) else None
    if kept is not None and kept["events"] is None:
        kept["events"] = {}
    if faults or added is None or new != kept:
        raise Failure(
            f"cannot place the row in {escaped(str(path))}",
            f"add it by hand under `events:`: {name}: {row}",
        )
    return after


def _with_row(text: str, name: str, row: str) -> str:
    """The text with a row before `"*/*"`, else at the end of `events:`."""
    lines = text.splitlines(keepends=True)
    start = next((at for at, line in enumerate(lines) if _OPENS.fullmatch(line.rstrip())), None)
    if start is None:
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}events:\n  {name}: {row}\n"
    place, indent = start + 1, "  "
    for at in range(start + 1, len(lines)):
        line = lines[at]
        if line.strip() and not line.startswith((" ", "#")):
            break
        match = _ROW.match(line)
        if match is not None and (at == start + 1 or len(match["indent"]) <= len(indent)):
            indent = match["indent"]
            if match["name"] == "*/*":
                place = at
                break
        if line.startswith(" "):
            place = at + 1
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += "\n"
    return "".join([*lines[:place], f"{indent}{name}: {row}\n", *lines[place:]])


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_failure(f"cannot make {escaped(str(path.parent))}", error) from error
    with FileOutput(str(path)) as out:
        out.write(text.encode())
