from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from datto_siem.converters import Converter, targets
from datto_siem.converters.tables.load import load

AT = ("--received-at", "2026-11-24T10:00:00Z")
RECEIVED = 1_795_514_400_000
CEF = (
    b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|rt=1795514300412 smac=02:00:5E:10:00:03"
    b" cs2:Guest dmac:DA:A1:19:4C:07:22"
)
UNKNOWN = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300412 smac=02:00:5E:10:00:03"
GLUED = (
    b"CEF:1|Datto|Secure Edge|1.2.1|traffigatord|drop|7|policy_id=77"
    b"external_id=3f0a7c52-9b1d-4e8a-a6c4-51d27be90f13"
)
TEXT = b"<134>Nov 24 09:58:20 sw-1 link: Port 7 down"
GARBAGE = b"\x00\x01\x02 no log at all"
SAMPLE = Path(__file__).parents[3] / "fixtures" / "sample.log"


def ndjson(out):
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("target", targets(load()))
def test_every_record_gives_one_line_that_the_library_gives_too(cli, traffic, target):
    done = cli("convert", "--to", target, *AT, stdin=traffic)
    converter = Converter(target)
    records = [line.rstrip(b"\r\0") for line in traffic.split(b"\n")[:-1]]
    expected = [converter.encode(raw, RECEIVED, ordinal=at) for at, raw in enumerate(records)]
    assert done.code == 0
    assert done.out == b"".join(line + b"\n" for line in expected)


def test_standard_input_can_be_named(cli):
    assert len(cli("convert", "--to", "ecs", "-", stdin=CEF).lines) == 1


def test_standard_input_is_not_read_twice(cli):
    done = cli("convert", "--to", "ecs", "-", "-", stdin=CEF)
    assert (done.code, done.out) == (2, b"")
    assert done.err == "datto-siem: standard input (-) is named twice: name it once\n"


def test_files_are_read_in_order_with_options_between_them(cli, tmp_path):
    (tmp_path / "a.log").write_bytes(CEF)
    (tmp_path / "b.log").write_bytes(UNKNOWN + b"\n")
    done = cli("convert", tmp_path / "b.log", "--to", "cef", tmp_path / "a.log", "--quiet")
    assert [b"|roam|" in line for line in done.lines] == [True, False]
    assert done.err == ""


def test_a_trailing_cr_or_nul_is_dropped_and_blank_lines_are_skipped(cli):
    stdin = b"\n  \t\n\0\n\r\n" + CEF + b"\r\n" + CEF + b"\0\n\n" + CEF + b"\r\0"
    done = cli("convert", "--to", "ecs", *AT, stdin=stdin)
    assert [row["event"]["original"] for row in ndjson(done.out)] == [CEF.decode()] * 3
    assert done.err.startswith("records 3, decoded 3,")


def test_equal_records_get_different_ids_and_the_same_ones_every_time(cli, tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(CEF + b"\n" + CEF + b"\n")
    first = cli("convert", "--to", "asim", *AT, path, path)
    again = cli("convert", "--to", "asim", *AT, path, path)
    assert len({row["EventOriginalUid"] for row in ndjson(first.out)}) == 4
    assert first.out == again.out


def test_the_summary_counts_every_kind_of_record(cli):
    stdin = b"\n".join([CEF, UNKNOWN, GLUED, TEXT, GARBAGE])
    done = cli("convert", "--to", "ecs", *AT, stdin=stdin)
    counts, _, speed = done.err.partition("; ")
    assert counts == (
        "records 5, decoded 4, with notes 1, unknown events 1, undecodable 1, not CEF 1"
    )
    assert re.fullmatch(r"\d+\.\d s, \d+ records/s\n", speed)
    assert len(done.lines) == 5


@pytest.mark.parametrize("target", ["csl", "cef"])
def test_the_summary_does_not_depend_on_the_target(cli, traffic, target):
    def counts(name):
        return cli("convert", "--to", name, *AT, stdin=traffic).err.partition(";")[0]

    assert counts(target) == counts("ecs")


def test_quiet_says_nothing(cli):
    assert cli("convert", "--to", "ecs", "--quiet", stdin=CEF).err == ""


def test_empty_input_is_no_error(cli):
    done = cli("convert", "--to", "ecs", stdin=b"")
    assert (done.code, done.out) == (0, b"")
    assert done.err.startswith("records 0, decoded 0, with notes 0, unknown events 0,")


def test_strict_fails_on_an_undecodable_record_but_writes_all(cli):
    strict = ("convert", "--to", "ecs", "--strict")
    failed = cli(*strict, stdin=CEF + b"\n" + GARBAGE)
    assert (failed.code, len(failed.lines)) == (1, 2)
    assert cli(*strict, stdin=CEF + b"\n" + TEXT + b"\n" + UNKNOWN).code == 0
    assert cli("convert", "--to", "ecs", stdin=GARBAGE).code == 0


def test_a_binary_file_is_converted_line_by_line_with_a_hint(cli):
    done = cli("convert", "--to", "ecs", stdin=bytes(range(256)) * 4)
    assert done.code == 0
    assert all(row["event"]["kind"] == "pipeline_error" for row in ndjson(done.out))
    assert "no record could be decoded: check that the input is syslog" in done.err


def test_utf_16_is_told(cli):
    done = cli("convert", "--to", "ecs", stdin=CEF.decode().encode("utf-16"))
    assert "standard input looks like UTF-16: convert it first" in done.err


def test_a_received_time_may_be_an_epoch(cli):
    text = cli("convert", "--to", "ecs", *AT, stdin=CEF)
    number = cli("convert", "--to", "ecs", "--received-at", "1795514400", stdin=CEF)
    assert text.out == number.out
    assert ndjson(text.out)[0]["event"]["created"] == "2026-11-24T10:00:00.000Z"


def test_without_a_received_time_the_clock_is_read(cli):
    created = ndjson(cli("convert", "--to", "ecs", stdin=CEF).out)[0]["event"]["created"]
    assert created > "2026-01-01"


def test_a_bad_received_time_gets_an_example(cli):
    done = cli("convert", "--to", "ecs", "--received-at", "tomorrow", stdin=CEF)
    assert (done.code, done.out) == (2, b"")
    assert "'tomorrow' is no time: write 2026-11-24T10:00:00Z or 1795514400" in done.err


def test_an_unknown_target_lists_the_targets(cli):
    done = cli("convert", "--to", "leef", stdin=CEF)
    assert (done.code, done.out) == (2, b"")
    assert done.err == (
        "datto-siem: --to: no target 'leef'; there are asim, cim, csl, ecs, ocsf, cef:"
        " choose one of those\n"
    )


def test_no_target_lists_the_targets(cli):
    done = cli("convert", stdin=CEF)
    assert done.code == 2
    assert done.err == (
        "datto-siem: no target is named: add --to with ecs, cim, ocsf, asim, csl or cef\n"
    )


def test_an_ocsf_version_is_written(cli):
    done = cli("convert", "--to", "ocsf", "--ocsf-version", "1.1.0", stdin=CEF)
    assert ndjson(done.out)[0]["metadata"]["version"] == "1.1.0"


def test_an_unknown_ocsf_version_lists_the_versions(cli):
    done = cli("convert", "--to", "ocsf", "--ocsf-version", "0.9", stdin=CEF)
    assert done.code == 2
    assert "1.1.0" in done.err
    assert "1.8.0" in done.err


def test_an_ocsf_version_for_another_target_is_refused(cli):
    done = cli("convert", "--to", "ecs", "--ocsf-version", "1.1.0", stdin=CEF)
    assert done.code == 2
    assert done.err == "datto-siem: --ocsf-version is not for --to ecs: leave it out\n"


@pytest.mark.parametrize("version", ["0", "1"])
def test_the_cef_version_is_chosen(cli, version):
    done = cli("convert", "--to", "cef", "--cef-version", version, stdin=CEF)
    assert done.out.startswith(f"CEF:{version}|Datto|".encode())


def test_a_listed_switch_is_read_as_one(cli):
    plain = ndjson(cli("convert", "--to", "ecs", stdin=TEXT).out)[0]
    options = ("--switch", "sw-9", "--switch", "sw-1")
    listed = ndjson(cli("convert", "--to", "ecs", *options, stdin=TEXT).out)[0]
    assert listed["observer"]["type"] == "switch"
    assert plain["observer"].get("type") != "switch"


def test_tables_of_ones_own_are_laid_over(cli, tmp_path):
    (tmp_path / "sources").mkdir()
    row = "events:\n  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac]}\n"
    (tmp_path / "sources" / "access_point.yaml").write_text(row)
    done = cli("convert", "--to", "ecs", "--tables", tmp_path, stdin=UNKNOWN)
    assert "unknown events 0" in done.err
    assert "unknown events 1" in cli("convert", "--to", "ecs", stdin=UNKNOWN).err


def test_all_faults_of_ones_own_tables_are_listed(cli, tmp_path):
    (tmp_path / "sources").mkdir()
    rows = "events:\n  a/b: {activity: nonsense}\n  c/d: {activity: unknown, keys: [qq]}\n"
    (tmp_path / "sources" / "access_point.yaml").write_text(rows)
    done = cli("convert", "--to", "ecs", "--tables", tmp_path, stdin=UNKNOWN)
    assert (done.code, done.out) == (2, b"")
    told, *faults = done.err.splitlines()
    assert told.startswith("datto-siem: 2 faults in the mapping tables: mend them")
    assert [fault.startswith(f"{tmp_path}/sources/access_point.yaml:") for fault in faults] == [
        True,
        True,
    ]


def test_a_missing_directory_of_tables_is_told(cli, tmp_path):
    done = cli("convert", "--to", "ecs", "--tables", tmp_path / "nowhere", stdin=UNKNOWN)
    assert done.code == 2
    assert "nowhere:1: not a directory of mapping tables" in done.err


@pytest.mark.parametrize("number", ["0", "-1", "many", "9999999999", "²"])
def test_a_bad_number_of_workers_is_refused(cli, number):
    done = cli("convert", "--to", "ecs", f"--workers={number}", stdin=CEF)
    assert done.code == 2
    assert "no number from 1 to 1024" in done.err


def test_the_shipped_sample_decodes_whole(cli):
    done = cli("convert", "--to", "ecs", "--strict", SAMPLE)
    assert done.code == 0
    assert "undecodable 0" in done.err


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"a secret of ours, long enough\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("workers", ["1", "2"])
def test_pseudonyms_replace_who_it_was(cli, key, workers):
    options = ("--to", "ecs", *AT, "--workers", workers)
    done = cli("convert", *options, "--pseudonyms", key, stdin=CEF + b"\n" + TEXT + b"\nx\n")
    first, text, _ = ndjson(done.out)
    assert "DA:A1:19:4C:07:22" not in done.out.decode().replace("-", ":").upper()
    assert int(first["source"]["mac"][:2], 16) & 3 == 2
    assert text["event"]["original"] == TEXT.decode()
    assert done.err.partition(";")[0].endswith("not CEF 1, not pseudonymised 2")


def test_pseudonyms_need_the_same_key_to_agree(cli, key, tmp_path):
    def mac(path):
        done = cli("convert", "--to", "ecs", "--pseudonyms", path, stdin=CEF)
        return ndjson(done.out)[0]["source"]["mac"]

    other = tmp_path / "other"
    other.write_bytes(b"another secret, long enough")
    unended = tmp_path / "unended"
    unended.write_bytes(key.read_bytes().rstrip())
    assert mac(key) == mac(unended) != mac(other)


def test_a_short_key_is_refused_and_not_shown(cli, tmp_path):
    (tmp_path / "key").write_bytes(b"only-fifteen-b\n\n")
    done = cli("convert", "--to", "ecs", "--pseudonyms", tmp_path / "key", stdin=CEF)
    assert (done.code, done.out) == (2, b"")
    assert "is shorter than 16 bytes: make one: (umask 077; openssl rand -hex 32 >" in done.err
    assert "only" not in done.err


def test_a_missing_key_file_is_told(cli, tmp_path):
    done = cli("convert", "--to", "ecs", "--pseudonyms", tmp_path / "no", stdin=CEF)
    assert done.code == 2
    assert "cannot read the key file" in done.err


def test_a_key_that_others_can_read_is_told(cli, key):
    key.chmod(0o644)
    done = cli("convert", "--to", "ecs", "--pseudonyms", key, stdin=CEF)
    assert done.code == 0
    assert f"datto-siem: others can read {key}: chmod 600 {key}\n" in done.err
