"""Presets of the HTTP sink: data in `http_presets.yaml`, read and checked here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Preset:
    """What is known of one product; None where it does not care.

    Attributes:
        url: Template of the address; the only placeholder is `{region}`.
        default_region: Address when no region is given.
        token_header: Header that carries the token bare.
        framing: How events are joined.
        to: Form of the events.
        ocsf_version: Version of OCSF it reads.
        under: Key that a document is put under.
        max_count: Most events a request.
        max_bytes: Most bytes a request, before compression.
        notes: What must be ready there.
    """

    url: str | None = None
    default_region: str | None = None
    token_header: str | None = None
    framing: str | None = None
    to: str | None = None
    ocsf_version: str | None = None
    under: str | None = None
    max_count: int | None = None
    max_bytes: int | None = None
    notes: str = ""

    def address(self, region: str | None) -> str | None:
        """Where to post; None when only the user knows."""
        if region is None or self.url is None:
            return self.default_region
        return self.url.replace("{region}", region)


NONE = Preset()


@cache
def presets() -> dict[str, Preset]:
    """Every preset by name."""
    text = files(__package__).joinpath("http_presets.yaml").read_text(encoding="utf-8")
    return {name: Preset(**found) for name, found in yaml.safe_load(text).items()}
