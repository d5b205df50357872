from __future__ import annotations

import json
from pathlib import Path

import pytest

from datto_siem.plugins.cli.canonical import problems

AT = ("--received-at", "2026-11-24T10:00:00Z")
SAMPLE = Path(__file__).parents[3] / "fixtures" / "sample.log"
HEAD = b"CEF:0|Datto|AccessPoint|7.1.0|wifi|probe|0|"


@pytest.mark.parametrize("target", ["ecs", "cim", "ocsf", "asim", "csl", "cef"])
def test_what_we_write_is_valid(cli, tmp_path, target):
    out = tmp_path / "out"
    cli("convert", "--to", target, *AT, "-o", out, SAMPLE)
    done = cli("validate", "--as", target, out)
    findings = [line for line in done.lines if b": warning: " not in line]
    assert (done.code, findings) == (0, [])


def document(**change):
    return {"@timestamp": "2026-11-24T10:00:00Z", "ecs": {"version": "8.11.0"}, **change}


def test_findings_name_file_line_and_path(cli, tmp_path):
    path = tmp_path / "docs.ndjson"
    rows = [document(), None, document(source={"ip": "nowhere"}), document(event={"kind": 7})]
    path.write_text("".join("\n" if row is None else json.dumps(row) + "\n" for row in rows))
    done = cli("validate", "--as", "ecs", path)
    assert done.code == 1
    first, second = done.out.decode().splitlines()
    assert first.startswith(f"{path}:3: source.ip: ")
    assert second.startswith(f"{path}:4: event.kind: ")


def test_warnings_are_printed_but_do_not_fail(cli, monkeypatch):
    from datto_siem.converters import validators
    from datto_siem.converters.validators import Finding

    monkeypatch.setattr(
        validators, "validator", lambda *_: lambda _: [Finding("a.b", "warning: is old")]
    )
    done = cli("validate", "--as", "ocsf", stdin=b"{}\n")
    assert (done.code, done.out) == (0, b"<stdin>:1: a.b: warning: is old\n")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": 1', "not JSON: unexpected end of data at byte 7"),
        (b"[1]", "not a JSON object"),
        (b'{"a": "\xff"}', "not JSON: "),
        (b"[" * 5000, "not JSON: "),
    ],
)
def test_what_is_no_document_is_a_finding(cli, line, problem):
    done = cli("validate", "--as", "ecs", stdin=line + b"\n")
    assert done.code == 1
    assert done.out.decode().startswith(f"<stdin>:1: {problem}")


def test_no_documents_are_no_findings(cli):
    done = cli("validate", "--as", "ecs", stdin=b"\n\n")
    assert (done.code, done.out) == (0, b"")


def test_a_huge_line_is_one_finding_and_the_next_line_keeps_its_number(cli):
    stdin = b"{" + b" " * (40 << 20) + b"}\n[]\n"
    done = cli("validate", "--as", "csl", stdin=stdin)
    assert done.lines == [b"<stdin>:1: longer than 16 MiB", b"<stdin>:2: not a JSON object"]


def test_control_characters_of_a_document_are_escaped(cli):
    stdin = json.dumps(document(**{"\x1b[31m\u202e": 1})).encode()
    done = cli("validate", "--as", "ecs", stdin=stdin)
    assert done.code == 1
    text = done.out.decode()
    assert r"\x1b[31m\u202e" in text
    assert all(char.isprintable() for char in text.rstrip("\n"))


def test_a_lone_surrogate_does_not_stop_the_findings(cli):
    done = cli("validate", "--as", "ecs", stdin=b'{"\\ud800": 1}\n')
    assert done.code == 1


def test_a_version_is_checked_against(cli, tmp_path):
    out = tmp_path / "out"
    cli("convert", "--to", "ocsf", "--ocsf-version", "1.1.0", *AT, "-o", out, SAMPLE)
    assert cli("validate", "--as", "ocsf", "--ocsf-version", "1.1.0", out).code == 0
    assert cli("validate", "--as", "ocsf", "--ocsf-version", "1.8.0", out).code == 1


def test_an_unknown_version_is_misuse(cli):
    done = cli("validate", "--as", "ecs", "--ecs-version", "1.0.0", stdin=b"{}")
    assert done.code == 2
    assert "8.11.0" in done.err


def test_a_version_for_another_target_is_refused(cli):
    done = cli("validate", "--as", "ecs", "--ocsf-version", "1.1.0", stdin=b"{}")
    assert (done.code, done.err) == (
        2,
        "datto-siem: --ocsf-version is not for --as ecs: leave it out\n",
    )


@pytest.mark.parametrize(
    ("args", "problem"), [((), "no target is named"), (("--as", "leef"), "no target 'leef'")]
)
def test_a_missing_or_unknown_target_lists_the_targets(cli, args, problem):
    done = cli("validate", *args, stdin=b"{}")
    assert done.code == 2
    assert done.err == (f"datto-siem: {problem}: add --as with ecs, cim, ocsf, asim, csl or cef\n")


@pytest.mark.parametrize(
    "line",
    [
        HEAD + b"rt=1795514300412 smac=02:00:5E:10:00:03 cs2=Guest dmac=DA:A1:19:4C:07:22",
        HEAD + b"cs2=a\\=b \\\\ c:d",
        HEAD,
        b"<134>Nov 24 09:58:20 ap-1 " + HEAD + b"cs2=Guest\r",
    ],
)
def test_canonical_lines_have_no_problems(line):
    assert list(problems(line)) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (HEAD + b"cs2:Guest", "cs2: a colon where `=` belongs (at 46)"),
        (HEAD + b"cs2=a=b", "cs2: an `=` in the value without a backslash (at 48)"),
        (HEAD + b"cs2=a\\\\=b", "cs2: an `=` in the value without a backslash (at 50)"),
        (HEAD + b"text cs2=a", "text stands before the first key (at 43)"),
        (HEAD + b"rt=1 rt=2", "rt: a key came more than once; every value is kept (at 51)"),
        (HEAD.removeprefix(b"CEF:") + b"rt=1", "the word CEF: was eaten on the way (at 0)"),
        (HEAD.replace(b":0", b":7") + b"rt=1", "CEF version '7' is neither 0 nor 1"),
        (b"hello", "not CEF: neither CEF nor syslog"),
        (b"<134>Nov 24 09:58:20 sw-1 link: Port 7 down", "not CEF: a plain syslog message"),
    ],
)
def test_what_had_to_be_repaired_is_a_problem(line, problem):
    assert problem in list(problems(line))


def test_cef_findings_are_printed_like_all_others(cli):
    done = cli("validate", "--as", "cef", stdin=HEAD + b"cs2=ok\n" + HEAD + b"cs2:Guest\n")
    assert done.code == 1
    assert done.out == b"<stdin>:2: cs2: a colon where `=` belongs (at 46)\n"
