"""The pinned Splunk CIM field expectations: data sets with all they inherit."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.schemas.extract import load

if TYPE_CHECKING:
    from collections.abc import Mapping


class CimField(NamedTuple):
    """One field of a data set.

    Attributes:
        name: Field name.
        type: required, conditional, optional, not_allowed_in_search, not_allowed_in_props or
            not_allowed_in_search_and_props.
        expected_values: Closed list of values, empty where there is none.
        validity: SPL expression that is null for a bad value, or None. Not evaluated.
        condition: SPL search that says when a conditional field is required, or None.
        multi_value: True where several values are normal.
    """

    name: str
    type: str
    expected_values: tuple[str, ...]
    validity: str | None
    condition: str | None
    multi_value: bool

    @property
    def forbidden(self) -> bool:
        """True where an event of the data set must not have the field."""
        return self.type.startswith("not_allowed")

    @property
    def numeric(self) -> bool:
        """True where the validity asks for a number."""
        return self.validity is not None and f"isnum({self.name})" in self.validity


class CimDataset(NamedTuple):
    """One data set.

    Attributes:
        name: `Model.Object`, such as `Network_Sessions.DHCP`.
        tags: The tags an event must carry, all of one of the alternatives.
        constraint: SPL search of this data set and its parents, outermost first.
        clusters: Fields that come all together or not at all.
        fields: Own and inherited fields by name; an own field replaces the inherited one.
    """

    name: str
    tags: tuple[tuple[str, ...], ...]
    constraint: tuple[str, ...]
    clusters: tuple[tuple[str, ...], ...]
    fields: Mapping[str, CimField]


class Cim(NamedTuple):
    """The pinned models.

    Attributes:
        version: CIM version of the definitions.
        common: Fields an add-on must never set, with their type.
    """

    version: str
    common: Mapping[str, CimField]
    datasets: Mapping[str, CimDataset]

    def dataset(self, name: str) -> CimDataset:
        """The data set `Model.Object`.

        Raises:
            SchemaMissing: No pinned model has it.
        """
        if name not in self.datasets:
            raise SchemaMissing(f"CIM data set {name} is not in the pinned models")
        return self.datasets[name]


@cache
def cim() -> Cim:
    """The pinned CIM definitions."""
    content = load("cim")
    common = {name: _field(name, {"type": kind}) for name, kind in content["common"].items()}
    datasets = {
        f"{model}.{name}": _dataset(model, name, objects)
        for model, objects in content["models"].items()
        for name in objects
    }
    return Cim(content["version"], common, datasets)


def _dataset(model: str, name: str, objects: Mapping[str, Any]) -> CimDataset:
    entry = objects[name]
    parent = _dataset(model, entry["parent"], objects) if entry["parent"] else None
    own = {key: _field(key, shape) for key, shape in entry["fields"].items()}
    clusters = tuple(tuple(cluster) for cluster in entry["clusters"])
    return CimDataset(
        name=f"{model}.{name}",
        tags=tuple(tuple(tags) for tags in entry["tags"]),
        constraint=(*(parent.constraint if parent else ()), entry["constraint"]),
        clusters=(*(parent.clusters if parent else ()), *clusters),
        fields={**(parent.fields if parent else {}), **own},
    )


def _field(name: str, shape: Mapping[str, Any]) -> CimField:
    return CimField(
        name=name,
        type=shape["type"],
        expected_values=tuple(shape.get("expected_values", ())),
        validity=shape.get("validity"),
        condition=shape.get("condition"),
        multi_value=shape.get("multi_value", False),
    )
