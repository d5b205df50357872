"""`datto-siem rules`: native parsing rules and ready configurations, written to a folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from datto_siem.plugins.cli import parsing
from datto_siem.plugins.cli.output import StandardOutput
from datto_siem.plugins.failure import DONE, Failure, os_failure
from datto_siem.plugins.generator import Context
from datto_siem.plugins.registry import names, plugin
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from types import ModuleType

_TEXT = """\
Write what a shipper or SIEM needs to read Datto's lines itself, from the same tables `convert`
runs on. Each folder holds a README.md with the steps to install, what it covers and what it
cannot do. Writing again gives the same bytes.

artefacts:
{listed}"""


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT.format(listed=_listed("  ")),
        "datto-siem rules --list",
        "datto-siem rules rsyslog-exec -o /etc/datto-siem/rsyslog",
        codes="exit codes: 0 written; 2 misuse, bad tables or a failed write",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="one of those above")
    parser.add_argument("-o", dest="output", metavar="DIR", help="folder to write; made if absent")
    parser.add_argument("--list", action="store_true", help="list them and end")
    parser.add_argument("--to", metavar="TARGET", help="for artefacts that write several targets")
    parser.add_argument("--force", action="store_true", help="overwrite files that differ")
    parser.add_argument(
        "--tables", metavar="DIR", type=Path, help="your own mapping tables, laid over ours"
    )


def run(args: argparse.Namespace) -> int:
    """Write one artefact; returns the exit code."""
    if args.list:
        StandardOutput().write(f"{_listed()}\n".encode())
        return DONE
    if args.name is None or args.output is None:
        raise Failure("which artefact, and where to?", "say NAME and -o DIR, or --list")
    found = generate(args.name, args.to, args.tables)
    folder = Path(args.output)
    _refuse_changed(folder, found, args.force)
    try:
        for path, content in found.items():
            _write(folder / PurePosixPath(path), content)
    except OSError as error:
        raise os_failure(f"cannot write to {escaped(args.output)}", error) from error
    shown = "".join(f"  {path}\n" for path in sorted(found))
    StandardOutput().write(
        f"{escaped(args.output)}:\n{shown}read {escaped(str(folder / 'README.md'))} next\n".encode()
    )
    return DONE


def generate(name: str, to: str | None = None, overlay: Path | None = None) -> Mapping[str, bytes]:
    """The files of one artefact.

    Args:
        name: Its name, as `--list` shows it.
        to: Target, for artefacts that write several; the artefact's first when None.
        overlay: Directory of tables laid over the shipped ones.

    Raises:
        Failure: No such artefact, or not for that target.
        TableErrors: Faults in the overlay.
    """
    module = _module(name)
    targets: tuple[str, ...] = module.TARGETS
    if to is not None and to not in targets:
        known = parsing.choices(targets) if targets else "leave --to out"
        raise Failure(f"--to: {name} cannot write {to!r}", known)
    from importlib import metadata

    target = to or (targets[0] if targets else "")
    found: Mapping[str, bytes] = module.files(
        Context(metadata.version("datto-siem"), target, overlay)
    )
    return found


def _module(name: str) -> ModuleType:
    known = {each.replace("_", "-"): each for each in names("generators")}
    if name not in known:
        raise Failure(f"there is no artefact {name!r}", f"choose {parsing.choices(known)}")
    return plugin("generators", known[name])


def _listed(indent: str = "") -> str:
    lines = []
    for each in names("generators"):
        module = plugin("generators", each)
        to = f" (--to {', '.join(module.TARGETS)})" if len(module.TARGETS) > 1 else ""
        lines.append(f"{indent}{each.replace('_', '-'):<16} {module.USAGE}{to}")
    return "\n".join(lines)


def _refuse_changed(folder: Path, found: Mapping[str, bytes], force: bool) -> None:
    """What somebody edited is not overwritten unasked."""
    if force:
        return
    for path, content in found.items():
        place = folder / PurePosixPath(path)
        try:
            changed = place.is_file() and place.read_bytes() != content
        except OSError as error:
            raise os_failure(f"cannot read {escaped(str(place))}", error) from error
        if changed:
            raise Failure(
                f"{escaped(str(place))} is there and differs",
                "write to another folder, or add --force",
            )


def _write(place: Path, content: bytes) -> None:
    """All of a file or nothing of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(dir=place.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o755 if content.startswith(b"#!") else 0o644)
        Path(fresh).replace(place)
    except OSError:
        Path(fresh).unlink(missing_ok=True)
        raise
