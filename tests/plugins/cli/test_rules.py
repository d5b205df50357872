"""`datto-siem rules`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from datto_siem.plugins.cli.main import main
from datto_siem.plugins.registry import names

if TYPE_CHECKING:
    from pathlib import Path


def test_the_list_names_every_artefact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [name.replace("_", "-") for name in names("generators")]


def test_files_are_written_and_writing_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "new" / "vector"
    assert main(["rules", "vector-exec", "-o", str(place)]) == 0
    assert "README.md next" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    assert {"README.md", "http.yaml", "forward.toml"} <= set(before)
    assert main(["rules", "vector-exec", "-o", str(place)]) == 0
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_what_somebody_edited_is_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rules", "fluentd-exec", "-o", str(tmp_path)]) == 0
    edited = tmp_path / "datto.conf"
    edited.write_text("mine\n")
    (tmp_path / "README.md").unlink()
    assert main(["rules", "fluentd-exec", "-o", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert edited.read_text() == "mine\n"
    assert not (tmp_path / "README.md").exists()
    assert main(["rules", "fluentd-exec", "-o", str(tmp_path), "--force"]) == 0
    assert edited.read_text() != "mine\n"


def test_the_target_is_written_into_the_files(tmp_path: Path) -> None:
    assert main(["rules", "fluentd-exec", "--to", "ocsf", "-o", str(tmp_path)]) == 0
    assert "--to ocsf --protocol ndjson" in (tmp_path / "datto.conf").read_text()


def test_scripts_can_be_run(tmp_path: Path) -> None:
    assert main(["rules", "fluent-bit-exec", "-o", str(tmp_path)]) == 0
    assert os.access(tmp_path / "stdin.sh", os.X_OK)
    assert not os.access(tmp_path / "README.md", os.X_OK)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "--list"),
        (["vector-exec"], "-o DIR"),
        (["nothing", "-o", "x"], "there is no artefact 'nothing': choose "),
        (["vector-exec", "--to", "cef", "-o", "x"], "cannot write 'cef': ecs, "),
        (["vector-exec", "-o", "/dev/null/x"], "cannot write to /dev/null/x"),
        (["vector-exec", "-o", "x", "--tables", "/nowhere"], "not a directory"),
    ],
)
def test_misuse_says_what_to_do(
    args: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rules", *args]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
