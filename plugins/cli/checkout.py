"""Whether we run from a checkout of the project, where tables and fixtures can be written."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from datto_siem.plugins.failure import Failure


def root() -> Path | None:
    """The checkout's top folder; None for an installed package."""
    mappings = resources.files("datto_siem.mappings")
    if not isinstance(mappings, Path):
        return None
    top = mappings.resolve().parent
    project = top / "pyproject.toml"
    named = project.is_file() and 'name = "datto-siem"' in project.read_text(encoding="utf-8")
    return top if named and (top / "fixtures").is_dir() else None


def needed(what: str) -> Path:
    """The same, where there is no way without one.

    Args:
        what: What needs it, for the message.

    Raises:
        Failure: This is no checkout.
    """
    top = root()
    if top is None:
        raise Failure(
            f"{what} works in a checkout of the project",
            "clone it and `pip install -e .`, or use a directory of your own",
        )
    return top
