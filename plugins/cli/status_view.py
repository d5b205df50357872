"""`datto-siem forward status`: a running forwarder's counts, live on a terminal."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from datto_siem.plugins.cli import parsing
from datto_siem.plugins.failure import DONE, Failure
from datto_siem.plugins.forwarder import configuration
from datto_siem.plugins.forwarder.sections import loopback
from datto_siem.plugins.shown import escaped, paint

if TYPE_CHECKING:
    import argparse

    from datto_siem.plugins.shown import Paint

_EVERY = 1.0
_LISTENERS = f"{'LISTENER':<16}{'received':>12}{'/s':>9}{'refused':>9}{'dropped':>9}"
_OUTPUTS = f"{'OUTPUT':<16}{'delivered':>12}{'/s':>9}{'waiting':>11}{'age':>8}{'dead':>7}"
_HOME = "\x1b[H\x1b[J"


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        "Show what a running forwarder does: rates, what waits, its age, the last error.",
        "datto-siem forward status --config forward.toml",
        "datto-siem forward status --url http://127.0.0.1:9514 --once",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="the configuration")
    parser.add_argument("--url", metavar="URL", help="where it answers, instead of --config")
    parser.add_argument("--once", action="store_true", help="print it once and end")
    parser.add_argument("--json", action="store_true", help="the raw status, once")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.set_defaults(act=show)


def show(args: argparse.Namespace) -> int:
    """Show it; returns the exit code."""
    where = _url(args)
    found = status(where)
    if args.json:
        print(json.dumps(found, indent=2))
        return DONE
    painter = paint(args.color, sys.stdout)
    once = args.once or not sys.stdout.isatty()
    before: dict[str, Any] | None = None
    try:
        while True:
            text = view(found, before, painter)
            print(text if once else _HOME + text, flush=True)
            if once:
                return DONE
            time.sleep(_EVERY)
            before, found = found, status(where)
    except KeyboardInterrupt:
        return DONE


def view(found: dict[str, Any], before: dict[str, Any] | None, painter: Paint) -> str:
    """The status as text.

    Args:
        found: What the forwarder told.
        before: What it told the time before, for rates; None: since its start.
        painter: Colours.
    """
    state = "ready" if found["ready"] else painter("bad", "not ready")
    lines = [
        f"datto-siem {found['version']}  up {_span(found['now'] - found['started'])}  {state}",
        "",
        painter("heading", _LISTENERS),
    ]
    for name, counts in sorted(found["listeners"].items()):
        refused = sum(value for key, value in counts.items() if key.startswith("refused_records"))
        row = f"{escaped(name):<16}{_number(counts, 'received_records'):>12}"
        row += f"{_rate(found, before, 'listeners', name, 'received_records'):>9}{refused:>9.0f}"
        lost = counts.get("kernel_drops", 0)
        lines.append(row + painter("bad" if lost else "", f"{lost:>9.0f}"))
    lines += ["", painter("heading", _OUTPUTS)]
    for name, counts in sorted(found["outputs"].items()):
        row = f"{escaped(name):<16}{_number(counts, 'delivered_records'):>12}"
        row += f"{_rate(found, before, 'outputs', name, 'delivered_records'):>9}"
        row += f"{_number(counts, 'lag_records'):>11}{_span(counts.get('lag_seconds', 0)):>8}"
        dead = counts.get("dead_letters", 0)
        lines.append(row + painter("note" if dead else "", f"{dead:>7.0f}"))
        error = counts.get("last_error")
        if error:
            lines.append("  " + painter("bad" if counts.get("halted") else "note", escaped(error)))
    totals = found["totals"]
    if "log_bytes" in totals:  # a log in Kafka has its size at the brokers
        kept = _number(totals, "log_records")
        lines += ["", f"log: {totals['log_bytes'] / 1e6:.1f} MB, {kept} records kept"]
    lost = {key: value for key, value in totals.items() if key.startswith("lost_records") and value}
    lines += [painter("bad", f"lost: {escaped(key)} {value:.0f}") for key, value in lost.items()]
    for process in found["processes"]:
        if not process["ready"] or process["restarts"]:
            said = f"{process['name']}: {'running' if process['ready'] else 'not running'}"
            said += f", started again {process['restarts']} times {process['fault']}"
            lines.append(painter("note", escaped(said.rstrip())))
    return "\n".join(lines)


def _url(args: argparse.Namespace) -> str:
    if args.url is not None:
        return str(args.url).rstrip("/")
    if args.config is None:
        raise Failure("no forwarder is named", "add --config FILE or --url URL")
    try:
        return url(configuration.read(args.config))
    except (configuration.ConfigurationFaults, OSError) as error:
        raise Failure(f"cannot read the configuration: {error}", "mend it") from error


def url(found: configuration.Configuration) -> str:
    """Where a forwarder with this configuration answers."""
    host, port = loopback(found.admin)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def status(where: str) -> dict[str, Any]:
    """What a forwarder tells of itself."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # loopback needs no proxy
            answer = session.get(f"{where}/status", timeout=5)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise Failure(f"no forwarder answers at {escaped(where)}", "start it first") from error
    return found


def _number(counts: dict[str, Any], name: str) -> str:
    return f"{counts.get(name, 0):.0f}"


def _rate(
    found: dict[str, Any], before: dict[str, Any] | None, kind: str, name: str, counter: str
) -> str:
    """Per second since the time before, or since the start."""
    now = found[kind][name].get(counter, 0)
    then = 0.0 if before is None else before[kind].get(name, {}).get(counter, 0)
    since = found["started"] if before is None else before["now"]
    return f"{(now - then) / max(found['now'] - since, 0.001):.0f}"


def _span(seconds: float) -> str:
    """A span of time in one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
