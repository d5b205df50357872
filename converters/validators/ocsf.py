"""Checks an event against OCSF: entry point, class, version and profiles.

The attributes themselves are `ocsf_structure`'s; what a JSON Schema cannot say (type_uid,
siblings, observables) is `ocsf_semantics`'s. The rules follow the reference server's validator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datto_siem.converters.schemas import ocsf, ocsf_versions
from datto_siem.converters.validators.finding import Finding, shown
from datto_siem.converters.validators.ocsf_semantics import semantics
from datto_siem.converters.validators.ocsf_structure import Scope, structure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters.schemas import OcsfClass

PROFILES = frozenset({"host", "security_control", "datetime"})  # what the extract holds


def check(document: Mapping[str, object], version: str | None = None) -> list[Finding]:
    """All that is wrong with an OCSF event.

    Args:
        document: The event.
        version: Version to check against; by default what `metadata.version` says.

    Raises:
        SchemaMissing: `version` is given and not pinned.
    """
    metadata = document.get("metadata")
    stated = metadata.get("version") if isinstance(metadata, Mapping) else None
    if version is None and (not isinstance(stated, str) or stated not in ocsf_versions()):
        pinned = ", ".join(ocsf_versions())
        return [Finding("metadata.version", f"{shown(stated)} is not one of {pinned}")]
    schema = ocsf(version or str(stated))
    found = []
    if version is not None and stated != version:
        found.append(Finding("metadata.version", f"{shown(stated)} is not {version}"))
    uid = document.get("class_uid")
    klass = schema.class_of(uid) if isinstance(uid, int) else None
    if klass is None:
        listed = ", ".join(
            str(known) for known in sorted(each.uid for each in schema.classes.values())
        )
        return [*found, Finding("class_uid", f"{shown(uid)} is not one of {listed}")]
    declared = metadata.get("profiles") if isinstance(metadata, Mapping) else None
    profiles = frozenset(
        name for name in (declared if isinstance(declared, list) else []) if isinstance(name, str)
    )
    scope = Scope(schema, profiles)
    found += _profiles(klass, profiles)
    found += structure(document, klass, scope)
    found += semantics(document, klass, scope)
    return found


def _profiles(klass: OcsfClass, profiles: frozenset[str]) -> Iterator[Finding]:
    offered = {name for attribute in klass.attributes.values() for name in attribute.profiles}
    for name in sorted(profiles):
        if name not in PROFILES:
            yield Finding("metadata.profiles", f"{name!r} is not pinned here and goes unchecked")
        elif name not in offered:
            yield Finding("metadata.profiles", f"{klass.name} has no profile {name!r}")
