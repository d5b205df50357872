"""The generated KQL in two engines: Microsoft's binds and types it, duckdb-kql runs it.

Rows are made of the corpus in both kinds a parser meets (`kql_rows`); each must come out of exactly
one parser, equal to the converter's document but for the differences the generator lists.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import rule_corpus
from cases import PEER, RECEIVED
from engine import ENGINES, needed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kql_rows import AGENT, POSTED, collected, posted, shape, wire_columns
from kql_when import WHEN
from rule_corpus import Case

from datto_siem.converters import Converter
from datto_siem.converters.casts import CASTS
from datto_siem.converters.evaluate import evaluate
from datto_siem.converters.operators import text as operators_text
from datto_siem.converters.schemas.sentinel_columns import columns
from datto_siem.converters.times import iso
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import _kql as kql
from datto_siem.plugins.generators import sentinel
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._sentinel_casts import KIND_OF_PART
from datto_siem.plugins.generators._sentinel_casts import made as cast_stages
from datto_siem.plugins.generators._sentinel_expr import Code, Compiler, as_text
from datto_siem.plugins.generators._sentinel_filters import filtered
from datto_siem.plugins.generators._sentinel_functions import Function, functions
from datto_siem.plugins.generators._sentinel_schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from datto_siem.converters import Event

PYTHON = ENGINES / "duckdb-kql" / "bin" / "python"
KUSTO = ENGINES / "kusto"
HERE = __file__.rpartition("/")[0]
LONG = 65_536
NOW = "2026-11-24T10:00:00Z"
_ADDED = {"EventSchema", "EventUid", "ASimMatchingIpAddr", "ASimMatchingHostname"}
"""Columns that only a parser has."""

pytestmark = pytest.mark.engine


def bind(request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask Microsoft's language service."""
    present = (KUSTO / "node_modules" / "@kusto" / "language-service-next").is_dir()
    needed(present, "@kusto/language-service-next")
    found: dict[str, Any] = json.loads(_run(["node", f"{HERE}/kql_bind.mjs", str(KUSTO)], request))
    return found


def execute(rows: list[dict[str, Any]], texts: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """Run queries over rows of CommonSecurityLog."""
    needed(PYTHON.exists(), "duckdb-kql")
    request = {"table": "CommonSecurityLog", "columns": shape(), "rows": rows, "texts": texts}
    found: dict[str, Any] = json.loads(
        _run([str(PYTHON), f"{HERE}/kql_run.py"], {**request, **more})
    )
    return found


def _run(command: list[str], request: Mapping[str, Any]) -> str:
    done = subprocess.run(  # noqa: S603  our own programs
        command,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def parsers(made: Iterable[Function]) -> dict[str, str]:
    """The bodies that give every row, their parameters as a call without any sets them."""
    return {
        each.name: f"{lets(each)}{each.body}" for each in made if not each.name.startswith("vim")
    }


def lets(each: Function, **told: str) -> str:
    """Parameters as statements before a body."""
    found = ""
    for row in each.parameters.split(", "):
        name, _, rest = row.partition(":")
        found += f"let {name} = {told.get(name, rest.partition('=')[2])};\n"
    return found


class Row(NamedTuple):
    """One row, the record it was made of, and what the converter makes of that."""

    case: Case
    kind: str
    row: dict[str, Any]
    expected: dict[str, Any]
    event: Event


def forged_lines() -> list[Case]:
    """What a stranger's SSID and host name can do to Datto's colon pairs."""
    head = b"CEF:1|Datto|AccessPoint|7.1.0|%b|0|rt=1795514300412 smac=02:00:5E:10:00:03 "
    true, false = b"dmac:DA:A1:19:4C:07:22", b"dmac:66:66:66:66:66:66"
    lines = (
        head % b"wifi|assoc" + b"cs2:Free " + false + b" reason:0 " + true + b" reason:17",
        head % b"wifi|key-mismatch" + b"cs2:" + false + b" " + false + b" " + true,
        head % b"dhcp|up"
        + true
        + b" dvc:10.20.4.117 dvchost:x "
        + false
        + b" dvc:192.0.2.66 cs2:Guest",
    )
    return [Case(50_000 + at, "hostile/forged_colons", line) for at, line in enumerate(lines)]


def long_lines() -> list[Case]:
    """64 KiB of what patterns might stumble over."""
    head = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|rt=1795514300412 smac=02:00:5E:10:00:03 "
    edge = b"CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|query_time=1795514300412 domain="
    bodies = (
        head + b"cs2:" + b"a " * (LONG // 2),
        head + b"cs2:x" + b" dmac:02:00:5E:10:00:0" * (LONG // 22),
        head + b"cs2:" + b";" * LONG,
        head + b"cs2:" + b"\\" * LONG,
        edge + b"groups.1=" * (LONG // 9),
        edge + b"x;=" * (LONG // 3),
    )
    return [Case(40_000 + at, "long", body[:LONG]) for at, body in enumerate(bodies)]


def rows_of(cases: Iterable[Case], overlay: Path | None = None) -> list[Row]:
    """Each record as datto-siem posts it and, if it is CEF of Datto's, as an agent leaves it."""
    csl, asim = Converter("csl", None, overlay), Converter("asim", None, overlay)
    wire = wire_columns(Context("0", overlay=overlay))
    found = []
    for case in cases:
        expected = rule_corpus.document(asim, case)
        event = asim.decoder.decode(case.line, RECEIVED, PEER, None, case.ordinal)
        made = {POSTED: posted(csl, case), AGENT: collected(case, event, wire)}
        for kind, row in made.items():
            if row is not None:
                row["_ItemId"] = f"{kind} {case.ordinal}"
                found.append(Row(case, kind, row, expected, event))
    return found


def ours(row: Row) -> bool:
    """Whether a row is Datto's: parsers must leave all others alone."""
    return str(row.row["DeviceVendor"]).lower() == "datto"


def plain(value: Any) -> Any:
    """Without what counts as absent: Log Analytics keeps no text apart from an empty one."""
    if isinstance(value, dict):
        kept = {key: plain(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", {}, [])}
    return value


def compared(row: Row, name: str, got: dict[str, Any], made: Iterable[Function]) -> list[Any]:
    """(path, expected, got) of one row."""
    table = next(each.table for each in made if each.name == name)
    if table != row.expected["Type"]:
        return [("Type", row.expected["Type"], table)]
    expected = plain(row.expected)
    aliases = SCHEMAS[table].aliases if table in SCHEMAS else {}
    kept = {
        column: value
        for column, value in got.items()
        if column in expected or column not in {*aliases, *_ADDED}
    }
    return list(rule_corpus.differences(expected, plain(kept)))


@pytest.fixture(scope="module")
def ran() -> tuple[list[Row], dict[str, list[tuple[str, dict[str, Any]]]]]:
    """The whole corpus through every parser, in one process."""
    rows = rows_of([*rule_corpus.corpus(), *long_lines(), *forged_lines()])
    found: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    answer = execute([row.row for row in rows], parsers(functions(Context("0"))))
    for name, results in answer.items():
        for result in results:
            found[result["EventUid"]].append((name, result))
    return rows, found


def test_each_row_comes_out_of_exactly_one_parser(ran: Any) -> None:
    rows, found = ran
    wrong = [
        (row.kind, row.case.origin, [name for name, _ in found[row.row["_ItemId"]]])
        for row in rows
        if len(found[row.row["_ItemId"]]) != int(ours(row))
    ]
    assert wrong == []
    assert sum(ours(row) for row in rows) > 9_000
    assert any(not ours(row) for row in rows)


def test_rows_equal_the_converter_but_for_listed_differences(ran: Any) -> None:
    rows, found = ran
    made = functions(Context("0"))
    used, wrong = set(), []
    for row in rows:
        if not ours(row):
            continue
        name, got = found[row.row["_ItemId"]][0]
        for path, left, right in compared(row, name, got, made):
            why = known(row, path)
            used.update(why)
            if not why:
                wrong.append((row.case.origin, row.kind, path, left, right, row.case.line[:400]))
    assert wrong[:20] == [], len(wrong)
    unused = [row for row in sentinel.KNOWN_DIFFERENCES if row not in used]
    assert unused == [], "no case needs these any more"


def known(row: Row, path: str) -> list[sentinel.Difference]:
    """The listed differences that explain one."""
    return [
        each
        for each in sentinel.KNOWN_DIFFERENCES
        if each.rows in ("any", row.kind)
        and any(fnmatchcase(path, pattern) for pattern in each.path.split())
        and WHEN[each.when](row.event, row.row)
    ]


def test_forged_values_win_nowhere(ran: Any) -> None:
    """Where a stranger writes `key=` for a column, an agent itself lets that one stand."""
    rows, found = ran
    forged = ("66:66:66:66:66:66", "192.0.2.66", "ceo@example.com", "allow.evil.test")
    columns_ = ("SrcMacAddr", "DstMacAddr", "SrcIpAddr", "SrcUsername", "DvcMacAddr", "DvcAction")
    seen: dict[str, int] = defaultdict(int)
    for row in rows:
        line = row.case.line.decode("utf-8", "replace")
        beyond = (
            row.kind == AGENT and "AccessPoint" in line and any(f"={one}" in line for one in forged)
        )
        if row.case.origin.startswith("hostile/forged") and ours(row) and not beyond:
            seen[row.kind] += 1
            _, got = found[row.row["_ItemId"]][0]
            for column in columns_:
                if row.expected.get(column) not in forged:
                    assert got.get(column) not in forged, (row.case.origin, row.kind, column)
    assert seen[POSTED] > 8
    assert seen[AGENT] > 4


def test_microsofts_engine_binds_every_query_and_types_its_columns() -> None:
    made = functions(Context("0"))
    table = {name: _kusto(kind) for name, kind in shape().items()}
    texts = {each.name: {"text": each.body, "parameters": _types(each)} for each in made}
    texts["bad"] = {"text": "CommonSecurityLog | where NoSuch == 1 | extend a = tolowr('x')"}
    stored = {each.name: [f"({each.parameters})", "{ CommonSecurityLog }"] for each in made}
    for name, text in sentinel.unions(made).items():
        each = next(one for one in made if f"{one.name}(" in text)
        texts[name] = {"text": text, "parameters": _types(each)}
    found = bind({"tables": {"CommonSecurityLog": table}, "functions": stored, "texts": texts})
    assert len(found["texts"].pop("bad")["errors"]) == 2
    assert {key: one["errors"] for key, one in found["texts"].items() if one["errors"]} == {}
    for each in made:
        got = found["texts"][each.name]["columns"]
        pinned = columns().table(each.table)
        wrong = {
            name: kind
            for name, kind in got.items()
            if name in pinned and kind != _kusto(pinned[name].type)
        }
        assert wrong == {}, each.name
        if each.schema is not None:
            asked = {name for name, one in pinned.items() if one.klass == "Mandatory"}
            assert asked - set(got) == set(), each.name


def test_transforms_bind_where_only_their_dialect_counts() -> None:
    files = sentinel.files(Context("0"))
    template = json.loads(files["mainTemplate.json"])
    rule = next(row for row in template["resources"] if row["type"].endswith("Rules"))
    table = {name: _kusto(kind) for name, kind in shape().items()}
    texts = {"probes": {"text": files["transform-drop-probes.kql"].decode()}}
    for flow in rule["properties"]["dataFlows"]:
        texts[flow["outputStream"]] = {"text": flow["transformKql"]}
    found = bind({"tables": {"source": table}, "texts": texts})
    assert all(not one["errors"] for one in found["texts"].values())
    quiet = texts["probes"]["text"].replace("source", "CommonSecurityLog", 1)
    rows = [row for row in rows_of(rule_corpus.fixtures()) if row.kind == AGENT]
    kept = {row["_ItemId"] for row in execute([row.row for row in rows], {"q": quiet})["q"]}
    for row in rows:
        probe = row.event.reading.activity == "wifi.probe"
        assert (row.row["_ItemId"] in kept) is not probe


FILTERS = (
    (
        "ASimNetworkSessionLogs",
        "eventresult",
        "'Failure'",
        lambda row: row["EventResult"] == "Failure",
    ),
    (
        "ASimNetworkSessionLogs",
        "dvcaction",
        "dynamic(['drop'])",
        lambda row: row["DvcAction"] == "Drop",
    ),
    ("ASimNetworkSessionLogs", "dstportnumber", "443", lambda row: row["DstPortNumber"] == 443),
    ("ASimNetworkSessionLogs", "hostname_has_any", "dynamic(['x'])", lambda row: False),
    (
        "ASimNetworkSessionLogs",
        "srcipaddr_has_any_prefix",
        "dynamic(['100.64.'])",
        lambda row: row["SrcIpAddr"].startswith("100.64."),
    ),
    (
        "ASimNetworkSessionLogs",
        "ipaddr_has_any_prefix",
        "dynamic(['203.0.113.'])",
        lambda row: row["DstIpAddr"].startswith("203.0.113."),
    ),
    (
        "ASimDnsActivityLogs",
        "srcipaddr",
        "'100.64.12.7'",
        lambda row: row["SrcIpAddr"] == "100.64.12.7",
    ),
    (
        "ASimDnsActivityLogs",
        "domain_has_any",
        "dynamic(['example.net'])",
        lambda row: "example.net" in row["DnsQuery"],
    ),
    ("ASimDnsActivityLogs", "responsecodename", "'NXDOMAIN'", lambda row: False),
    ("ASimDnsActivityLogs", "eventtype", "'lookup'", lambda row: True),
    ("ASimDnsActivityLogs", "response_has_ipv4", "'192.0.2.1'", lambda row: False),
    (
        "ASimDhcpEventLogs",
        "srchostname_has_any",
        "dynamic(['laptop'])",
        lambda row: "laptop" in row["SrcHostname"].lower(),
    ),
    (
        "ASimAuthenticationEventLogs",
        "username_has_any",
        "dynamic(['kim'])",
        lambda row: "kim" in row["TargetUsername"],
    ),
    (
        "ASimAuthenticationEventLogs",
        "eventtype_in",
        "dynamic(['Logoff'])",
        lambda row: row["EventType"] == "Logoff",
    ),
    (
        "ASimAuthenticationEventLogs",
        "eventresultdetails_in",
        "dynamic(['Incorrect key'])",
        lambda row: row["EventResultDetails"] == "Incorrect key",
    ),
    (
        "ASimAuditEventLogs",
        "operation_has_any",
        "dynamic(['reboot'])",
        lambda row: row["Operation"] == "reboot",
    ),
    ("ASimAuditEventLogs", "newvalue_has_any", "dynamic(['x'])", lambda row: False),
)
"""Table, parameter, its setting, and which rows it keeps."""


def test_each_parameter_keeps_just_its_rows(ran: Any) -> None:
    """The conditions that make the filtering parser of the parameterless one, on finished rows."""
    rows, found = ran
    wanted = {row.row["_ItemId"] for row in rows if row.case.ordinal < 10_000}
    finished: dict[str, list[dict[str, Any]]] = defaultdict(list)
    made = {each.name: each for each in functions(Context("0"))}
    for results in found.values():
        for name, result in results:
            if result["EventUid"] in wanted:
                finished[made[name].table].append(result)
    prefix = (  # of one address prefix, which is all the tests ask for
        "let has_any_ipv4_prefix = (address:string, prefixes:dynamic)"
        " { array_length(prefixes) > 0 and address startswith tostring(prefixes[0]) };\n"
    )
    for table, schema in SCHEMAS.items():
        each = made[schema.filtering]
        pinned = columns().table(table)
        kinds = {
            name: pinned[name].type
            for name in finished[table][0]
            if name in pinned and pinned[name].type != "dynamic"
        }
        rows_ = [
            {name: row[name] for name in kinds if row[name] is not None}
            | {"_ItemId": row["EventUid"]}
            for row in finished[table]
        ]
        renames = ", ".join(f"o_{name} = {name}" for name in kinds)
        stages = "\n".join(filtered(schema.filters, set(kinds)))
        query = f"{prefix}CommonSecurityLog\n| extend {renames}\n{stages}"
        told = {name: (setting, keeps) for at, name, setting, keeps in FILTERS if at == table}
        texts = {name: lets(each, **{name: one[0]}) + query for name, one in told.items()}
        texts["default"] = lets(each) + query
        answer = execute(rows_, texts, columns={**kinds, "_ItemId": "string"})
        assert len(answer["default"]) == len(rows_) > 0
        for name, (_, keeps) in told.items():
            kept = sorted(row["_ItemId"] for row in answer[name])
            wanted_ = sorted(row["EventUid"] for row in finished[table] if keeps(row))
            assert kept == wanted_, (table, name)


def test_filtering_parsers_are_the_parameterless_ones_and_their_conditions() -> None:
    made = {each.name: each for each in functions(Context("0"))}
    for table, schema in SCHEMAS.items():
        each = made[schema.filtering]
        whole = iter([line.rstrip(",") for line in each.body.split("\n")])
        base = made[schema.parameterless].body.split("\n")
        shown = [line.rstrip(",") for line in base if not line.startswith("//")]
        missing = [line for line in shown if line not in whole]
        assert missing == [], table


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=200))
def test_literals_mean_their_text_in_microsofts_engine(texts: list[str]) -> None:
    odd = [
        "'",
        '"',
        "\\",
        "\n",
        "\r\n",
        "\t",
        "]]",
        '"""',
        "${x}",
        "\0",
        "\x1b",
        "\u2028",
        "\ufeff",
    ]
    every = [*odd, *(one + other for one in odd for other in odd), *texts]
    assert bind({"literals": [kql.text(one) for one in every]})["literals"] == every
    assert all("\n" not in kql.comment(one) and "\r" not in kql.comment(one) for one in every)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        kql.text("\ud800")


SOURCE = """\
events:
  wifi/bss-block: {activity: wifi.probe, keys: [rt, smac, cs2, dmac, blockReason]}
  "wifi/it's": {activity: wifi.disassoc, keys: [rt, smac, cs2, dmac]}
fields:
  blockReason: {as: int, is: wifi.reason_code, colon: true, doc: Why}
"""
TARGET = r'''
activities:
  wifi.probe:
    use: [network_session, layer2]
    result: Success
    NetworkDirection: NA
    EventMessage: 'a ''b'' "c" ]] """ \ \1 {} ; %3C , <b>'
    AdditionalFields.Odd: '"}], \" x'
'''


def test_a_new_event_in_the_tables_reaches_the_parsers(tmp_path: Path) -> None:
    for folder, name, text in (
        ("sources", "access_point", SOURCE),
        ("targets", "asim", TARGET),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.yaml").write_text(text)
    head = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|%b|0|rt=1795514300412 smac=02:00:5E:10:00:03 "
    lines = (
        head % b"bss-block" + b'cs2:It\'s ${x} "y" dmac:DA:A1:19:4C:07:22 blockReason:17',
        head % b"it's" + b"cs2:Guest dmac:DA:A1:19:4C:07:22",
    )
    rows = rows_of([Case(at, "new", line) for at, line in enumerate(lines)], tmp_path)
    made = functions(Context("0", overlay=tmp_path))
    name = SCHEMAS["ASimNetworkSessionLogs"].parameterless
    answer = execute([row.row for row in rows], {name: parsers(made)[name]})[name]
    assert len(answer) == 4
    for row in rows:
        got = next(one for one in answer if one["EventUid"] == row.row["_ItemId"])
        left = [path for path, *_ in compared(row, name, got, made) if not known(row, path)]
        assert left == []
    assert any("]]" in one["EventMessage"] for one in answer)


def _kusto(kind: str) -> str:
    return {"boolean": "bool"}.get(kind, kind)


def _types(each: Function) -> dict[str, str]:
    rows = [row.partition(":") for row in each.parameters.split(", ")]
    return {name: rest.partition("=")[0] for name, _, rest in rows}


WORDS = ("Nov",)  # times in words: the README says that they are not read


def test_casts_read_every_example_of_the_casts_as_they_do() -> None:
    """The stages of each cast over its own examples."""
    library = functions(Context("0"))[0].body.partition("\nCommonSecurityLog\n")[0]
    rows, texts, parts_of = [], {}, {}
    for kind in dict.fromkeys(kind for kind, _ in KIND_OF_PART):
        parts = {part: f"v_{part}_" for at, part in KIND_OF_PART if at == kind}
        stages: dict[int, list[str]] = defaultdict(list)
        for at, name, code in cast_stages(kind, "w", parts, lambda letter: f"{letter}_"):
            stages[at].append(f"{name} = {code}")
        steps = "".join(f"| extend {', '.join(stages[at])}\n" for at in sorted(stages))
        texts[kind] = (
            f"{library}\nCommonSecurityLog\n| where cast_ == {kql.text(kind)}\n"
            f"| extend received_ = todatetime('{NOW}')\n{steps}"
        )
        parts_of[kind] = parts
        for at, (text, _) in enumerate(CASTS[kind].examples):
            if not (kind in ("time", "span") and text.startswith(WORDS)):
                rows.append({"w": text, "at": at, "cast_": kind})
    kinds = {"w": "string", "at": "long", "cast_": "string"}
    seen = 0
    for kind, results in execute(rows, texts, columns=kinds).items():
        for got in results:
            text, value = CASTS[kind].examples[got["at"]]
            for part, name in parts_of[kind].items():
                wanted = value.get(part) if isinstance(value, dict) else value
                if KIND_OF_PART[kind, part] == "datetime" and wanted is not None:
                    wanted = iso(int(wanted))
                seen += 1
                assert (None if got[name] == "" else got[name]) == wanted, (kind, text, part)
    assert seen > 100


EXPRESSIONS: tuple[Any, ...] = (
    ["slug", ["ref", "t"]],
    ["label", ["ref", "t"]],
    ["fqdn", ["ref", "t"]],
    ["mac", ["ref", "t"]],
    ["ip", ["ref", "t"]],
    ["scope", ["ref", "i"]],
    ["ipver", ["ref", "i"]],
    ["local_mac", ["ref", "m"]],
    ["seconds", ["ref", "n"]],
    ["text", ["ref", "n"]],
    ["first", [["ref", "i"], ["ref", "t"], ["const", "last"]]],
    ["if", ["ref", "n"], ["const", "there"], ["ref", "t"]],
    ["lookup", ["ref", "n"], [["7", ["const", "seven"]]], ["const", "else"]],
    ["lookup", ["ref", "t"], [["it's", ["const", "a"]], ["b.c", ["ref", "i"]]], ["const", None]],
    ["table", ["ref", "t"], "severity", "asim", ["const", None]],
    ["template", ["<", ["ref", "t"], ">", ["opt", [" ", ["ref", "i"]]]]],
    ["join", ["list", [["ref", "t"], ["ref", "i"], ["ref", "t"], ["const", "x;y"]]], " + "],
    ["head", ["list", [["ref", "i"], ["ref", "t"]]]],
    ["minus", ["ref", "n"], ["const", 5]],
    ["upper", ["lower", ["ref", "t"]]],
)
VALUES: tuple[dict[str, Any], ...] = (
    {"t": "It's", "i": "10.1.2.3", "m": "02:00:5E:10:00:0A", "n": 7},
    {"t": "b.C", "i": "2001:db8::1", "m": "00:00:5E:10:00:0A", "n": 3_723_500},
    {"t": "7", "i": "fe80::1"},
    {"t": "02-00-5e-10-00-0a", "n": 0},
    {"t": "x_y;z%", "i": "100.64.0.1"},
    {"t": "192.0.2.1"},
    {},
)


def test_every_operator_gives_what_the_interpreter_gives() -> None:
    body = functions(Context("0"))[0].body
    library = body.partition("\nCommonSecurityLog\n")[0]
    tables = Converter("asim").tables.lookups
    lookups = portable(Context("0"), "asim")["lookups"]
    refs = {"t": Code("t", "string"), "i": Code("i", "string"), "m": Code("m", "string"),
            "n": Code("n", "long")}  # fmt: skip
    compiler = Compiler(refs, lookups)
    codes = [compiler.code(expr) for expr in EXPRESSIONS]
    outs = ", ".join(f"o{at} = {as_text(code)}" for at, code in enumerate(codes))
    rows = [{**row, "at": at} for at, row in enumerate(VALUES)]
    kinds = {"t": "string", "i": "string", "m": "string", "n": "long", "at": "long"}
    query = f"{library}\nCommonSecurityLog\n| extend {outs}"
    for got in execute(rows, {"q": query}, columns=kinds)["q"]:
        for at, expr in enumerate(EXPRESSIONS):
            wanted = evaluate(_tuples(expr), VALUES[got["at"]], tables)
            text = "" if wanted is None else operators_text(wanted)
            assert (got[f"o{at}"] or "") == text, (expr, VALUES[got["at"]])


def _tuples(expr: Any) -> Any:
    return tuple(_tuples(item) for item in expr) if isinstance(expr, list) else expr
