"""`datto-siem explain`: what was made of a record, and where each output field comes from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from datto_siem.converters import Converter
from datto_siem.converters.convert import CEF
from datto_siem.plugins.archives import BYTES, STDIN, sources
from datto_siem.plugins.cli import parsing, reading_view, writing_view
from datto_siem.plugins.cli.output import StandardOutput
from datto_siem.plugins.failure import DONE, Failure
from datto_siem.plugins.shown import paint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from datto_siem.converters import Event
    from datto_siem.plugins.shown import Paint

_TEXT = """\
Show how a record is read and how a document is made of it: envelope, header, every pair with its
offset (in characters, from 0) and the typed field it fills, every repair and doubt, documented
keys that are missing, and every output field with the fields and keys it comes from and the table
row that writes it. `inferred` marks what the vendor's page does not settle. Bytes from the wire
are shown escaped (\\x1b, \\u202e), never as they are."""


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT,
        "datto-siem explain 'CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300412 ...'",
        "grep key-mismatch syslog.log | datto-siem explain --to ocsf | less -R",
    )
    parser.add_argument("line", metavar="LINE", nargs="?", help="a record; else standard input's")
    parser.add_argument(
        "--to", metavar="TARGET", default="ecs", help=f"{parsing.TARGETS}; default ecs"
    )
    parser.add_argument(
        "--ocsf-version", metavar="V", help="OCSF version to write, such as 1.1.0; default 1.8.0"
    )
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parsing.add_received(parser)
    parsing.add_tables(parser)


def run(args: argparse.Namespace) -> int:
    """Explain; returns the exit code."""
    if args.ocsf_version is not None and args.to != "ocsf":
        raise Failure("--ocsf-version is for --to ocsf", "leave it out")
    try:
        converter = Converter(args.to, args.ocsf_version, args.tables, args.switch)
    except ValueError as error:
        raise Failure(f"--to: {error}", "choose one of those") from error
    out = StandardOutput()
    colours = paint(args.color, sys.stdout)
    for ordinal, raw in enumerate(_records(args.line)):
        event = converter.decoder.decode(raw, args.received_at, ordinal=ordinal)
        lines = [colours("heading", f"record {ordinal + 1}"), *explained(converter, event, colours)]
        out.write("\n".join([*lines, "", ""]).encode())
    return DONE


def _records(line: str | None) -> Iterator[bytes]:
    if line is not None and line != STDIN:
        yield os.fsencode(line)
        return
    for source in sources([]):
        for lines in source.lines():
            yield from (record.encode(BYTES) for record in lines.records())


def explained(converter: Converter, event: Event, colours: Paint) -> Iterator[str]:
    """The lines that explain one event."""
    if converter.name == CEF:
        yield from reading_view.view(converter.tables, event, colours)
        yield from writing_view.cef(converter.line(event), colours)
        return
    run = converter.run(event)  # may add a note, so it comes before notes are shown
    yield from reading_view.view(converter.tables, event, colours)
    yield from writing_view.view(converter, event, run, colours)
