from __future__ import annotations

import io
import sys

import pytest

from datto_siem.plugins.cli import progress
from datto_siem.plugins.cli.progress import LARGE, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Input:
    def __init__(self, size):
        self.size = size
        self.consumed = 0


@pytest.fixture
def shown(monkeypatch):
    """What standard error gets to see of a run."""

    def run(inputs, stderr=None, quiet=False):
        stderr = stderr or Terminal()
        monkeypatch.setattr(sys, "stderr", stderr)  # not before: pytest sets it for each test
        bar = Progress(inputs, quiet)
        for each in inputs:
            each.consumed = 5 << 20
        bar.update(1000)
        bar.close()
        return stderr.getvalue()

    return run


def test_large_files_show_bytes_at_once(shown):
    text = shown([Input(LARGE), Input(1)])
    assert "/8.00M" in text
    assert "B/s" in text


def test_small_files_show_nothing_at_once(shown):
    assert shown([Input(LARGE)]) == ""


def test_input_that_takes_long_shows_records_or_bytes(shown, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    assert " records/s" in shown([Input(None)])
    assert "/10.0" in shown([Input(10)])


def test_quiet_shows_nothing(shown):
    assert shown([Input(LARGE + 1)], quiet=True) == ""


def test_no_terminal_shows_nothing(shown):
    assert shown([Input(LARGE + 1)], io.StringIO()) == ""


def test_data_on_the_terminal_is_not_mixed_with_a_bar(shown, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert shown([Input(LARGE + 1)]) == ""
