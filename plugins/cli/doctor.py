"""`datto-siem doctor`: is every destination ready, and what is to be done."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.plugins.cli import parsing, status_view
from datto_siem.plugins.cli.forward import chosen, read
from datto_siem.plugins.failure import DONE, FINDINGS, Failure
from datto_siem.plugins.forwarder import journal, kafka_check, listener_check, opening
from datto_siem.plugins.record import Record
from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.shown import escaped, paint
from datto_siem.plugins.sink import Finding, Level

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from datto_siem.plugins.forwarder.configuration import Configuration, Output
    from datto_siem.plugins.shown import Paint

_TEXT = """\
Look whether every output of a configuration is ready: reach, TLS, credentials, index, stream,
table or role; whether every listener can listen, and a log in Kafka be used; and say what to do
about what is not. Changes nothing, unless --send-test delivers one record that says that it is a
test."""
_CODES = "exit codes: 0 all is well; 1 faults; 2 misuse or bad configuration"
_STYLES = {Level.GOOD: "value", Level.WARNING: "note", Level.FAULT: "bad"}


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT,
        "datto-siem doctor --config forward.toml",
        "datto-siem doctor --config forward.toml --output splunk --send-test",
        codes=_CODES,
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="the configuration (TOML)")
    parser.add_argument("--output", metavar="NAME", help="which output; all when absent")
    parser.add_argument("--send-test", action="store_true", help="deliver a test record")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")


def run(args: argparse.Namespace) -> int:
    """Look; returns the exit code."""
    found = read(args)
    journal.begin(found.secrets(), "doctor")
    painter = paint(args.color, sys.stdout)
    faults = 0
    outputs = chosen(found, args.output)
    parts = [
        (each.name, each.common.type, _findings(found, each, args.send_test)) for each in outputs
    ]
    if args.output is None:
        running = _running(found)
        parts[:0] = [
            (each.name, each.common.type, listener_check.check(each, running))
            for each in found.listeners
        ]
        if found.log.kafka is not None:
            parts.insert(0, ("log", "kafka", kafka_check.findings(found.log.kafka)))
    for name, kind, findings in parts:
        print(painter("heading", f"{name} ({kind})"))
        for finding in findings:
            faults += finding.level is Level.FAULT
            _show(finding, painter)
    return FINDINGS if faults else DONE


def _running(found: Configuration) -> bool:
    """Whether a forwarder answers at this configuration's admin address."""
    try:
        status_view.status(status_view.url(found))
    except Failure:
        return False
    return True


def _findings(found: Configuration, output: Output, send: bool) -> Iterator[Finding]:
    for secret in output.secrets():
        try:
            secret.value()
        except SecretMissing as error:
            yield Finding(Level.FAULT, "secret", str(error), "then look again")
    try:
        opening.noise(found, output)
        sink = opening.open_sink(found, output)
    except (ValueError, ModuleNotFoundError, SecretMissing) as error:
        yield Finding(Level.FAULT, "configuration", str(error), "mend it and look again")
        return
    with closing(sink):
        yield from sink.check(_test_record() if send else None)


def _test_record() -> Record:
    """A record that nobody takes for an event of a device."""
    at = time.time_ns() // 1_000_000
    text = (
        f"CEF:0|Datto|datto-siem|1|doctor|test|0|rt={at}"
        " msg=test record of datto-siem doctor, nothing happened"
    )
    return Record(text.encode(), at, "127.0.0.1", 0)


def _show(finding: Finding, painter: Paint) -> None:
    level = painter(_STYLES[finding.level], f"{finding.level.value:<8}")
    print(f"  {level}{escaped(finding.what)}: {escaped(finding.said)}", flush=True)
    if finding.remedy:
        print(f"          do: {escaped(finding.remedy)}", flush=True)
