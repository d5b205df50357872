"""`datto-siem filter`: a long-running converter for shippers, one reply a record."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from datto_siem.converters import Converter
from datto_siem.plugins.cli import parsing
from datto_siem.plugins.failure import DONE, FINDINGS, Failure, os_failure
from datto_siem.plugins.filter import Settings, now
from datto_siem.plugins.filters import _pipe
from datto_siem.plugins.registry import names, plugin
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable
    from types import FrameType

    from datto_siem.plugins.filter import Replies
    from datto_siem.plugins.filters._address import Address

_TEXT = """\
Convert for a shipper: records come on standard input or a socket, one reply each, in order.

protocols:
{protocols}

A record that cannot be decoded gets the target's fallback document as its reply, never silence.
Replies are written as soon as no more input waits. Standard error is closed unless it is a
terminal (rsyslog would read it as a reply); --log keeps it in a file.
With --listen it is a sidecar: shippers connect and send lines; documents go to --send, or back on
the same connection."""
_CODES = """\
exit codes: 0 input ended, stopped, or nobody reads the replies; 1 --self-test failed; 2 misuse or
bad configuration (never 127, which stops syslog-ng's destination for good)"""
_GRACE = 10.0


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    known = [(name, plugin("filters", name).USAGE) for name in names("filters")]
    shown = "\n".join(f"  {_dashed(name):<11} {usage}" for name, usage in known)
    parsing.describe(
        parser,
        _TEXT.format(protocols=shown),
        "datto-siem filter --to ecs < datto.log",
        "datto-siem filter --to ecs --protocol mmexternal --log /var/log/datto-filter.log",
        "datto-siem filter --to ecs --protocol ndjson --listen tcp://127.0.0.1:18800"
        " --send tcp://127.0.0.1:18801",
        codes=_CODES,
    )
    protocols = [_dashed(name) for name, _ in known]
    parser.add_argument("--to", metavar="TARGET", required=True, help=parsing.TARGETS)
    parser.add_argument(
        "--protocol", metavar="P", choices=protocols, default="lines", help=", ".join(protocols)
    )
    parser.add_argument("--field", default="message", help="JSON field of the line; dots nest")
    parser.add_argument("--peer-field", metavar="FIELD", help="JSON field of the sender's address")
    parser.add_argument(
        "--keep-under",
        metavar="FIELD",
        default="shipper",
        help="where values of the record go that the document overwrites; default shipper",
    )
    parser.add_argument(
        "--max-reply", metavar="BYTES", type=int, default=0, help="for mmexternal: longest reply"
    )
    parser.add_argument("--listen", metavar="ADDRESS", help="tcp://HOST:PORT or unix:///PATH")
    parser.add_argument("--send", metavar="ADDRESS", help="where documents go; see --listen")
    parser.add_argument("-o", dest="output", metavar="FILE", help="for omprog: append there")
    parser.add_argument("--health", metavar="ADDRESS", help="answer HTTP probes there")
    parser.add_argument("--log", metavar="FILE", help="append what would go to standard error")
    parser.add_argument(
        "--self-test", action="store_true", help="run the protocol's own sample exchange"
    )
    parser.add_argument("--ocsf-version", metavar="V", help="OCSF version to write")
    parsing.add_received(parser)
    parsing.add_tables(parser)


def run(args: argparse.Namespace) -> int:
    """Serve; returns the exit code."""
    try:
        converter = Converter(args.to, args.ocsf_version, args.tables, args.switch)
    except ValueError as error:
        raise Failure(f"--to: {error}", "choose one of those") from error
    if args.self_test:
        return _self_test(args, converter)
    with ExitStack() as stack:
        stop = _Stop(stack)
        deliver = _deliver(args, stack)
        settings = _settings(args, converter, deliver)
        module = plugin("filters", args.protocol.replace("-", "_"))

        def replies() -> Replies:
            opened: Replies = module.open_protocol(settings)
            return opened

        first = _opened(replies)
        if args.listen is not None:
            _sidecar(args, replies, stop, stack)
            return DONE
        _quiet(args.log)
        try:
            _pipe.serve(first, 0, 1, stop.descriptor)
        except BrokenPipeError:
            _silence()
    return DONE


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _opened(replies: Callable[[], Replies]) -> Replies:
    try:
        return replies()
    except ValueError as error:
        raise Failure(str(error), "see `datto-siem filter --help`") from error


def _settings(
    args: argparse.Namespace, converter: Converter, deliver: Callable[[bytes], None] | None
) -> Settings:
    at: int | None = args.received_at
    clock = now if at is None else lambda: at
    return Settings(
        converter, args.field, args.peer_field, args.keep_under, args.max_reply, clock, deliver
    )


def _deliver(args: argparse.Namespace, stack: ExitStack) -> Callable[[bytes], None] | None:
    """Where documents go that are not replies."""
    if args.output is not None:
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(args.output, flags, 0o640)
        except OSError as error:
            raise os_failure(f"cannot open {escaped(args.output)}", error) from error
        stack.callback(os.close, descriptor)
        return lambda content: _appended(descriptor, content)
    if args.send is not None and args.listen is None:
        from datto_siem.plugins.filters._handover import Handover

        handover = Handover(_address(args.send, "--send"))
        stack.callback(handover.close)
        return handover.deliver
    return None


def _appended(descriptor: int, content: bytes) -> None:
    """Append and make durable: rsyslog forgets the line once it is confirmed."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fdatasync(descriptor)


def _sidecar(
    args: argparse.Namespace, replies: Callable[[], Replies], stop: _Stop, stack: ExitStack
) -> None:
    from datto_siem.plugins.filters._outlet import Outlet
    from datto_siem.plugins.filters._sidecar import Sidecar, serve_health

    listener = _listening(args.listen, "--listen", stack)
    health = None if args.health is None else _listening(args.health, "--health", stack)
    onward = None if args.send is None else _address(args.send, "--send")
    _quiet(args.log)
    outlet = None if onward is None else Outlet(onward)
    sidecar = Sidecar(listener, replies, outlet)
    stop.call(sidecar.stop)
    ended = threading.Event()
    probe = None
    if health is not None:
        probe = threading.Thread(target=serve_health, args=(health, sidecar.health, ended))
        probe.start()
    logging.getLogger(__name__).info("listening on %s", args.listen)
    try:
        sidecar.run()
    finally:
        left = outlet.close(_GRACE) if outlet is not None else 0
        ended.set()
        if probe is not None:
            probe.join()
    if left:
        raise Failure(f"{left} bytes of documents could not be sent", "start the receiver first")


def _listening(text: str, option: str, stack: ExitStack) -> socket.socket:
    try:
        return stack.enter_context(closing(_address(text, option).listen()))
    except OSError as error:
        raise os_failure(f"cannot listen on {escaped(text)}", error) from error


def _address(text: str, option: str) -> Address:
    from datto_siem.plugins.filters._address import address

    try:
        return address(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", "mend it") from error


class _Stop:
    """SIGTERM and SIGINT: readable on a descriptor, and told to whoever asked."""

    def __init__(self, stack: ExitStack) -> None:
        self.descriptor, self._write = os.pipe()
        stack.callback(os.close, self.descriptor)
        stack.callback(os.close, self._write)
        self._calls: list[Callable[[], None]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, self._came))

    def call(self, function: Callable[[], None]) -> None:
        self._calls.append(function)

    def _came(self, number: int, frame: FrameType | None) -> None:
        for function in self._calls:
            function()
        os.write(self._write, b"x")


def _quiet(log: str | None) -> None:
    """Send standard error to the log, or nowhere: shippers read it as replies or events."""
    if log is None and os.isatty(2):
        logging.basicConfig(level=logging.INFO, format="datto-siem: %(message)s")
        return
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(log or os.devnull, flags, 0o640)
    except OSError as error:
        raise os_failure(f"cannot open the log {escaped(log or '')}", error) from error
    os.dup2(descriptor, 2)
    os.close(descriptor)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _silence() -> None:
    """Nobody reads: what Python would flush at exit goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _self_test(args: argparse.Namespace, converter: Converter) -> int:
    """Run the protocol's own sample exchange and print it."""
    module = plugin("filters", args.protocol.replace("-", "_"))
    taken: list[bytes] = []
    replies = module.open_protocol(_settings(args, converter, taken.append))
    good = True
    for line, holds in module.SAMPLE:
        reply = replies.reply(line)
        fits = holds in reply and reply.endswith(b"\n") and reply.count(b"\n") == 1
        good &= fits
        sys.stdout.write(f"> {escaped(line.decode('utf-8', 'backslashreplace'))}\n")
        sys.stdout.write(f"{'<' if fits else '!'} {escaped(reply.decode().rstrip())}\n")
    print("datto-siem: self-test " + ("passed" if good else "FAILED"), file=sys.stderr)
    return DONE if good else FINDINGS
