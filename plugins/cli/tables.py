"""`datto-siem tables`: check, document and extend the mapping tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.converters.check import check
from datto_siem.converters.errors import TableErrors
from datto_siem.converters.tables.load import load
from datto_siem.plugins.cli import checkout, new_event, parsing
from datto_siem.plugins.cli.output import STDOUT, output
from datto_siem.plugins.failure import DONE, FINDINGS, Failure, os_failure
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_TEXT = """\
The mapping tables: sources/ say what Datto sends, targets/ where it goes, vocabulary.yaml what
both speak of. A directory of your own, laid out the same way, is laid over ours by --tables."""
_CODES = """\
exit codes: 0 done; 1 faults (check), stale (docs --check); 2 misuse or a failed read or write"""


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT,
        "datto-siem tables check ./my-tables",
        "datto-siem tables docs --check",
        "datto-siem tables new access_point wifi/roam --activity wifi.reassoc",
        codes=_CODES,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_check(actions.add_parser("check", help="print all faults, `file:line: problem`"))
    _add_docs(actions.add_parser("docs", help="write the field reference"))
    _add_new(actions.add_parser("new", help="add an event and its fixture"))


def _add_check(parser: parsing.Parser) -> None:
    parsing.describe(
        parser,
        "Print every fault of the tables at once.",
        "datto-siem tables check",
        "datto-siem tables check ./my-tables",
        codes="exit codes: 0 no faults; 1 faults; 2 misuse",
    )
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, help="your own tables")
    parser.set_defaults(act=_check)


def _add_docs(parser: parsing.Parser) -> None:
    parsing.describe(
        parser,
        "Write the field reference, mappings/README.md of a checkout unless -o names another file.",
        "datto-siem tables docs",
        "datto-siem tables docs --check",
        "datto-siem tables docs --tables ./my-tables -o fields.md",
        codes="exit codes: 0 done; 1 with --check, the file is stale; 2 misuse",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    parser.add_argument("-o", dest="output", metavar="FILE", help="where; - is standard output")
    parser.add_argument("--tables", metavar="DIR", type=Path, help="your own tables, laid over")
    parser.set_defaults(act=_docs)


def _add_new(parser: parsing.Parser) -> None:
    parsing.describe(
        parser,
        "Add an event: a row under `events:` of a source, and a fixture folder with a sample line."
        "\nWorks in a checkout, or on your own tables with --tables.",
        "datto-siem tables new access_point wifi/roam",
        "datto-siem tables new access_point wifi/roam --activity wifi.reassoc"
        " --keys rt,smac,cs2,dmac",
        codes="exit codes: 0 done; 2 misuse",
    )
    parser.add_argument("source", metavar="SOURCE", help="such as access_point or secure_edge")
    parser.add_argument("event", metavar="CLASS/NAME", help="as the CEF header has them")
    parser.add_argument("--activity", default="unknown", help="of vocabulary.yaml; default unknown")
    parser.add_argument(
        "--keys", metavar="K,K..", help="keys it documents; default: what all its siblings have"
    )
    parser.add_argument("--tables", metavar="DIR", type=Path, help="your own tables")
    parser.set_defaults(act=_new)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    act: Callable[[argparse.Namespace], int] = args.act
    return act(args)


def _check(args: argparse.Namespace) -> int:
    root = checkout.root()
    fixtures = root / "fixtures" if root is not None and args.directory is None else None
    try:
        faults = [str(fault) for fault in check(load(args.directory), fixtures)]
    except TableErrors as error:
        faults = [str(fault) for fault in error.exceptions]
    for fault in faults:
        print(escaped(fault))
    sys.stdout.flush()
    count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}" if faults else "no faults"
    print(f"{count} in the mapping tables", file=sys.stderr)
    return FINDINGS if faults else DONE


def _docs(args: argparse.Namespace) -> int:
    from datto_siem.converters.reference import markdown

    path = args.output
    if path is None:
        if args.tables is not None:
            raise Failure("your own tables have no reference file", "name one with -o FILE")
        path = str(checkout.needed("tables docs without -o") / "mappings" / "README.md")
    content = markdown(load(args.tables)).encode()
    if not args.check:
        with output(path, ()) as out:
            out.write(content)
        return DONE
    if path == STDOUT:
        raise Failure("--check compares with a file", "name one with -o FILE")
    if _content(path) == content:
        return DONE
    tables = f" --tables {args.tables}" if args.tables is not None else ""
    named = f" -o {path}" if args.output is not None else ""
    command = f"datto-siem tables docs{tables}{named}"
    print(f"{escaped(path)} is stale; mend it by: {escaped(command)}")
    return FINDINGS


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise os_failure(f"cannot read {escaped(path)}", error) from error


def _new(args: argparse.Namespace) -> int:
    keys = None if args.keys is None else [key.strip() for key in args.keys.split(",")]
    event = new_event.NewEvent(args.source, args.event, args.activity, keys)
    for line in new_event.create(event, args.tables):
        print(escaped(line))
    return DONE
