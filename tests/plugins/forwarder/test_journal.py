"""The forwarder's own log holds no secret and no control character."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

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


def test_secrets_are_hidden_as_json_and_urls_spell_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEC_TOKEN", 'päss "w\\rd"/&')
    journal.begin([Secret(env="HEC_TOKEN")], "x")
    value = 'päss "w\\rd"/&'
    logging.getLogger("x").warning("%s and %s and %s", value, json.dumps(value), quote(value, ""))
    found = json.loads(capsys.readouterr().err)
    assert found["message"] == '[secret] and "[secret]" and [secret]'


def test_what_is_said_again_and_again_is_said_seldom() -> None:
    now = 0.0
    repeats = journal.Repeats(3, 60.0, lambda: now)

    def said(text: str, value: int = 0) -> str | None:
        record = logging.LogRecord("x", logging.WARNING, "", 0, text, (value,), None)
        return record.getMessage() if repeats.filter(record) else None

    assert [said("peer %d", n) for n in range(10)] == ["peer 0", "peer 1", "peer 2"] + [None] * 7
    assert said("other %d") == "other 0"
    now = 61.0
    assert said("peer %d", 11) == "peer 11 (and 7 more like it)"
    assert said("peer %d", 12) == "peer 12"


def test_texts_that_never_repeat_take_no_memory() -> None:
    repeats = journal.Repeats()
    for number in range(2_000):
        record = logging.LogRecord("x", logging.INFO, "", 0, f"text {number}", (), None)
        assert repeats.filter(record)
    assert len(repeats._said) <= 256


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
