"""`datto-siem`: finds the command, runs it, and turns whatever ends it into a message and a code.

A command is a module of this package with `add(parser)` and `run(args)`; only the one that is
asked for is imported.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from datto_siem.converters import SchemaMissing, TableErrors
from datto_siem.plugins.cli import interrupts, parsing
from datto_siem.plugins.cli.output import silence
from datto_siem.plugins.failure import (
    DONE,
    MISUSE,
    PIPE_CLOSED,
    Failure,
    OutputClosed,
    os_failure,
)
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS: Mapping[str, str] = {
    "convert": "convert records to documents",
    "explain": "show how a record is read and where each output field comes from",
    "validate": "check documents against a schema",
    "simulate": "make realistic Datto traffic, to standard output or to a syslog receiver",
    "filter": "convert for a shipper, one reply a record",
    "rules": "write native parsing rules and ready configurations for shippers and SIEMs",
    "forward": "receive syslog and post it to SIEMs, with a durable log",
    "doctor": "look whether the forwarder's destinations are ready",
    "tables": "check, document and extend the mapping tables",
}
"""Command (and name of its module) -> one line of help."""

_REPORT = "please report it with the input that shows it; DATTO_SIEM_DEBUG=1 shows where"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments; those of the process when None.

    Returns:
        The exit code: 0 done, 1 findings, 2 misuse, bad configuration or a failed read or write,
        130 interrupted, 141 reader gone, 143 terminated.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _run(given)
    except Failure as error:
        return _say(str(error), error.code)
    except (OutputClosed, BrokenPipeError):
        silence()
        return PIPE_CLOSED
    except TableErrors as error:
        faults = len(error.exceptions)
        told = f"{faults} fault{'s' if faults > 1 else ''} in the mapping tables: mend "
        return _say(
            f"{told}{'them' if faults > 1 else 'it'}, then run `datto-siem tables check`\n{error}",
            MISUSE,
        )
    except SchemaMissing as error:
        return _say(f"{error}: choose one of those", MISUSE)
    except KeyboardInterrupt as error:
        return _say("interrupted: run it again", interrupts.failure(error, "").code)
    except OSError as error:
        silence()
        return _say(str(os_failure("cannot go on", error)), MISUSE)
    except Exception as error:
        return _bug(error)
    return code


def _run(argv: list[str]) -> int:
    try:
        if argv and argv[0] in COMMANDS:
            command = import_module(f"datto_siem.plugins.cli.{argv[0]}")
            parser = parsing.Parser(f"datto-siem {argv[0]}")
            command.add(parser)
            args = parser.read(argv[1:])
        else:
            _overview().read(argv)
            return DONE
    except SystemExit as done:  # --help and --version
        sys.stdout.flush()
        return int(done.code or 0)
    code: int = command.run(args)
    return code


def _overview() -> parsing.Parser:
    """The parser of `datto-siem` alone: lists the commands."""
    parser = parsing.Parser("datto-siem")
    parsing.describe(
        parser,
        "Datto Networking syslog for every SIEM. `datto-siem COMMAND --help` tells more.",
        "datto-siem convert --to ecs syslog.log > ecs.ndjson",
        "datto-siem explain --to ocsf < syslog.log",
        codes="exit codes: 0 done; 1 findings; 2 misuse, bad configuration or a failed read or"
        " write",
    )
    from importlib import metadata  # only here: it takes a tenth of a short command's time

    version = metadata.version("datto-siem")
    parser.add_argument("--version", action="version", version=f"datto-siem {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser


def _say(text: str, code: int) -> int:
    """Tell the user on standard error; every line is made safe for a terminal."""
    if sys.stderr is not None:
        with suppress(OSError):
            first, *rest = text.split("\n")
            print(
                "\n".join(escaped(line) for line in (f"datto-siem: {first}", *rest)),
                file=sys.stderr,
            )
    return code


def _bug(error: Exception) -> int:
    if os.environ.get("DATTO_SIEM_DEBUG") == "1":
        import traceback  # only here: it takes its time

        traceback.print_exc()
    return _say(f"an error of ours, {type(error).__name__}: {error}: {_REPORT}", MISUSE)


if __name__ == "__main__":
    sys.exit(main())
