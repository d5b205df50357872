"""The Arrow function under pandas and DuckDB: row for row what `datto-siem convert` writes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from cases import RECEIVED, TARGETS
from engine import ROOT, needed
from rule_corpus import fixtures, hostile, simulated

from datto_siem.converters import Converter
from datto_siem.plugins import shape as shapes
from datto_siem.plugins.cli.main import main
from datto_siem.plugins.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

try:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from datto_siem.plugins.arrow import Records, lines
except ModuleNotFoundError:
    duckdb = pd = pa = None

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True, scope="module")
def _libraries() -> None:
    needed(pa is not None, "pyarrow, pandas or duckdb, of the extra test,")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Fixtures, hostile lines and quirks, blank lines among them, in a file and a packed one."""
    folder = tmp_path_factory.mktemp("archive")
    found = [case.line for case in (*fixtures(), *hostile(), *simulated()[::5])]
    found[50:50] = [b"", b" \t\r", b"\0"]
    (folder / "a.log").write_bytes(b"\n".join(found[::2]))
    with gzip.open(folder / "b.log.gz", "wb") as file:
        file.write(b"".join(line + b"\r\n" for line in found[1::2]))
    return (str(folder / "a.log"), str(folder / "b.log.gz"))


@pytest.fixture(scope="module")
def written(
    archive: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[str]]:
    """What the command writes of the archive, by target."""
    folder = tmp_path_factory.mktemp("written")

    @cache
    def truth(target: str) -> list[str]:
        out = folder / target
        given = ["convert", "--to", target, *archive, "-o", str(out), "--quiet"]
        assert main([*given, "--received-at", "2026-11-24T10:00:00Z"]) == 0
        return [line.decode() for line in out.read_bytes().splitlines()]

    return truth


def by_pandas(reader: pa.RecordBatchReader) -> list[dict[str, Any]]:
    frame = reader.read_pandas(types_mapper=pd.ArrowDtype)
    columns = {name: [None if value is pd.NA else value for value in frame[name]] for name in frame}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def by_duckdb(reader: pa.RecordBatchReader) -> list[dict[str, Any]]:
    with duckdb.connect() as session:
        session.register("events", reader)
        found = session.sql("SELECT * FROM events")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


READERS = pytest.mark.parametrize("read", [by_pandas, by_duckdb])


def wanted(document: dict[str, Any], shape: shapes.Shape) -> dict[str, Any]:
    """A document with leftovers in their column, and text where a map holds something else."""
    found = {}
    for name, value in document.items():
        kind = shape.get(name)
        if kind is None or (kind == shapes.TEXT and isinstance(value, list)):
            found.setdefault(shapes.LEFTOVERS, {})[name] = _text(value)
        elif isinstance(kind, dict):
            found[name] = wanted(value, kind)
        elif kind == shapes.MAP:
            found[name] = {key: _text(inner) for key, inner in value.items()}
        else:
            found[name] = value
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def told(row: dict[str, Any], shape: shapes.Shape) -> dict[str, Any]:
    """A row without what is absent."""
    return {name: _told(value, shape[name]) for name, value in row.items() if value is not None}


def _told(value: Any, kind: Any) -> Any:
    if isinstance(kind, dict):
        return told(value, kind)
    if isinstance(kind, shapes.Many):
        return [_told(each, kind.each) for each in value]
    if kind == shapes.MAP:
        return dict(value)
    return json.loads(value) if kind == shapes.JSON else value


@READERS
@pytest.mark.parametrize("target", TARGETS)
def test_columns_are_what_convert_writes_row_for_row(
    archive: tuple[str, ...], written: Any, target: str, read: Any
) -> None:
    shape = shapes.shape(Converter(target))
    rows = read(Records(target, RECEIVED).reader(lines(*archive)))
    expected = [wanted(json.loads(line), shape) for line in written(target)]
    assert len(rows) == len(expected) > 1000
    for row, document in zip(rows, expected, strict=True):
        assert told(row, shape) == document


@READERS
@pytest.mark.parametrize("target", TARGETS)
def test_documents_are_the_lines_that_convert_writes(
    archive: tuple[str, ...], written: Any, target: str, read: Any
) -> None:
    reader = Records(target, RECEIVED, columns=False).reader(lines(*archive))
    assert [row["document"] for row in read(reader)] == written(target)


def _records(archive: Iterable[str]) -> pa.Table:
    return pa.Table.from_batches(lines(*archive))


def test_a_frame_of_records_is_converted(archive: tuple[str, ...], written: Any) -> None:
    frame = _records(archive).to_pandas()
    frame.loc[len(frame)] = {"value": None, "ordinal": None}  # makes numbers of ordinals floats
    reader = Records("ecs", RECEIVED, columns=False).reader(frame)
    assert reader.read_all()["document"].to_pylist() == written("ecs")


def test_the_rows_of_a_query_are_converted(archive: tuple[str, ...], written: Any) -> None:
    with duckdb.connect() as session:
        session.register("records", _records(archive))
        found = session.sql(
            "SELECT value, ordinal, TIMESTAMPTZ '2026-11-24 10:00:00+00' AS received,"
            " NULL AS peer FROM records ORDER BY ordinal"
        )
        reader = Records("ecs", 0, columns=False).reader(found)
        assert reader.read_all()["document"].to_pylist() == written("ecs")


def test_a_query_and_a_frame_count_alike(archive: tuple[str, ...], written: Any) -> None:
    counted = Counter(json.loads(line)["event"].get("action") for line in written("ecs"))
    records = Records("ecs", RECEIVED)
    with duckdb.connect() as session:
        session.register("events", records.reader(lines(*archive)))
        found = session.sql("SELECT event.action, count(*) FROM events GROUP BY ALL").fetchall()
    assert dict(found) == counted
    frame = records.reader(lines(*archive)).read_pandas(types_mapper=pd.ArrowDtype)
    actions = frame["event"].struct.field("action").dropna().value_counts()
    assert actions.to_dict() == {name: count for name, count in counted.items() if name}


def test_the_lines_of_the_readme_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    told = (ROOT / "README.md").read_text().split("<!-- command: arrow -->\n```python\n", 1)[1]
    exec(told.split("```", 1)[0], {})  # noqa: S102  our own words
    assert capsys.readouterr().out.count("dns-request-allow") == 2


def test_a_large_batch_is_converted_in_parts() -> None:
    batch = pa.RecordBatch.from_pydict({"value": ["text"] * 25_000})
    sizes = [each.num_rows for each in Records("csl", RECEIVED)([batch])]
    assert sum(sizes) == 25_000
    assert max(sizes) <= 10_000


def test_long_lines_make_small_batches(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes((b"x" * (1 << 20) + b"\n") * 100)
    first, second = lines(tmp_path / "long")
    assert first.num_rows + second.num_rows == 100
    assert second["ordinal"].to_pylist() == list(range(first.num_rows, 100))


def test_a_file_that_is_not_there_is_told_before_any_is_read(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="check the path"):
        lines(tmp_path / "absent")
