"""One thing wrong with one document."""

from __future__ import annotations

from typing import NamedTuple

WARNING = "warning: "


class Finding(NamedTuple):
    """One thing wrong.

    Attributes:
        path: Where, dotted with `[n]` for list members; empty for the document as a whole.
        problem: What, for the operator. Starts with `warning: ` where the schema's own validator
            only warns.
    """

    path: str
    problem: str

    @property
    def warning(self) -> bool:
        """True where the document is legal all the same."""
        return self.problem.startswith(WARNING)


def under(path: str, name: str | int) -> str:
    """The path of a member."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """A value short enough for a message, control characters escaped."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
