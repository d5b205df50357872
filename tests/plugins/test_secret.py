"""Secrets come from the environment or a file, and are shown nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from datto_siem.plugins.secret import Secret, SecretMissing

if TYPE_CHECKING:
    from pathlib import Path


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEC_TOKEN", " s3cret\n")
    secret = Secret(env="HEC_TOKEN")
    assert secret.value() == "s3cret"
    assert "s3cret" not in repr(secret)


def test_from_a_file_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    secret = Secret(file=str(path))
    assert secret.value() == "one"
    path.write_text("two\n")
    assert secret.value() == "two"


def test_what_is_missing_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEC_TOKEN", raising=False)
    with pytest.raises(SecretMissing, match="HEC_TOKEN is not set"):
        Secret(env="HEC_TOKEN").value()
    monkeypatch.setenv("HEC_TOKEN", "  ")
    with pytest.raises(SecretMissing, match="HEC_TOKEN is not set"):
        Secret(env="HEC_TOKEN").value()
    with pytest.raises(SecretMissing, match="No such file"):
        Secret(file=str(tmp_path / "absent")).value()
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SecretMissing, match="is empty"):
        Secret(file=str(tmp_path / "empty")).value()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretMissing, match="not UTF-8"):
        Secret(file=str(tmp_path / "binary")).value()
