"""`datto-siem simulate`: traffic that never was, to standard output or to a syslog receiver."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

from datto_siem.plugins.cli import interrupts, parsing
from datto_siem.plugins.cli.output import STDOUT, StandardOutput
from datto_siem.plugins.cli.progress import Progress
from datto_siem.plugins.failure import DONE, Failure
from datto_siem.plugins.simulator import pacing, senders
from datto_siem.plugins.simulator.network import Size
from datto_siem.plugins.simulator.oddities import CHOICES
from datto_siem.plugins.simulator.scenarios import SCENARIOS
from datto_siem.plugins.simulator.stage import HEADERS, Options
from datto_siem.plugins.simulator.traffic import traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.simulator.stage import Line

COUNT = 1000
_MOST = 10**12
_TEXT = """\
Make the traffic of a Datto network: access points, Secure Edge gateways and switches, in the words
of the vendor's page, with the quirks of real lines. Without --count and --duration it makes 1,000
lines. With --rate, event times advance at that rate; else as in such a network. The same seed,
options and --start give the same bytes. Addresses are documentation and private ones only.

"""
_SCENARIOS = "scenarios (mixed into ordinary traffic; what they claim holds from 1 line/s up):\n"


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT + _SCENARIOS + _listed(),
        "datto-siem simulate --count 20",
        "datto-siem simulate --scenario wifi-password-guess | datto-siem convert --to ecs",
        "datto-siem simulate --to udp://127.0.0.1:5514 --rate 500 --duration 60",
    )
    add = parser.add_argument
    add("--count", metavar="N", type=_number, help="lines; 0: until it is stopped")
    add("--duration", metavar="SECONDS", type=_positive, help="stop after so long")
    add("--rate", metavar="R", type=_rate, help="lines a second; 0 or none: as fast as possible")
    add("--seed", metavar="S", type=_number, default=1, help="default 1")
    add("--start", metavar="TIME", type=parsing.received, help="time of the first line; now")
    add("--scenario", metavar="NAME", help="one of those above; `list` lists them")
    add("--quirks", choices=CHOICES, default="real", help="of the lines; default real")
    add("--prefix", choices=HEADERS, default="3164", help="syslog header; default 3164")
    for name, default in Size()._field_defaults.items():
        option = name.replace("_points", "").replace("access", "aps")
        where = "" if name == "sites" else " of each site"
        add(
            f"--{option}",
            dest=name,
            metavar="N",
            type=parsing.at_least_one,
            default=default,
            help=f"{name.replace('_', ' ')}{where}; default {default}",
        )
    add("--to", metavar="TARGET", default=STDOUT, help="-, udp://H:P, tcp://H:P or tls://H:P")
    add("--framing", choices=senders.FRAMINGS, default="lf", help="of tcp and tls; default lf")
    add("--ca-file", metavar="FILE", help="certificates to trust, for tls")
    add("--insecure-skip-verify", action="store_true", help="trust any certificate, for tls")
    add("--quiet", action="store_true", help="no progress bar and no summary")


def run(args: argparse.Namespace) -> int:
    """Make traffic; returns the exit code."""
    if args.scenario == "list":
        StandardOutput().write(f"{_listed()}\n".encode())
        return DONE
    lines = traffic(_options(args))
    count = args.count if args.count is not None or args.duration else COUNT
    sent, begun = 0, time.monotonic()
    until = None if args.duration is None else begun + args.duration
    progress = Progress((), args.quiet, count or None, args.to == STDOUT)
    try:
        with interrupts.terminable():
            sender = _sender(args)
            try:
                for records in _due(lines, args.rate, count or None, until):
                    sender.send(records)
                    sent += len(records)
                    progress.update(len(records))
            finally:
                sender.close()
    except KeyboardInterrupt as error:
        raise interrupts.failure(error, f"{sent} lines were sent") from error
    except senders.SendError as error:
        problem, _, remedy = str(error).rpartition(": ")
        raise Failure(problem, f"{remedy}; {sent} lines were handed over") from error
    finally:
        progress.close()
    if not args.quiet:
        took = time.monotonic() - begun
        rate = f", {sent / took:.0f} lines/s" if took > 0 else ""
        print(f"sent {sent}; {took:.1f} s{rate}", file=sys.stderr)
    return DONE


class _Printer:
    """Standard output as a sender."""

    def __init__(self) -> None:
        self._out = StandardOutput()

    def send(self, records: list[bytes]) -> None:
        self._out.write(b"\n".join(records) + b"\n")

    def close(self) -> None:
        """Every write is handed on at once."""


def _options(args: argparse.Namespace) -> Options:
    if args.scenario is not None and args.scenario not in SCENARIOS:
        raise Failure(
            f"--scenario: there is no {args.scenario!r}", f"choose {parsing.choices(SCENARIOS)}"
        )
    return Options(
        seed=args.seed,
        start=time.time_ns() // 1_000_000 if args.start is None else args.start,
        rate=args.rate,
        scenario=args.scenario,
        quirks=args.quirks,
        header=args.prefix,
        size=Size(args.sites, args.access_points, args.stations),
    )


def _sender(args: argparse.Namespace) -> _Printer | senders.Sender:
    if args.to == STDOUT:
        return _Printer()
    try:
        read = senders.target(args.to)
    except ValueError as error:
        raise Failure(
            f"--to: {args.to!r} is no target", "write -, udp://HOST:PORT, tcp:// or tls://"
        ) from error
    to = senders.Target(
        read.scheme, read.host, read.port, args.framing, args.ca_file, not args.insecure_skip_verify
    )
    if senders.outside(to):
        print(f"datto-siem: {to} is outside this network: made-up events go there", file=sys.stderr)
    return senders.connect(to)


def _due(
    lines: Iterator[Line], rate: float | None, count: int | None, until: float | None
) -> Iterator[list[bytes]]:
    """Records to send now, batch after batch."""
    left = _MOST if count is None else count
    for most in pacing.batches(rate):
        if until is not None and time.monotonic() >= until:
            return
        records = [line.record for line in islice(lines, min(most, left))]
        left -= len(records)
        yield records
        if not left:
            return


def _listed() -> str:
    """One line for each scenario."""
    return "\n".join(f"  {name:21}{each.summary}" for name, each in SCENARIOS.items())


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 13):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {_MOST - 1}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _rate(text: str) -> float | None:
    return None if text.strip("0.") == "" and text.strip(".") else _positive(text)
