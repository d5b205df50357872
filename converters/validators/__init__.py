"""Checks finished documents against the pinned schemas, for `datto-siem validate` and the tests.

`validator(target)` takes a document alone; `validators.cim.check` also takes what the tables say
about it (data set, tags, waivers), which a CIM document does not carry.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from datto_siem.converters import schemas
from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.validators.cim import check as check_cim
from datto_siem.converters.validators.ecs import check as check_ecs
from datto_siem.converters.validators.finding import Finding
from datto_siem.converters.validators.ocsf import check as check_ocsf
from datto_siem.converters.validators.sentinel import check_asim, check_csl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TARGETS", "Finding", "validator"]

TARGETS = ("ecs", "cim", "ocsf", "asim", "csl")


def validator(
    target: str, version: str | None = None
) -> Callable[[Mapping[str, object]], list[Finding]]:
    """The checker for documents of a target.

    Args:
        target: One of `TARGETS`.
        version: Schema version to check against. Only ECS and OCSF have several; by default
            a document is checked against the version it states.

    Raises:
        SchemaMissing: There is no such target, or its version is not pinned.
    """
    if target == "ecs":
        if version is not None:
            schemas.ecs(version)
        return partial(check_ecs, version=version)
    if target == "ocsf":
        if version is not None:
            schemas.ocsf(version)
        return partial(check_ocsf, version=version)
    single: dict[str, Callable[[Mapping[str, object]], list[Finding]]] = {
        "cim": check_cim,
        "asim": check_asim,
        "csl": check_csl,
    }
    if target not in single:
        raise SchemaMissing(f"there is no target {target!r}; targets are {', '.join(TARGETS)}")
    return single[target]
