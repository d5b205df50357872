"""The Sentinel artefact as files: what stands in it, and that it stands there every time."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from rule_corpus import document, fixtures

from datto_siem.converters import Converter
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators import _sentinel_arm as arm
from datto_siem.plugins.generators import sentinel
from datto_siem.plugins.generators._sentinel_schema import SCHEMAS
from datto_siem.plugins.sentinel_streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RULE = "Microsoft.Insights/dataCollectionRules"


@pytest.fixture(scope="module")
def files() -> Mapping[str, bytes]:
    return generate("sentinel")


@pytest.fixture(scope="module")
def template(files: Mapping[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["mainTemplate.json"])
    return found


def resources(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [row for row in template["resources"] if row["type"].endswith(kind)]


def test_generating_again_gives_the_same_bytes(files: Mapping[str, bytes]) -> None:
    assert generate("sentinel") == files


def test_each_schema_has_both_parsers_and_the_template_holds_them(
    files: Mapping[str, bytes], template: dict[str, Any]
) -> None:
    stored = {
        row["properties"]["functionAlias"]: row["properties"]
        for row in resources(template, "/savedSearches")
    }
    wanted = {name for one in SCHEMAS.values() for name in (one.filtering, one.parameterless)}
    assert set(stored) == {*wanted, "DattoNetworkingUnknownEvents"}
    for name, properties in stored.items():
        assert files[f"functions/{name}.kql"].decode() == properties["query"]
        declared = re.findall(r"(\w+):\w+=", properties["functionParameters"])
        assert declared[-1] == "disabled"
        assert all(re.search(rf"\b{each}\b", properties["query"]) for each in declared), name


def test_every_file_says_what_made_it(files: Mapping[str, bytes]) -> None:
    stamp = re.compile(r"datto-siem \S+, tables \S+")
    for path, content in files.items():
        if path.startswith("functions/") or path in ("README.md", "mainTemplate.json"):
            assert stamp.search(content.decode()), path


def test_streams_declare_every_column_that_rows_may_have(template: dict[str, Any]) -> None:
    (rule,) = resources(template, RULE)
    declared = {
        stream: {column["name"] for column in one["columns"]}
        for stream, one in rule["properties"]["streamDeclarations"].items()
    }
    assert set(declared) == set(STREAMS.values())
    for target in ("asim", "csl"):
        converter = Converter(target)
        for case in fixtures():
            row = document(converter, case)
            stream = STREAMS[row.pop("Type", "CommonSecurityLog")]
            assert set(row) <= declared[stream], (case.origin, target)


def test_the_rule_keeps_the_services_limits(template: dict[str, Any]) -> None:
    (rule,) = resources(template, RULE)
    flows = rule["properties"]["dataFlows"]
    assert len(flows) == len(STREAMS) <= 10
    for flow in flows:
        assert len(flow["transformKql"]) <= 15_360
        prefix = "Custom-" if flow["outputStream"].endswith("_CL") else "Microsoft-"
        assert flow["outputStream"].startswith(prefix)
    for one in rule["properties"]["streamDeclarations"].values():
        names = [column["name"] for column in one["columns"]]
        assert "TimeGenerated" in names
        assert len(names) == len(set(names)) <= 300
        kinds = {column["type"] for column in one["columns"]}
        assert kinds <= {"string", "int", "long", "real", "boolean", "dynamic", "datetime"}
        assert "Type" not in names  # reserved


def test_our_table_has_legal_names_and_types(template: dict[str, Any]) -> None:
    (table,) = resources(template, "workspaces/tables")
    columns = table["properties"]["schema"]["columns"]
    assert {"TimeGenerated", "RawEvent", "Extensions"} <= {row["name"] for row in columns}
    for row in columns:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,44}", row["name"])
        assert row["type"] in {"string", "int", "long", "real", "boolean", "dynamic", "dateTime"}


def test_expressions_of_the_template_are_balanced_and_texts_are_none(
    template: dict[str, Any],
) -> None:
    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [value] if isinstance(value, str) else []

    expressions = [text for text in texts(template) if text.startswith("[")]
    assert len(expressions) > 15
    known = set(template["parameters"])
    for text in expressions:
        assert text.endswith("]")
        assert text.count("(") == text.count(")")
        assert text.count("'") % 2 == 0
        assert set(re.findall(r"parameters\('(\w+)'\)", text)) <= known
    assert arm.literal("[x]") == "[[x]"
    assert arm.literal("// x") == "// x"


def test_the_connector_names_what_the_rule_declares(
    files: Mapping[str, bytes], template: dict[str, Any]
) -> None:
    definition = json.loads(files["connector/definition.json"])
    connection = json.loads(files["connector/connection.json"])
    assert definition in template["resources"]
    name = definition["properties"]["connectorUiConfig"]["id"]
    assert connection["properties"]["connectorDefinitionName"] == name
    assert connection["properties"]["dcrConfig"]["streamName"] in STREAMS.values()


def test_the_readme_lists_every_difference(files: Mapping[str, bytes]) -> None:
    text = files["README.md"].decode()
    for row in sentinel.KNOWN_DIFFERENCES:
        assert f"| `{row.path}` | {row.rows} | {row.when} | {row.reason} |" in text
    for stream, name in ((stream, name) for name, stream in STREAMS.items()):
        assert f"| `{stream}` | {name} |" in text


def test_parsers_join_the_unifying_ones_by_name_and_pass_every_parameter(
    files: Mapping[str, bytes],
) -> None:
    for schema in SCHEMAS.values():
        text = files[f"custom/Im_{schema.name}Custom.kql"].decode()
        assert schema.filtering in text
        for name in ("starttime", "endtime", *schema.filters):
            assert f"{name}={name}" in text
        assert "disabled=false" in text


def test_a_new_column_of_an_overlay_reaches_rule_and_parser(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "asim.yaml").write_text(
        "activities:\n  device.boot: {use: [audit], type: Start, result: Success,"
        " Operation: boot, OldValue: it's down}\n"
    )
    files = generate("sentinel", None, tmp_path)
    (rule,) = resources(json.loads(files["mainTemplate.json"]), RULE)
    stream = rule["properties"]["streamDeclarations"]["Custom-DattoAuditEvent"]
    assert {"name": "OldValue", "type": "string"} in stream["columns"]
    assert "'it\\'s down'" in files["functions/vimAuditEventDattoNetworking.kql"].decode()


def test_the_transform_drops_probes_and_nothing_else(files: Mapping[str, bytes]) -> None:
    text = files["transform-drop-probes.kql"].decode()
    assert text == (
        "source\n| where (tolower(DeviceVendor) != 'datto' or DeviceEventClassID != 'wifi'"
        " or Activity != 'probe')\n"
    )
