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
def stderr(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def shown(inputs, stderr, quiet=False):
    bar = Progress(inputs, quiet)
    for each in inputs:
        each.consumed = 5 << 20
    bar.update(1000)
    bar.close()
    return stderr.getvalue()


def test_large_files_show_bytes_at_once(stderr):
    text = shown([Input(LARGE), Input(1)], stderr)
    assert "/8.00M" in text
    assert "B/s" in text


def test_small_files_show_nothing_at_once(stderr):
    assert shown([Input(LARGE)], stderr) == ""


def test_small_input_that_takes_long_shows_records_or_bytes(stderr, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    assert "1.00k records" in shown([Input(None)], stderr)
    assert "/10.0" in shown([Input(10)], stderr)


def test_quiet_shows_nothing(stderr):
    assert shown([Input(LARGE + 1)], stderr, quiet=True) == ""


def test_no_terminal_shows_nothing(monkeypatch):
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    assert shown([Input(LARGE + 1)], plain) == ""


def test_data_on_the_terminal_is_not_mixed_with_a_bar(stderr, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert shown([Input(LARGE + 1)], stderr) == ""
