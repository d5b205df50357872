"""What is wrong with a configuration, said in words that help, and without any secret."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import jsonschema

    from datto_siem.plugins.forwarder.places import Path as Place


def told(error: jsonschema.ValidationError) -> Iterator[tuple[Place, str]]:
    """A schema's complaint in our words, without any value that may be a secret."""
    path = tuple(error.absolute_path)
    name = f"`{path[-1]}`" if path else "the file"
    wanted: Any = error.validator_value
    around: Any = error.schema
    given: Any = error.instance
    if error.validator == "additionalProperties" and isinstance(given, dict):
        known = list(around["properties"])
        for extra in sorted(set(given) - set(known)):
            yield (*path, extra), f"no option {extra!r}; {near(extra, known)}"
    elif error.validator == "required":
        yield path, f"missing: {', '.join(each for each in wanted if each not in given)}"
    elif "env" in around.get("properties", {}):
        yield path, f'{name} is a secret: write {{ env = "NAME" }} or {{ file = "/path" }}'
    else:
        hint = around.get("description", "")
        said = _COMPLAINTS.get(str(error.validator), "is not valid").format(wanted)
        yield path, f"{name} {said}" + (f" ({hint})" if hint else "")


_COMPLAINTS = {
    "enum": "must be one of {}",
    "type": "must be of type {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minItems": "needs at least one entry",
    "minLength": "must not be empty",
    "maxLength": "must have at most {} characters",
    "pattern": "must match {}",
    "anyOf": 'must be a number or text such as "64MB" or "30s"',
}


def near(name: str, known: list[str]) -> str:
    """A hint what was meant by a name that is not known."""
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
