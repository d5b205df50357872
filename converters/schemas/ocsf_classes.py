"""The pinned OCSF schema: classes, objects and scalar types of one version."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters.schemas.extract import load, pinned_version, variant

if TYPE_CHECKING:
    from collections.abc import Mapping

_OBJECT = "object_t"


class OcsfType(NamedTuple):
    """One scalar type.

    Attributes:
        name: Such as `port_t`.
        base: One of boolean_t, float_t, integer_t, json_t, long_t, string_t.
        pattern: Regular expression (searched for, not anchored by itself), or None.
        low: Smallest number, or None.
        high: Largest number, or None.
        max_len: Longest text in characters, or None.
        observable: Observable type id, or None.
    """

    name: str
    base: str
    pattern: str | None
    low: int | None
    high: int | None
    max_len: int | None
    observable: int | None


class OcsfAttribute(NamedTuple):
    """One attribute of a class or object.

    Attributes:
        name: Attribute name.
        type: Scalar type, or `object_t`.
        object_type: Name of the object for `object_t`, else None.
        array: True for a list of such values.
        required: True where the schema demands it (under its profiles, if any).
        sibling: The attribute that holds the caption of an enumerated id, or None.
        enum: Value to caption; keys are int for integer types, else text. Empty where open.
        profiles: Profiles one of which must be declared; empty means always there.
        observable: Observable type id of the attribute, its scalar type or its object, or None.
        deprecated: True where the schema advises against it.
        pattern: The scalar type's regular expression, or None.
    """

    name: str
    type: str
    object_type: str | None
    array: bool
    required: bool
    sibling: str | None
    enum: Mapping[int | str, str]
    profiles: frozenset[str]
    observable: int | None
    deprecated: bool
    pattern: str | None


class OcsfObject(NamedTuple):
    """One object; no attributes at all means that it is open (`unmapped`)."""

    name: str
    attributes: Mapping[str, OcsfAttribute]
    at_least_one: tuple[str, ...]
    just_one: tuple[str, ...]
    observable: int | None


class OcsfClass(NamedTuple):
    """One event class."""

    name: str
    uid: int
    caption: str
    category_uid: int
    category_name: str
    attributes: Mapping[str, OcsfAttribute]
    at_least_one: tuple[str, ...]
    just_one: tuple[str, ...]


class Ocsf(NamedTuple):
    """One version of OCSF, cut down to what this product can emit."""

    version: str
    classes: Mapping[str, OcsfClass]
    objects: Mapping[str, OcsfObject]
    types: Mapping[str, OcsfType]
    observable_types: Mapping[int, str]

    def class_of(self, uid: int) -> OcsfClass | None:
        """The class with that `class_uid`, or None where it is not pinned."""
        return next((found for found in self.classes.values() if found.uid == uid), None)


def ocsf_versions() -> tuple[str, ...]:
    """The versions `ocsf` knows, oldest first."""
    return tuple(load("ocsf")["versions"])


@cache
def ocsf(version: str) -> Ocsf:
    """One pinned version of OCSF.

    Attributes of other profiles than host, security_control and datetime are not pinned; so
    `cloud` and `osint`, which the schema's exports call required, are not here at all.

    Args:
        version: What `metadata.version` says, such as `1.8.0`.

    Raises:
        SchemaMissing: No extract has this version.
    """
    content = load("ocsf")
    return _Reader(content, pinned_version("OCSF", version, content["versions"])).schema(version)


class _Reader:
    """Picks one version out of the merged extract."""

    def __init__(self, content: Mapping[str, Any], key: tuple[int, ...]) -> None:
        self.content = content
        self.key = key
        self.types = {name: _scalar(name, shape) for name, shape in self._present("types")}
        self.heads = {
            kind: {
                name: head
                for name, entry in content[kind].items()
                if (head := variant(entry["head"], key)) is not None
            }
            for kind in ("classes", "objects")
        }

    def schema(self, version: str) -> Ocsf:
        captions = self._captions(self.content["observable_types"])
        return Ocsf(
            version=version,
            classes={name: self._class(name) for name in self.heads["classes"]},
            objects={name: self._object(name) for name in self.heads["objects"]},
            types=self.types,
            observable_types={int(value): caption for value, caption in captions.items()},
        )

    def _present(self, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        entries = self.content[kind].items()
        shapes = [(name, variant(entry, self.key)) for name, entry in entries]
        return [(name, shape) for name, shape in shapes if shape is not None]

    def _captions(self, enum: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for value, entry in enum.items():
            shape = variant({"caption": entry} if isinstance(entry, str) else entry, self.key)
            if shape is not None:
                found[value] = shape["caption"]
        return found

    def _class(self, name: str) -> OcsfClass:
        head = self.heads["classes"][name]
        return OcsfClass(
            name=name,
            uid=head["uid"],
            caption=head["caption"],
            category_uid=head["category_uid"],
            category_name=head["category_name"],
            attributes=self._attributes(self.content["classes"][name]["attributes"]),
            at_least_one=tuple(head.get("at_least_one", ())),
            just_one=tuple(head.get("just_one", ())),
        )

    def _object(self, name: str) -> OcsfObject:
        head = self.heads["objects"][name]
        return OcsfObject(
            name=name,
            attributes=self._attributes(self.content["objects"][name]["attributes"]),
            at_least_one=tuple(head.get("at_least_one", ())),
            just_one=tuple(head.get("just_one", ())),
            observable=head.get("observable"),
        )

    def _attributes(self, entries: Mapping[str, Any]) -> dict[str, OcsfAttribute]:
        found = {}
        for name, entry in entries.items():
            shape = variant(entry, self.key)
            if shape is not None:
                found[name] = self._attribute(name, shape, entry.get("enum", {}))
        return found

    def _attribute(
        self, name: str, shape: Mapping[str, Any], enum: Mapping[str, Any]
    ) -> OcsfAttribute:
        object_type = shape.get("object")
        scalar = self.types.get(shape.get("type", ""))
        captions = self._captions(enum)
        number = scalar is not None and scalar.base in ("integer_t", "long_t")
        inherited = scalar.observable if scalar else self._observable(object_type)
        return OcsfAttribute(
            name=name,
            type=shape.get("type", _OBJECT),
            object_type=object_type,
            array=shape.get("array", False),
            required=shape.get("required", False),
            sibling=shape.get("sibling"),
            enum={int(value) if number else value: text for value, text in captions.items()},
            profiles=frozenset(shape.get("profiles", ())),
            observable=shape.get("observable", inherited),
            deprecated=shape.get("deprecated", False),
            pattern=scalar.pattern if scalar else None,
        )

    def _observable(self, object_type: str | None) -> int | None:
        head: Mapping[str, Any] = self.heads["objects"].get(object_type or "", {})
        return head.get("observable")


def _scalar(name: str, shape: Mapping[str, Any]) -> OcsfType:
    low, high = shape.get("range", (None, None))
    return OcsfType(
        name=name,
        base=shape.get("base", name),
        pattern=shape.get("regex"),
        low=low,
        high=high,
        max_len=shape.get("max_len"),
        observable=shape.get("observable"),
    )
