"""Documents as columns that the tables declare, and the Arrow function of Spark and its kin."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from cases import FIXTURES, PEER, RECEIVED, TARGETS
from engine import needed
from rule_corpus import corpus, document, fixtures

from datto_siem.converters import Converter
from datto_siem.plugins.cli.main import main
from datto_siem.plugins.shape import JSON, Many, shape

if TYPE_CHECKING:
    from pathlib import Path

try:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from datto_siem.plugins.arrow import Columns, Misfit, Records
except ModuleNotFoundError:
    pa = None


@pytest.fixture(autouse=True)
def _arrow() -> None:
    needed(pa is not None, "pyarrow, the extra parquet,")


def bare(value: Any) -> Any:
    """A row without what is absent; maps as objects."""
    if isinstance(value, dict):
        found = {name: bare(each) for name, each in value.items() if each is not None}
        return {name: each for name, each in found.items() if each != {}}
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) for each in value):
            return dict(value)
        return [bare(each) for each in value]
    return value


@pytest.mark.parametrize("target", TARGETS)
def test_every_document_fits_and_loses_nothing(target: str) -> None:
    converter = Converter(target)
    columns = Columns.of(converter)
    for case in corpus():
        made = document(converter, case)
        row = bare(columns.row(json.dumps(made).encode()))
        loose = row.pop("leftovers", {})
        whole = {**row, **loose}
        assert len(json.dumps(whole)) >= 0.9 * len(json.dumps(made)) - 50, case.origin
        if target in ("ecs", "csl"):
            assert set(whole) == set(made), case.origin


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_holds_what_convert_makes(target: str) -> None:
    converter = Converter(target)
    rows = [case for case in fixtures() if b"\n" not in case.line]
    batch = pa.RecordBatch.from_pydict(
        {
            "value": [case.line for case in rows],
            "ordinal": [case.ordinal for case in rows],
            "peer": [PEER] * len(rows),
        }
    )
    (made,) = Records(target, RECEIVED, columns=False)([batch])
    assert [json.loads(text) for text in made.column("document").to_pylist()] == [
        document(converter, case) for case in rows
    ]
    records = pickle.loads(pickle.dumps(Records(target, RECEIVED)))  # noqa: S301  our own
    (columns,) = records([batch])
    assert columns.schema == records.schema
    assert columns.num_rows == len(rows)


def json_columns(shape: Any, at: str = "") -> list[str]:
    if isinstance(shape, Many):
        return json_columns(shape.each, at)
    if isinstance(shape, dict):
        return [
            found for name, each in shape.items() for found in json_columns(each, f"{at}/{name}")
        ]
    return [at] if shape == JSON else []


def test_a_host_or_an_address_is_text_as_it_is() -> None:
    found = {target: json_columns(shape(Converter(target))) for target in TARGETS}
    differs = {"cim": ["/category"]}  # a text in one event, a list of them in another
    assert found == {target: differs.get(target, []) for target in TARGETS}


def test_text_and_blank_rows_are_taken() -> None:
    batch = pa.RecordBatch.from_pydict({"value": ["CEF:1|Datto|x", " \r", None, "text"]})
    (made,) = Records("ecs", RECEIVED, columns=False)([batch])
    assert made.num_rows == 2


def test_what_does_not_fit_says_where() -> None:
    columns = Columns.of(Converter("ecs"))
    with pytest.raises(Misfit, match=r"event\.kind: no text"):
        columns.row(b'{"event":{"kind":1}}')
    with pytest.raises(Misfit, match="nothing: the class has no such column"):
        columns.row(b'{"nothing":1}')


@pytest.mark.parametrize("target", TARGETS)
def test_convert_writes_parquet(target: str, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    sample = FIXTURES / "sample.log"
    given = ["convert", "--to", target, str(sample), "--received-at", "2026-11-24T10:00:00Z"]
    assert main([*given, "--format", "parquet", "-o", str(out), "--quiet"]) == 0
    table = pq.read_table(out)
    assert table.num_rows == len(sample.read_bytes().splitlines())
    assert table.schema.equals(Columns.of(Converter(target)).schema)


def test_parquet_is_refused_where_there_are_no_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ["convert", "--to", "cef", "--format", "parquet", "-o", str(out)]
    assert main([*given, str(FIXTURES / "sample.log")]) == 2
    assert "not for --to cef" in capsys.readouterr().err
    assert not out.exists()
