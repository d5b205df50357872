"""How pinned extracts are written: versions merged, one field a line, always the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def merged(by_version: dict[str, dict[str, Any]], versions: list[str]) -> dict[str, Any]:
    """One entry for all versions.

    An entry that is the same in every version is written bare. One that came or went carries
    `since` (first version that has it) and `until` (first version that lacks it). One that
    changed carries its shapes under `variants`.
    """
    spans: list[dict[str, Any]] = []
    before: dict[str, Any] | None = None
    for position, version in enumerate(versions):
        now = by_version.get(version)
        if now != before:
            if spans and before is not None:
                spans[-1]["until"] = version
            if now is not None:
                spans.append(dict(now) | ({"since": version} if position else {}))
        before = now
    return spans[0] if len(spans) == 1 else {"variants": spans}


def write(path: Path, content: dict[str, Any], depth: int) -> None:
    """Write sorted JSON: one member a line down to `depth`, compact below."""
    path.write_text(_text(content, depth, "") + "\n", encoding="utf-8")


def _text(value: Any, depth: int, indent: str) -> str:
    if not depth or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    members = (
        f'{indent} "{name}":{_text(value[name], depth - 1, indent + " ")}' for name in sorted(value)
    )
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"
