"""Plugins by name: the name is the module's name, and a new module needs no registration."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

KINDS = ("filters", "generators", "sinks", "sources")


class Unknown(LookupError):
    """No plugin of that name; the message lists them."""


def names(kind: str) -> list[str]:
    """The plugins of a kind, without importing them."""
    package = import_module(f"datto_siem.plugins.{kind}")
    return sorted(
        info.name
        for info in pkgutil.iter_modules(package.__path__)
        if not info.ispkg and not info.name.startswith("_")
    )


def plugin(kind: str, name: str) -> ModuleType:
    """Import one plugin.

    Args:
        kind: One of `KINDS`.
        name: Its name; checked against the list, so a configuration cannot import anything else.

    Raises:
        Unknown: No such plugin.
    """
    listed = names(kind)
    if name not in listed:
        raise Unknown(f"no {name!r}; there are {', '.join(listed)}")
    return import_module(f"datto_siem.plugins.{kind}.{name}")
