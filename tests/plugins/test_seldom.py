"""Warnings anybody on the network can cause."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from datto_siem.plugins.seldom import Seldom

if TYPE_CHECKING:
    import pytest

LOG = logging.getLogger("datto_siem.test")


def test_one_line_of_a_kind_in_a_while_with_how_often(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    seldom = Seldom(LOG, "tls", clock=lambda: now)
    for number in range(5):
        seldom.warn("TLS failed", f"192.0.2.{number}")
        seldom.warn("cannot accept", "too many files")
    now += 11
    seldom.warn("TLS failed", "192.0.2.9")
    assert [record.getMessage() for record in caplog.records] == [
        "tls: TLS failed: 192.0.2.0",
        "tls: cannot accept: too many files",
        "tls: TLS failed: 192.0.2.9; 4 more since the last such line",
    ]


def test_what_a_terminal_would_obey_is_escaped_and_long_text_is_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Seldom(LOG, "tcp").warn("broke", "\x1b[2J\n\u202e" + "x" * 1000)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(r"tcp: broke: \x1b[2J\n\u202e" + "xxx")
    assert len(message) < 350
