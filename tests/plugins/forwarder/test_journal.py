"""The forwarder's own log holds no secret and no control character."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from datto_siem.plugins.forwarder import journal
from datto_siem.plugins.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    before = logging.getLogger().handlers[:]
    yield
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = before


def test_lines_are_ecs_json(capsys: pytest.CaptureFixture[str]) -> None:
    journal.begin([], "output splunk")
    logging.getLogger("a.b").warning("three %s", "words")
    text = capsys.readouterr().err
    found = json.loads(text)
    assert found["message"] == "three words"
    assert found["log.level"] == "warning"
    assert found["ecs.version"]
    assert "splunk" in text


def test_secrets_are_hidden_wherever_they_come_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEC_TOKEN", "s3cret-one")
    journal.begin([Secret(env="HEC_TOKEN"), Secret(env="UNSET_TOKEN")], "x")
    log = logging.getLogger("x")
    error = OSError("refused s3cret-one")
    log.error("posting to https://x/?token=s3cret-one: %s", {"t": "s3cret-one"}, exc_info=error)
    monkeypatch.setenv("HEC_TOKEN", "s3cret-two")
    log.warning("now s3cret-two, before s3cret-one")
    log.warning("header Authorization: Bearer abcdefghijklmnop")
    text = capsys.readouterr().err
    assert "s3cret" not in text
    assert "abcdefgh" not in text
    assert text.count("[secret]") >= 5


def test_control_characters_are_escaped_on_a_terminal_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    journal.begin([], "x")
    logging.getLogger("x").warning("evil \x1b[31m \u202e text")
    text = capsys.readouterr().err
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "evil \\x1b[31m" in text
