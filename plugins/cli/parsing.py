"""Command-line parsing that all commands share: the parser's tone, common options, their types."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from datto_siem.converters import times
from datto_siem.plugins.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TARGETS = "ecs, cim, ocsf, asim, csl or cef"
EXIT_CODES = "exit codes: 0 done; 2 misuse, bad configuration or a failed read or write"


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints say what is wrong and what to do."""

    def __init__(self, prog: str | None = None, **rest: Any) -> None:
        """Options are never abbreviated: a script would break when a longer one comes."""
        super().__init__(prog=prog, allow_abbrev=False, **rest)
        self._mixed = True

    def error(self, message: str) -> NoReturn:
        """Exit by the common way out instead of printing the usage."""
        raise Failure(message, f"see `{self.prog} --help`")

    def add_subparsers(self, **rest: Any) -> argparse._SubParsersAction[Parser]:  # type: ignore[override]
        """Remember that options must come before an action's own."""
        self._mixed = False
        return super().add_subparsers(parser_class=Parser, **rest)

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse; options may stand between files."""
        return self.parse_intermixed_args(argv) if self._mixed else self.parse_args(argv)


def describe(parser: argparse.ArgumentParser, text: str, *examples: str, codes: str = "") -> None:
    """Set a command's description, and examples and exit codes below its options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = text
    shown = "\n".join(f"  {example}" for example in examples)
    parser.epilog = f"examples:\n{shown}\n\n{codes or EXIT_CODES}"


def add_tables(parser: argparse.ArgumentParser) -> None:
    """`--tables` and `--switch`: how records are read."""
    parser.add_argument(
        "--tables", metavar="DIR", type=Path, help="your own mapping tables, laid over ours"
    )
    parser.add_argument(
        "--switch",
        metavar="HOST",
        action="append",
        default=[],
        help="name or address of a Datto switch, whose plain syslog is then read as a switch's;"
        " may be given again",
    )


def add_received(parser: argparse.ArgumentParser) -> None:
    """`--received-at`."""
    parser.add_argument(
        "--received-at",
        metavar="TIME",
        type=received,
        help="the receive time to assume: RFC 3339 or epoch; default now."
        " With it the same input gives the same output",
    )


def received(text: str) -> int:
    """A receive time in epoch milliseconds, for argparse."""
    when = times.read(text.strip(), time.time_ns() // 1_000_000)
    if when is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 2026-11-24T10:00:00Z or 1795514400"
        )
    return when


def at_least_one(text: str) -> int:
    """A positive number, for argparse."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1024):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1024")
    return int(text)


def choices(names: Iterable[str]) -> str:
    """Names for a message: `a, b or c`."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
