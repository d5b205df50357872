"""`datto-siem forward`: the forwarder, and what one asks of it."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.plugins.cli import parsing, status_view
from datto_siem.plugins.failure import DONE, FINDINGS, Failure, os_failure
from datto_siem.plugins.forwarder import configuration, journal, opening, readiness
from datto_siem.plugins.forwarder.configuration import ConfigurationFaults
from datto_siem.plugins.forwarder.dead_letters import RetryRunning
from datto_siem.plugins.forwarder.log import LogAway, LogRefused
from datto_siem.plugins.forwarder.redelivery import retry
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    import argparse

    from datto_siem.plugins.forwarder.configuration import Configuration, Output
    from datto_siem.plugins.forwarder.opening import Role

_TEXT = """\
Receive syslog, keep it in a durable log, and post it to every SIEM that is configured. Runs in the
foreground until SIGTERM or Ctrl-C; then it delivers what waits, for --grace seconds at most, and
keeps the rest for the next start. SIGHUP reads certificates, lists, tables and secrets again.

Without an action it runs; `datto-siem doctor` looks whether every destination is ready."""
_CODES = """\
exit codes: 0 done, ended in order; 1 a process had to be killed, or dead letters are left (retry);
            2 misuse, bad configuration, or a log that cannot be used"""


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT,
        "datto-siem forward --config forward.toml",
        "datto-siem forward --config forward.toml --role worker",
        "datto-siem forward check --config forward.toml",
        "datto-siem forward status --config forward.toml",
        "datto-siem forward replay --config forward.toml --output splunk"
        " --from 2026-11-24T08:00:00Z",
        "datto-siem forward dead-letters retry --config forward.toml --output splunk",
        codes=_CODES,
    )
    parser.add_argument("--schema", action="store_true", help="print the configuration's schema")
    _add_config(parser)
    parser.add_argument("--grace", metavar="SECONDS", type=float, default=30.0, help="default 30")
    _add_role(parser)
    parser.set_defaults(act=_run)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    check = actions.add_parser("check", help="check the configuration")
    parsing.describe(check, "Check a configuration.", "datto-siem forward check --config f.toml")
    _add_config(check)
    _add_role(check)
    check.set_defaults(act=_check)
    status_view.add(actions.add_parser("status", help="show what a running forwarder does"))
    _add_replay(actions.add_parser("replay", help="send records again from a time on"))
    _add_letters(actions.add_parser("dead-letters", help="list or send again what was refused"))


def run(args: argparse.Namespace) -> int:
    """Run the action; returns the exit code."""
    if args.schema:
        print(json.dumps(configuration.schema(), indent=2))
        return DONE
    try:
        code: int = args.act(args)
    except LogRefused as error:
        raise Failure(str(error), "then start it again") from error
    except LogAway as error:
        raise Failure(str(error), "then run it again") from error
    return code


def read(args: argparse.Namespace) -> Configuration:
    """The configuration that is named, or the faults it has as the end of the command."""
    if args.config is None:
        raise Failure("no configuration is named", "add --config FILE")
    try:
        return configuration.read(args.config)
    except ConfigurationFaults as error:
        faults = "\n".join(error.faults)
        many = f"{len(error.faults)} faults" if len(error.faults) > 1 else "a fault"
        raise Failure(f"{many} in the configuration", f"mend and start again\n{faults}") from error
    except OSError as error:
        raise os_failure(f"cannot read {escaped(str(args.config))}", error) from error


def chosen(found: Configuration, name: str | None) -> tuple[Output, ...]:
    """The output that is named, or all."""
    if name is None:
        return found.outputs
    try:
        return (found.output(name),)
    except LookupError as error:
        raise Failure(str(error), "choose one of those") from error


def _add_config(parser: parsing.Parser) -> None:
    parser.add_argument("--config", metavar="FILE", type=Path, help="the configuration (TOML)")


def _add_role(parser: parsing.Parser) -> None:
    parser.add_argument(
        "--role",
        choices=("both", "receiver", "worker"),
        default="both",
        help="with a Kafka log: only receive, or only deliver; default both",
    )


def _add_replay(parser: parsing.Parser) -> None:
    parsing.describe(
        parser,
        "Set an output back to the first record received at or after a time. A running forwarder\n"
        "notices and sends again from there; ids repeat, so that destinations can tell.",
        "datto-siem forward replay --config f.toml --output splunk --from 2026-11-24T08:00:00Z",
    )
    _add_config(parser)
    parser.add_argument("--output", metavar="NAME", required=True, help="which output")
    parser.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        type=parsing.received,
        required=True,
        help="since when",
    )
    parser.set_defaults(act=_replay)


def _add_letters(parser: parsing.Parser) -> None:
    parsing.describe(
        parser,
        "Records a destination will never take as they are: kept with the reason and the original.",
        "datto-siem forward dead-letters list --config forward.toml",
        "datto-siem forward dead-letters retry --config forward.toml --output splunk",
        codes=_CODES,
    )
    parser.add_argument("what", choices=("list", "retry"), help="list them, or send them again")
    _add_config(parser)
    parser.add_argument("--output", metavar="NAME", help="which output; all when absent")
    parser.set_defaults(act=_letters)


def _run(args: argparse.Namespace) -> int:
    from datto_siem.plugins.forwarder.supervisor import Supervisor

    found = read(args)
    _checked(found, args.role)
    journal.begin(found.secrets(), "forward")
    try:
        return Supervisor(found, args.grace, args.role).run()
    except OSError as error:
        raise os_failure("cannot start", error) from error


def _check(args: argparse.Namespace) -> int:
    found = read(args)
    _checked(found, args.role)
    outputs = ", ".join(output.name for output in found.outputs)
    listeners = ", ".join(listen.name for listen in found.listeners)
    print(f"datto-siem: good: listeners {listeners}; outputs {outputs}", file=sys.stderr)
    return DONE


def _checked(found: Configuration, role: Role) -> None:
    """What only this machine shows: secrets, directories, extras, tables."""
    faults = readiness.faults(found, role)
    if faults:
        raise Failure("the forwarder cannot run here", "mend and start again\n" + "\n".join(faults))


def _replay(args: argparse.Namespace) -> int:
    found = read(args)
    (output,) = chosen(found, args.output)
    with closing(opening.open_log(found)) as log:
        count = log.rewind(output.name, args.since)
    print(f"datto-siem: {output.name} sends {count} records again", file=sys.stderr)
    return DONE


def _letters(args: argparse.Namespace) -> int:
    found = read(args)
    outputs = chosen(found, args.output)
    if args.what == "list":
        for output in outputs:
            for letter in opening.open_dead_letters(found, output).listed():
                print(json.dumps(letter))
        return DONE
    journal.begin(found.secrets(), "dead-letters")
    return max(_retried(found, output) for output in outputs)


def _retried(found: Configuration, output: Output) -> int:
    letters = opening.open_dead_letters(found, output)
    with closing(opening.open_sink(found, output)) as sink:
        try:
            done = retry(letters, sink)
        except RetryRunning as error:
            raise Failure(str(error), "wait until it has ended") from error
    said = f"{output.name}: {done.taken} taken, {done.refused} refused again, {done.kept} not tried"
    if done.stopped:
        said += f": {done.stopped}"
    print(f"datto-siem: {escaped(said)}", file=sys.stderr)
    return FINDINGS if done.refused or done.kept or done.stopped else DONE
