"""`datto-siem validate`: NDJSON documents, or CEF lines, against what their target asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from datto_siem.converters import validators
from datto_siem.converters.convert import CEF
from datto_siem.plugins.archives import STDIN, sources
from datto_siem.plugins.cli import canonical, parsing
from datto_siem.plugins.cli.output import StandardOutput
from datto_siem.plugins.failure import DONE, FINDINGS, Failure
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from datto_siem.converters.validators import Finding

LONGEST = 16 << 20
_TEXT = """\
Check documents, one a line, against the pinned schema of a target. Findings go to standard output
as `FILE:LINE: path: problem`; a problem that begins with `warning: ` does not change the exit
code. ECS and OCSF documents are checked against the version they state, unless one is named. For
cef a line must be canonical: nothing in it had to be repaired to read it."""
_CODES = (
    "exit codes: 0 no findings; 1 findings; 2 misuse, bad configuration or a failed read or write"
)

Check = "Callable[[bytes], Iterable[str]]"


def add(parser: parsing.Parser) -> None:
    """Add the arguments."""
    parsing.describe(
        parser,
        _TEXT,
        "datto-siem validate --as ecs ecs.ndjson",
        "datto-siem convert --to ocsf syslog.log | datto-siem validate --as ocsf",
        codes=_CODES,
    )
    parser.add_argument("--as", dest="target", metavar="TARGET", help=parsing.TARGETS)
    parser.add_argument("files", metavar="FILE", nargs="*", help="input; - or none: standard input")
    parser.add_argument("--ocsf-version", metavar="V", help="check against this OCSF version")
    parser.add_argument("--ecs-version", metavar="V", help="check against this ECS version")


def run(args: argparse.Namespace) -> int:
    """Validate; returns the exit code."""
    check = _check(args)
    out = StandardOutput()
    found = False
    for source in sources(args.files):
        name = "<stdin>" if source.path == STDIN else source.name
        whole = 0  # number of the line before
        for lines in source.lines(LONGEST):
            for number, content in lines.numbered():
                if number == whole:  # its further pieces: told once
                    continue
                whole = number
                if not content.strip():
                    continue
                problems = (
                    ["longer than 16 MiB"] if len(content) >= LONGEST else list(check(content))
                )
                found |= any(not _is_warning(problem) for problem in problems)
                shown = "".join(f"{name}:{number}: {escaped(each)}\n" for each in problems)
                if shown:
                    out.write(shown.encode("utf-8", "backslashreplace"))
    return FINDINGS if found else DONE


def _is_warning(problem: str) -> bool:
    return problem.startswith("warning: ") or ": warning: " in problem


def _check(args: argparse.Namespace) -> Callable[[bytes], Iterable[str]]:
    target: str | None = args.target
    known = (*validators.TARGETS, CEF)
    if target is None or target not in known:
        problem = "no target is named" if target is None else f"no target {target!r}"
        raise Failure(problem, f"add --as with {parsing.choices(known)}")
    versions = {"ocsf": args.ocsf_version, "ecs": args.ecs_version}
    for name, version in versions.items():
        if version is not None and name != target:
            raise Failure(f"--{name}-version is not for --as {target}", "leave it out")
    if target == CEF:
        return canonical.problems
    validate = validators.validator(target, versions.get(target))
    return lambda line: _problems(line, validate)


def _problems(line: bytes, validate: Callable[[dict[str, object]], list[Finding]]) -> Iterable[str]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return [f"not JSON: {error.msg} at byte {error.pos}"]
    if not isinstance(document, dict):
        return ["not a JSON object"]
    findings = validate(document)
    return [f"{path}: {problem}" if path else problem for path, problem in findings]
