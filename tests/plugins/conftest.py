"""Running the command line in this process."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from lines import generate

from datto_siem.plugins.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

AT = "2026-11-24T10:00:00Z"


class Outcome(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[bytes]:
        return self.out.splitlines()


@pytest.fixture
def cli(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    def run(*argv: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main([str(arg) for arg in argv])
        out, err = capsysbinary.readouterr()
        return Outcome(code, out, err.decode())

    return run


@pytest.fixture(scope="session")
def traffic() -> bytes:
    """3,000 records with every quirk, none of them blank."""
    raws = (line.raw.replace(b"\n", b" ") for line in generate(3_200, seed=4))
    kept = [raw for raw in raws if raw.strip(b" \t\r\n\v\f\0")]
    return b"".join(raw + b"\n" for raw in kept[:3_000])
