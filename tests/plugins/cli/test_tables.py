from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest

from datto_siem.converters.decoder import Decoder
from datto_siem.converters.tables.load import load
from datto_siem.converters.tables.nodes import parse
from datto_siem.plugins.cli import checkout
from datto_siem.plugins.cli.new_event import NewEvent, create

ROOT = Path(__file__).parents[3]
OVERLAY = "sources/access_point.yaml"


@pytest.fixture
def own(tmp_path):
    (tmp_path / "sources").mkdir()
    return tmp_path


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A checkout of our own to write into."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    (tmp_path / "fixtures").mkdir()
    monkeypatch.setattr(checkout, "root", lambda: tmp_path)
    return tmp_path


def new(cli, *args):
    return cli("tables", "new", *args)


def test_the_shipped_tables_have_no_faults(cli):
    done = cli("tables", "check")
    assert (done.code, done.out, done.err) == (0, b"", "no faults in the mapping tables\n")


def test_all_faults_are_printed_with_their_place(cli, own):
    (own / OVERLAY).write_text(
        "events:\n  a/b: {activity: nonsense, keys: [rt]}\n  c/d: {activity: unknown, keys: [qq]}\n"
    )
    done = cli("tables", "check", own)
    assert done.code == 1
    places = [line.decode().partition(": ")[0] for line in done.lines]
    assert places == [f"{own}/{OVERLAY}:2", f"{own}/{OVERLAY}:3"]
    assert done.err == "2 faults in the mapping tables\n"


def test_a_table_that_is_no_yaml_is_a_fault_too(cli, own):
    (own / OVERLAY).write_text("events: [\n")
    done = cli("tables", "check", own)
    assert done.code == 1
    assert b"not YAML" in done.out
    assert done.err == "1 fault in the mapping tables\n"


def test_the_reference_is_written_and_compared(cli, own):
    path = own / "fields.md"
    assert cli("tables", "docs", "-o", path).code == 0
    assert cli("tables", "docs", "--check", "-o", path).code == 0
    assert cli("tables", "docs", "-o", "-").out == path.read_bytes()
    path.write_text("old")
    done = cli("tables", "docs", "--check", "-o", path)
    assert done.code == 1
    assert done.out.decode() == f"{path} is stale; mend it by: datto-siem tables docs -o {path}\n"
    assert path.read_text() == "old"


def test_the_reference_of_a_checkout_has_a_home(cli, copy):
    (copy / "mappings" / "README.md").unlink(missing_ok=True)
    stale = cli("tables", "docs", "--check")
    assert stale.code == 1
    assert stale.out.endswith(b"README.md is stale; mend it by: datto-siem tables docs\n")
    assert cli("tables", "docs").code == 0
    assert cli("tables", "docs", "--check").code == 0


@pytest.mark.parametrize("args", [("docs",), ("new", "access_point", "wifi/roam")])
def test_outside_a_checkout_one_is_told(cli, monkeypatch, args):
    monkeypatch.setattr(checkout, "root", lambda: None)
    done = cli("tables", *args)
    assert done.code == 2
    assert "works in a checkout of the project: clone it" in done.err


def test_a_checkout_is_told_from_an_installed_package(monkeypatch, tmp_path):
    assert checkout.root() == ROOT
    (tmp_path / "mappings").mkdir()
    monkeypatch.setattr(resources, "files", lambda _: tmp_path / "mappings")
    assert checkout.root() is None


def test_a_row_is_added_before_the_last_and_nothing_else_changes(cli, copy):
    path = copy / "mappings" / "sources" / "access_point.yaml"
    before = path.read_text().splitlines()
    done = new(cli, "access_point", "wifi/roam", "--activity", "wifi.reassoc")
    after = path.read_text().splitlines()
    row = "  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac]}"
    assert done.code == 0
    assert [line for line in after if line not in before] == [row]
    assert after[after.index(row) + 1].startswith('  "*/*":')
    assert [line for line in after if line != row] == before
    assert "pytest --update" in done.out.decode()


@pytest.mark.parametrize("source", ["access_point", "secure_edge", "switch"])
def test_every_source_takes_a_new_event_and_its_sample_decodes(cli, copy, source):
    assert new(cli, source, "wifi/fast-roam").code == 0
    line = (copy / "fixtures" / source / "wifi_fast_roam" / "event.log").read_bytes()
    tables = load(copy / "mappings")
    event = Decoder(tables).decode(line, 1_795_514_400_000)
    assert event.reading.id == f"{source}/wifi/fast-roam"
    assert {note.kind for note in event.notes} <= {"inferred"}
    assert [key for key in event.reading.keys if key not in event.extension] == []


def test_the_sample_has_the_vendors_form(cli, copy):
    new(cli, "access_point", "wifi/roam", "--keys", "rt,smac,cs2,dmac")
    line = (copy / "fixtures" / "access_point" / "wifi_roam" / "event.log").read_text()
    assert line == (
        "CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300412 smac=02:00:5E:10:00:03"
        " cs2:Guest dmac:DA:A1:19:4C:07:22\n"
    )


def test_a_numbered_list_and_a_wildcard_are_written(cli, own):
    assert new(cli, "secure_edge", "flowd/*", "--keys", "groups.*", "--tables", own).code == 0
    assert (own / "sources/secure_edge.yaml").read_text() == (
        'events:\n  "flowd/*": {activity: unknown, keys: ["groups.*"]}\n'
    )
    sample = own / "fixtures" / "secure_edge" / "flowd_traffic" / "event.log"
    assert sample.read_text().endswith("|flowd|sample|0|groups.0=sample\n")
    assert cli("tables", "check", own).code == 0


def test_an_empty_directory_of_ones_own_gets_its_first_table(cli, tmp_path):
    done = new(cli, "access_point", "wifi/roam", "--tables", tmp_path)
    assert done.code == 0
    assert cli("tables", "check", tmp_path).code == 0
    assert f"datto-siem tables check {tmp_path}" in done.out.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "events:\n  wifi/roam: ROW\n"),
        ("set: {device.kind: ap}", "set: {device.kind: ap}\nevents:\n  wifi/roam: ROW\n"),
        (
            "events:\n  a/b: {activity: boot}",
            "events:\n  a/b: {activity: boot}\n  wifi/roam: ROW\n",
        ),
        (
            "events: # ours\n    a/b:\n      also: [c]\n# tail\nset: {}\n",
            "events: # ours\n    a/b:\n      also: [c]\n    wifi/roam: ROW\n# tail\nset: {}\n",
        ),
        (
            "events:\n  '*/*': {activity: unknown}\n",
            "events:\n  wifi/roam: ROW\n  '*/*': {activity: unknown}\n",
        ),
    ],
)
def test_rows_fit_into_files_of_any_layout(own, before, after):
    (own / OVERLAY).write_text(before)
    create(NewEvent("access_point", "wifi/roam", "unknown", ["rt"]), own)
    row = "{activity: unknown, keys: [rt]}"
    assert (own / OVERLAY).read_text() == after.replace("ROW", row)


def test_a_layout_that_is_not_understood_is_left_alone(cli, own):
    flow = "events: {a/b: {activity: unknown}}\n"
    (own / OVERLAY).write_text(flow)
    done = new(cli, "access_point", "wifi/roam", "--tables", own)
    assert done.code == 2
    row = "wifi/roam: {activity: unknown, keys: [rt, smac]}"
    assert f"add it by hand under `events:`: {row}" in done.err
    assert (own / OVERLAY).read_text() == flow
    assert not (own / "fixtures").exists()


def test_a_sample_that_is_there_is_kept(cli, own):
    sample = own / "fixtures" / "access_point" / "wifi_roam" / "event.log"
    sample.parent.mkdir(parents=True)
    sample.write_text("mine\n")
    assert new(cli, "access_point", "wifi/roam", "--tables", own).code == 0
    assert sample.read_text() == "mine\n"


@pytest.mark.parametrize(
    "name",
    ["../roam", "wifi", "wifi/", "/roam", "wifi/a/b", "wifi/..", "wifi/a:b", "*/*", "wifi/r\n"],
)
def test_names_that_are_no_event_are_refused(cli, own, name):
    done = new(cli, "access_point", name, "--tables", own)
    assert done.code == 2
    assert "is no event: write CLASS/NAME" in done.err
    assert list((own / "sources").iterdir()) == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("../access_point", "a/b"), "no source '../access_point': name access_point, "),
        (("other", "a/b"), "no source 'other'"),
        (("access_point", "wifi/auth"), "wifi/auth is there already: edit sources/"),
        (("access_point", "wifi/unauth"), "wifi/unauth is there already"),
        (("access_point", "a/b", "--activity", "wifi.reasoc"), "no activity 'wifi.reasoc': name "),
        (("access_point", "a/b", "--keys", "rt,a b"), "'a b' is no key: write them as rt,smac,cs2"),
    ],
)
def test_what_cannot_be_added_is_told(cli, own, args, told):
    done = new(cli, *args, "--tables", own)
    assert done.code == 2
    assert told in done.err
    assert list((own / "sources").iterdir()) == []


def test_a_key_without_a_row_is_the_next_step(cli, own):
    done = new(cli, "access_point", "wifi/roam", "--keys", "rt,channel", "--tables", own)
    assert "describe channel under `fields:`" in done.out.decode()


def test_a_missing_directory_of_ones_own_is_told(cli, tmp_path):
    done = new(cli, "access_point", "wifi/roam", "--tables", tmp_path / "no")
    assert done.code == 2
    assert "is not a directory: make it first" in done.err


def test_the_file_still_says_what_it_said(own):
    text = "events:\n  a/b: {activity: unknown}\n"
    (own / OVERLAY).write_text(text)
    create(NewEvent("access_point", "c/d", "unknown", ["rt"]), own)
    rows = parse((own / OVERLAY).read_text(), "x", []).plain()["events"]
    assert list(rows) == ["a/b", "c/d"]
