"""Shipped tables are parsed when they are asked for, with the faults told then."""

from __future__ import annotations

import pytest

from datto_siem.converters import TableErrors
from datto_siem.converters.tables import files
from datto_siem.converters.tables.load import Folder, load


def test_a_file_is_parsed_once_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = files.parse
    monkeypatch.setattr(files, "parse", lambda *a: (parsed.append(a[1]), real(*a))[1])
    unread = files.Unread({"targets/a.yaml": b"rows: {x: 1}", "targets/b.yaml": b"- 1"})
    assert (list(unread), len(unread), parsed) == (["targets/a.yaml", "targets/b.yaml"], 2, [])
    assert unread["targets/a.yaml"].plain() == {"rows": {"x": 1}}
    assert unread["targets/a.yaml"] is unread["targets/a.yaml"]
    assert parsed == ["targets/a.yaml"]
    assert "targets/c.yaml" not in unread


@pytest.mark.parametrize("content", [b"rows: [", b"a: 1\na: 2", b"\xff"])
def test_a_fault_in_a_shipped_file_is_told_with_its_place(content: bytes) -> None:
    unread = files.Unread({"targets/a.yaml": content})
    for _ in range(2):
        with pytest.raises(TableErrors) as caught:
            unread["targets/a.yaml"]
        assert "targets/a.yaml:" in str(caught.value.exceptions[0])


def test_a_folder_shows_its_files_by_their_names() -> None:
    roots = files.Unread({"targets/a.yaml": b"x: 1", "lookups/a.yaml": b"x: 2", "b.yaml": b""})
    folder = Folder(roots, "targets")
    assert list(folder) == ["a"]
    assert len(folder) == 1
    assert folder["a"].plain() == {"x": 1}
    assert "b" not in folder


def test_every_shipped_file_can_be_parsed() -> None:
    tables = load()
    assert all(root.is_map for root in tables.roots.values())
    assert sorted(tables.targets) == ["asim", "cim", "csl", "ecs", "ocsf"]
