"""What tests that need something installed do without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINES = ROOT / ".engines"


def needed(present: bool, what: str) -> None:
    """Skip when something is absent; in CI, where it is installed before, fail."""
    if present:
        return
    reason = f"{what} is not installed: run .ci/engines/install"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
