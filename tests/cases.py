"""The fixture folders: lines, and how they are converted for the goldens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datto_siem.converters import Converter, Event

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECEIVED = 1_795_514_400_000  # 2026-11-24T10:00:00Z
PEER = "192.0.2.10"
SWITCHES = ("sw-core-1", "sw-2", "192.0.2.30", "192.0.2.31")
TARGETS = ("ecs", "cim", "ocsf", "asim", "csl")
PRODUCTS = ("access_point", "secure_edge", "switch", "other")


def folders() -> list[Path]:
    """Every fixture folder."""
    return sorted(path.parent for name in PRODUCTS for path in FIXTURES.glob(f"{name}/*/event.log"))


def switches(folder: Path) -> tuple[str, ...]:
    """Senders that are told to be switches: only where the fixture is about them."""
    return SWITCHES if folder.parent.name == "switch" else ()


def events(folder: Path, converter: Converter) -> list[Event]:
    """The events of a folder's lines."""
    lines = (folder / "event.log").read_bytes().split(b"\n")
    decode = converter.decoder.decode
    return [decode(line, RECEIVED, PEER, None, at) for at, line in enumerate(lines) if line.strip()]


def documents(folder: Path, target: str, version: str | None = None) -> list[dict[str, Any]]:
    """What they become."""
    converter = Converter(target, version, switches=switches(folder))
    return [plain(converter(event), converter) for event in events(folder, converter)]


def plain(document: dict[str, Any], converter: Converter) -> dict[str, Any]:
    """As JSON, with the tables' version, which changes with every table, taken out."""
    text = json.dumps(document).replace(converter.tables.version, "<tables>")
    found: dict[str, Any] = json.loads(text)
    return found
