"""The pinned target schemas, for the table compiler and the validators.

Each reader is cached and answers from `mappings/schemas/`, which `.ci/schemas/make` writes.
"""

from __future__ import annotations

from datto_siem.converters.schemas.cim_models import Cim, CimDataset, CimField, cim
from datto_siem.converters.schemas.ecs_fields import Ecs, EcsField, ecs, ecs_type, ecs_versions
from datto_siem.converters.schemas.ocsf_classes import (
    Ocsf,
    OcsfAttribute,
    OcsfClass,
    OcsfObject,
    OcsfType,
    ocsf,
    ocsf_versions,
)
from datto_siem.converters.schemas.sentinel_columns import Column, Sentinel, columns

__all__ = [
    "Cim",
    "CimDataset",
    "CimField",
    "Column",
    "Ecs",
    "EcsField",
    "Ocsf",
    "OcsfAttribute",
    "OcsfClass",
    "OcsfObject",
    "OcsfType",
    "Sentinel",
    "cim",
    "columns",
    "ecs",
    "ecs_type",
    "ecs_versions",
    "ocsf",
    "ocsf_versions",
]
