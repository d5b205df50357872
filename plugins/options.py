"""Options: a frozen dataclass is at once the type, the JSON Schema and the documentation.

Each field is made by `option`, with one sentence that says what it does. Types: `str`, `bool`,
`int`, `float`, `Size`, `Duration`, `Secret`, `Literal[...]`, `list[...]`, `dict[str, ...]`, another
such dataclass, and `... | None`.
"""

from __future__ import annotations

import re
import types
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from datto_siem.plugins.secret import Secret

Size = NewType("Size", int)
"""Bytes; in TOML a number or text such as `"64MB"` (decimal) or `"64MiB"`."""
Duration = NewType("Duration", float)
"""Seconds; in TOML a number or text such as `"500ms"`, `"30s"`, `"5m"`, `"12h"`, `"7d"`."""

_SIZE = r"^[0-9]+(\.[0-9]+)?\s*([kKMGT]i?)?B?$"
_DURATION = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)$"
_SIZES = {
    "": 1,
    **{letter: 1000**power for power, letter in enumerate(("k", "M", "G", "T"), 1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate(("k", "M", "G", "T"), 1)},
}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

T = TypeVar("T")


def option(doc: str, default: Any = MISSING, **schema: Any) -> Any:
    """A field of a dataclass of options.

    Args:
        doc: One sentence for the documentation.
        default: Its default; left out, the option is required. Lists and dicts are copied.
        schema: JSON Schema keywords beside the type: `minimum`, `pattern`, `examples` ...
    """
    about = {"doc": doc, "schema": schema}
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata=about)
    if default is MISSING:
        return field(metadata=about)
    return field(default=default, metadata=about)


def schema(config: type) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a dataclass of options, as TOML writes them."""
    hints = get_type_hints(config)
    properties = {each.name: _described(each, hints[each.name]) for each in fields(config)}
    required = [each.name for each in fields(config) if _required(each)]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def build(config: type[T], given: dict[str, Any]) -> T:
    """An instance from TOML values that passed the schema.

    Raises:
        ValueError: A check that the schema cannot express (`__post_init__`); says what to do.
    """
    hints = get_type_hints(config)
    return config(**{name: _value(hints[name], value) for name, value in given.items()})


def documented(config: type) -> list[tuple[str, str, str, str]]:
    """Rows for the documentation: name, type, default, what it does; nested ones with dots."""
    rows = []
    hints = get_type_hints(config)
    for each in fields(config):
        kind = _bare(hints[each.name])
        if _is_options(kind):
            inner = documented(kind)
            rows += [
                (f"{each.name}.{name}", type_, given, doc) for name, type_, given, doc in inner
            ]
        else:
            rows.append((each.name, _named(kind), _default(each), each.metadata["doc"]))
    return rows


def _is_options(kind: Any) -> bool:
    return is_dataclass(kind) and kind is not Secret


def _required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _default(each: Field[Any]) -> str:
    if _required(each):
        return "required"
    value = each.default
    if each.default_factory is not MISSING:
        value = each.default_factory()
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _described(each: Field[Any], hint: Any) -> dict[str, Any]:
    return {**_schema(hint), "description": each.metadata["doc"], **each.metadata["schema"]}


def _bare(hint: Any) -> Any:
    """A type without `| None`."""
    if get_origin(hint) in (Union, types.UnionType):
        (kept,) = [part for part in get_args(hint) if part is not type(None)]
        return kept
    return hint


def _named(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if origin is list:
        return f"list of {_named(get_args(kind)[0])}"
    if origin is dict:
        return f"table of {_named(get_args(kind)[1])}"
    plain = {str: "text", bool: "true or false", int: "number", float: "number"}
    named = {Size: "size", Duration: "duration", Secret: "secret"}
    return {**plain, **named}.get(kind) or "table"


def _schema(hint: Any) -> dict[str, Any]:
    kind = _bare(hint)
    origin = get_origin(kind)
    if origin is Literal:
        return {"enum": list(get_args(kind))}
    if origin is list:
        return {"type": "array", "items": _schema(get_args(kind)[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(get_args(kind)[1])}
    if kind is Secret:
        text = {"type": "string", "minLength": 1}
        one = {"type": "object", "additionalProperties": False, "minProperties": 1}
        return {**one, "maxProperties": 1, "properties": {"env": text, "file": text}}
    if kind is Size:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE}]}
    if kind is Duration:
        text = {"type": "string", "pattern": _DURATION}
        return {"anyOf": [{"type": "number", "minimum": 0}, text]}
    if _is_options(kind):
        return schema(kind)
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    return {"type": names[kind]}


def _value(hint: Any, value: Any) -> Any:
    kind = _bare(hint)
    origin = get_origin(kind)
    if origin is list:
        return [_value(get_args(kind)[0], each) for each in value]
    if origin is dict:
        return {name: _value(get_args(kind)[1], each) for name, each in value.items()}
    if kind is Secret:
        return Secret(**value)
    if kind is Size:
        return value if isinstance(value, int) else size(value)
    if kind is Duration:
        return duration(value) if isinstance(value, str) else float(value)
    if kind is float:
        return float(value)
    if _is_options(kind):
        return build(kind, value)
    return value


def size(text: str) -> int:
    """Bytes of a text such as `64MiB`.

    Raises:
        ValueError: Not such a text.
    """
    if not re.match(_SIZE, text):
        raise ValueError(f'{text!r} is no size: write such as "64MB"')
    number, unit = _number(text.removesuffix("B"))
    return int(number * _SIZES[unit.replace("K", "k")])


def duration(text: str) -> float:
    """Seconds of a text such as `5m`.

    Raises:
        ValueError: Not such a text.
    """
    if not re.match(_DURATION, text):
        raise ValueError(f'{text!r} is no duration: write such as "30s"')
    number, unit = _number(text)
    return number * _SECONDS[unit]


def _number(text: str) -> tuple[float, str]:
    unit = text.lstrip("0123456789.").strip()
    return float(text[: len(text) - len(text.lstrip("0123456789."))]), unit
