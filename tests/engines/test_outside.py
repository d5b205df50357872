"""Every golden and 20,000 generated lines through our own validators and those of others."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cases import PEER, RECEIVED, documents, events, folders
from engine import ENGINES, needed
from lines import generate

from datto_siem.converters import Converter, Event
from datto_siem.converters.schemas import ocsf_versions
from datto_siem.converters.validators import cim, validator

COUNT = 20_000
SAMPLE = 2_500
WAIVERS = yaml.safe_load((Path(__file__).parents[1] / "waivers.yaml").read_text())
_used: set[int] = set()
_judged: set[tuple[str, str]] = set()


class Found(NamedTuple):
    """One finding."""

    path: str
    problem: str
    line: bytes


@cache
def corpus() -> list[tuple[bytes, Event, bool]]:
    """The generated lines, decoded once for all targets."""
    decode = Converter("ecs").decoder.decode
    return [
        (line.raw, decode(line.raw, RECEIVED, PEER, None, at), line.clean)
        for at, line in enumerate(generate(COUNT, seed=11))
    ]


def unwaived(target: str, version: str, found: list[Found]) -> list[Found]:
    """Findings that no row of the waiver table covers."""
    _judged.add((target, version))
    left = []
    for each in found:
        rows = [
            at
            for at, row in enumerate(WAIVERS)
            if row["target"] == target
            and row["version"] in ("*", version)
            and re.fullmatch(row["path"], each.path)
            and re.search(row["problem"], each.problem)
        ]
        _used.update(rows)
        if not rows:
            left.append(each)
    return left


def told(found: list[Found]) -> str:
    """The commonest findings, with a line for each."""
    counts = Counter((each.path, each.problem[:120]) for each in found)
    lines = {(each.path, each.problem[:120]): each.line for each in found}
    return "\n".join(f"{n} x {key}: {lines[key]!r}" for key, n in counts.most_common(8))


def sample(version: str | None, target: str) -> list[tuple[bytes, Event, bool]]:
    """All lines for a target's own version, every eighth for the older ones."""
    own = version is None or (target, version) == ("ocsf", ocsf_versions()[-1])
    return corpus() if own else corpus()[:: COUNT // SAMPLE]


@pytest.mark.parametrize("target", ["ecs", "asim", "csl", "ocsf"])
def test_our_validators_find_nothing(target: str) -> None:
    check, converter = validator(target), Converter(target)
    found = []
    for raw, event, _ in corpus():
        document = json.loads(converter.dump(event))
        found += [Found(*finding, raw) for finding in check(document)]
    for folder in folders():
        for document in documents(folder, target):
            found += [Found(*finding, folder.name.encode()) for finding in check(document)]
    left = unwaived(target, converter.target.version, found)
    assert not left, told(left)


@pytest.mark.parametrize("version", ocsf_versions()[:-1])
def test_our_ocsf_validator_finds_nothing_in_older_versions(version: str) -> None:
    check, converter = validator("ocsf", version), Converter("ocsf", version)
    found = []
    for raw, event, _ in sample(version, "ocsf"):
        document = json.loads(converter.dump(event))
        found += [Found(*finding, raw) for finding in check(document)]
    left = unwaived("ocsf", version, found)
    assert not left, told(left)


def test_our_cim_validator_finds_nothing() -> None:
    converter = Converter("cim")
    found = []
    golden = [
        (folder.name.encode(), event, True)
        for folder in folders()
        for event in events(folder, converter)
    ]
    for raw, event, _ in [*corpus(), *golden]:
        run = converter.run(event)
        facts = run.plan.facts
        waived = {
            name.removeprefix("waive."): reason
            for name, reason in facts.items()
            if name.startswith("waive.")
        }
        findings = cim.check(run.document, facts.get("dataset"), facts.get("tags", ()), waived)
        found += [Found(*finding, raw) for finding in findings]
    left = unwaived("cim", converter.target.version, found)
    assert not left, told(left)


@pytest.mark.parametrize(
    ("target", "version"),
    [("ecs", None), ("cim", None), ("asim", None), *(("ocsf", each) for each in ocsf_versions())],
)
def test_complete_documented_lines_never_come_out_incomplete(
    target: str, version: str | None
) -> None:
    converter = Converter(target, version)
    for folder in folders():
        for line in (folder / "event.log").read_bytes().splitlines():
            event = converter.decoder.decode(line, RECEIVED, PEER)
            documented = set(event.reading.keys) - {"domain", "reason", "groups.*"}
            if event.reading.keys and documented <= event.extension.keys():
                assert converter.run(event).notes == [], (line, target, version)


@pytest.mark.engine
@pytest.mark.parametrize("version", ocsf_versions())
def test_ocsf_json_schema_and_semantics_find_nothing(version: str) -> None:
    try:
        import jsonschema_rs
        import ocsf_semantics
        from ocsf_json_schema import OcsfJsonSchemaEmbedded
    except ImportError:
        needed(False, "ocsf-json-schema with jsonschema-rs")
        return
    embedded = OcsfJsonSchemaEmbedded(ocsf_semantics.schema(version))

    @cache
    def structure(uid: int, profiles: tuple[str, ...]) -> Any:
        name = ocsf_semantics.class_of(version, uid)
        return jsonschema_rs.Draft202012Validator(embedded.get_class_schema(name, list(profiles)))

    converter = Converter("ocsf", version)
    made = [(raw, json.loads(converter.dump(event))) for raw, event, _ in sample(version, "ocsf")]
    made += [(b"", each) for folder in folders() for each in documents(folder, "ocsf", version)]
    found = []
    for raw, document in made:
        profiles = tuple(sorted(document["metadata"].get("profiles", [])))
        for error in structure(document["class_uid"], profiles).iter_errors(document):
            path = ".".join(map(str, error.instance_path))
            found.append(Found(path, error.message[:200], raw))
        found += [Found(*finding, raw) for finding in ocsf_semantics.check(document)]
    left = unwaived("ocsf", version, found)
    assert not left, told(left)


@pytest.mark.engine
@pytest.mark.parametrize("module", ["ecs8", "@elastic/ecs"])
def test_the_ecs_field_list_of_npm_finds_nothing(module: str, tmp_path: Path) -> None:
    package = ENGINES / "node_modules" / module
    node = shutil.which("node")
    needed(node is not None and package.is_dir(), f"node with {module}")
    converter = Converter("ecs")
    lines = [raw for raw, *_ in corpus()]
    made = [converter.dump(event) for _, event, _ in corpus()]
    for folder in folders():
        for each in documents(folder, "ecs"):
            made.append(json.dumps(each).encode())
            lines.append(b"")
    given = tmp_path / "documents.ndjson"
    given.write_bytes(b"\n".join(made) + b"\n")
    script = Path(__file__).parent / "ecs_check.mjs"
    with given.open("rb") as stream:
        run = subprocess.run(  # noqa: S603  node on our own script
            [str(node), str(script), str(package)], stdin=stream, capture_output=True, check=True
        )
    rows = [row.split("\t") for row in run.stdout.decode().splitlines()]
    found = [Found(path, problem, lines[int(at) - 1]) for at, path, problem in rows]
    left = unwaived("ecs", converter.target.version, found)
    assert not left, told(left)


@pytest.mark.engine
def test_the_cim_models_of_the_splunk_add_on_tester_find_nothing() -> None:
    models = ENGINES / "pytest_splunk_addon" / "data_models"
    needed(models.is_dir(), "the models of pytest-splunk-addon")
    datasets = {name: fields for path in models.glob("*.json") for name, fields in _flat(path)}
    converter = Converter("cim")
    found = []
    for raw, event, _ in corpus():
        run = converter.run(event)
        name = run.plan.facts.get("dataset")
        if name is None:
            continue
        for field in datasets[name]:
            value = run.document.get(field["name"])
            waived = f"waive.{field['name']}" in run.plan.facts
            if field["type"] == "required" and value is None and not waived:
                found.append(Found(field["name"], f"required by {name}", raw))
            if field["type"].startswith("not_allowed") and value is not None:
                found.append(Found(field["name"], f"forbidden by {name}", raw))
            expected = field.get("expected_values")
            if expected and value is not None and value not in expected:
                found.append(Found(field["name"], f"{value!r} is not of {expected}", raw))
    left = unwaived("cim", converter.target.version, found)
    assert not left, told(left)


def _flat(path: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Data sets by name, with the fields they inherit."""
    model = json.loads(path.read_text(encoding="utf-8"))
    found = []

    def walk(entries: list[dict[str, Any]], inherited: dict[str, dict[str, Any]]) -> None:
        for entry in entries:
            fields = {**inherited, **{each["name"]: each for each in entry["fields"]}}
            found.append((f"{model['model_name']}.{entry['name']}", list(fields.values())))
            walk(entry["child_dataset"], fields)

    walk(model["objects"], {})
    return found


def test_no_waiver_is_left_that_nobody_needs() -> None:
    wanted = {("ocsf", version) for version in ocsf_versions()}
    wanted |= {(name, Converter(name).target.version) for name in ("ecs", "cim", "asim", "csl")}
    if not wanted <= _judged:
        pytest.skip("asks what the other tests of this file found: run the whole file")
    idle = [row for at, row in enumerate(WAIVERS) if at not in _used]
    assert not idle, idle
