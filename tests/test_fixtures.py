"""Goldens: one folder an event, one file a target; `pytest --update` writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cases import FIXTURES, PRODUCTS, TARGETS, documents, events, folders, switches

from datto_siem.converters import Converter
from datto_siem.converters.check import folder as folder_of
from datto_siem.converters.tables.load import load

if TYPE_CHECKING:
    from pathlib import Path

ALIASES = {"access_point/wifi_deauth_aliases"}  # further lines of one event


def name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("folder", folders(), ids=name)
def test_documents_are_as_the_golden_says(folder: Path, target: str, update: bool) -> None:
    golden = folder / f"{target}.json"
    made = documents(folder, target)
    if update:
        golden.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    assert made == json.loads(golden.read_text())


@pytest.mark.parametrize("folder", folders(), ids=name)
def test_repaired_lines_are_as_the_golden_says(folder: Path, update: bool) -> None:
    converter = Converter("cef", switches=switches(folder))
    golden = folder / "event.cef"
    made = "".join(converter.line(event) + "\n" for event in events(folder, converter))
    if update:
        golden.write_text(made)
    assert made == golden.read_text()


def test_every_event_has_a_folder_and_every_folder_an_event() -> None:
    wanted = {
        f"{source.name}/{folder_of(source, event.id)}"
        for source in load().sources.values()
        for event in source.events.values()
    }
    wanted.discard("switch/undecodable")
    found = {name(folder) for folder in folders()}
    assert found - ALIASES == wanted


@pytest.mark.parametrize("folder", folders(), ids=name)
def test_lines_are_read_by_the_row_their_folder_is_named_after(folder: Path) -> None:
    converter = Converter("ecs", switches=switches(folder))
    sources = load().sources
    for event in events(folder, converter):
        source = sources[event.reading.source]
        expected = f"{source.name}/{folder_of(source, event.reading.event)}"
        assert name(folder).removesuffix("_aliases") == expected, event.text


def test_only_the_products_have_event_folders() -> None:
    found = {path.parents[1].name for path in FIXTURES.glob("*/*/event.log")}
    assert found == set(PRODUCTS)
