"""What the tables say, as typed rows: vocabulary, sources, targets, lookups.

Rows keep `where` (`file:line`), so that every later fault and every `explain` can name them.
Expressions stay nodes here; `expression.parse` turns them into values the plan can run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.converters.tables.nodes import Node

TYPES = ("text", "int", "float", "bool", "mac", "ip", "time", "duration", "list", "dict")


class Field(NamedTuple):
    """One canonical field: filled by decoder or caller (`given`), sources (`field`), or derived."""

    name: str
    type: str
    origin: str
    doc: str
    where: str
    inferred: bool = False
    expr: Node | None = None


class Activity(NamedTuple):
    """A canonical thing that happened, with its fixed title and its one-line message."""

    name: str
    title: str
    message: Node
    doc: str
    inferred: bool
    where: str


class Vocabulary(NamedTuple):
    """The hub: the closed list of fields and activities."""

    fields: Mapping[str, Field]
    derived: tuple[Field, ...]
    activities: Mapping[str, Activity]


class Key(NamedTuple):
    """How one wire key is read.

    Attributes:
        key: The key as sent; `groups.*` for a numbered list.
        cast: Name of the cast.
        parts: Part of the cast -> canonical field; the part of a one-valued cast is "".
        colon: Whether `key:value` is accepted beside `key=value`.
        wins: Whether this key's value stands when two keys fill one field.
        agrees: A header field this key repeats; a difference is noted.
        among: `lookup.column` or words: values outside it are noted.
        free: Whether strangers choose the value (SSID, DHCP host name, DNS name): what looks like
            an undocumented pair after it is part of the value.
    """

    key: str
    cast: str
    parts: Mapping[str, str]
    colon: bool
    wins: bool
    free: bool
    inferred: bool
    doc: str
    where: str
    agrees: str = ""
    among: tuple[str, ...] = ()
    personal: bool = False


class SourceEvent(NamedTuple):
    """One event of a source: its names on the wire and what it is."""

    id: str
    names: tuple[str, ...]
    activity: str
    keys: tuple[str, ...]
    overrides: Mapping[str, Key | None]
    inferred: bool
    doc: str
    where: str


class Source(NamedTuple):
    """One product's events and keys.

    Attributes:
        vendor: Folded vendor name, or "" for any.
        products: Folded product patterns; `*` matches any run.
        oldest: Oldest firmware the vendor supports for this, or "".
    """

    name: str
    vendor: str
    products: tuple[str, ...]
    any: bool
    takes_text: bool
    inferred: bool
    constants: Mapping[str, str]
    time: tuple[str, ...]
    keys: Mapping[str, Key]
    events: Mapping[str, SourceEvent]
    samples: Mapping[str, str]
    oldest: str
    where: str


class Lookup(NamedTuple):
    """A named table: lower-case key -> column -> value."""

    name: str
    columns: Mapping[str, str]
    rows: Mapping[str, Mapping[str, object]]
    default: Mapping[str, object]
    where: str


class Row(NamedTuple):
    """One path of a target and the expression that fills it; `node` None takes a row away."""

    path: str
    node: Node | None
    where: str


class Layer(NamedTuple):
    """A group of rows and facts: the common rows, a block, or one variant of an activity."""

    name: str
    rows: tuple[Row, ...]
    facts: Mapping[str, Node]
    use: tuple[str, ...] = ()
    alone: bool = False
    inferred: bool = False
    when: Node | None = None
    where: str = ""


class Target(NamedTuple):
    """One schema's table, for one of its versions.

    Attributes:
        own: Roots that are ours, not the schema's.
        pivots: Paths that repeat values for searching and are no value's only home.
    """

    name: str
    version: str
    formats: Mapping[str, str]
    leftovers_into: str
    leftovers_as: str
    incomplete: str
    observables: tuple[int, ...]
    own: tuple[str, ...]
    pivots: frozenset[str]
    fact_names: tuple[str, ...]
    common: Layer
    blocks: Mapping[str, Layer]
    keys: Mapping[str, tuple[str, str]]
    activities: Mapping[str, tuple[Layer, ...]]
    said: Mapping[str, Node]
    leave: Mapping[str, Node]
    where: str


class DictionaryKey(NamedTuple):
    """A key of the CEF standard: full name, type and length; `field` where it fills one."""

    key: str
    name: str
    cast: str
    size: int | None
    field: str | None
    where: str


class Tables(NamedTuple):
    """Everything under `mappings/`, overlays merged in."""

    vocabulary: Vocabulary
    dictionary: Mapping[str, DictionaryKey]
    sources: Mapping[str, Source]
    lookups: Mapping[str, Lookup]
    targets: Mapping[str, Node]
    version: str
    roots: Mapping[str, Node]
