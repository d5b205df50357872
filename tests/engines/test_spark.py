"""Spark in local-cluster mode: two executors in processes of their own, the package as a zip.

Some thousand lines; DATTO_SPARK_LINES=1000000 makes it the full measure.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cases import RECEIVED
from engine import needed
from lines import generate
from spark_submit import SCRIPT, SPARK, packed, submit

from datto_siem.converters import Converter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

try:
    import pyarrow.parquet as pq
except ModuleNotFoundError:
    pq = None

pytestmark = pytest.mark.engine
LINES = int(os.environ.get("DATTO_SPARK_LINES", "20000"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, made once."""
    needed((SPARK / "bin" / "spark-submit").exists(), "Spark")
    needed(pq is not None, "pyarrow")
    return packed(tmp_path_factory.mktemp("package"))


@cache
def records() -> tuple[bytes, ...]:
    """Lines with every quirk, bytes that are no UTF-8 and blank lines among them."""
    found = [line.raw for line in generate(2000, seed=31) if b"\n" not in line.raw]
    found += [b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|cs2:\xff\xfe", b"", b"\r", b"lone\rcr"]
    return tuple(found[at % len(found)] for at in range(LINES))


def run(package: Path, tmp_path: Path, *args: str) -> None:
    """Run the package's own script on a cluster of two executors, with several tasks each."""
    submit(package, tmp_path, *args, conf=("spark.sql.files.maxPartitionBytes=2m",))


def written(folder: Path) -> list[bytes]:
    """Lines of a folder's parts, in order."""
    return [
        line for part in sorted(folder.glob("part-*")) for line in part.read_bytes().splitlines()
    ]


def converted(target: str, lines: Sequence[bytes], version: str | None = None) -> list[bytes]:
    """What `datto-siem convert` makes of them."""
    converter = Converter(target, version)
    whole = [line.removesuffix(b"\r") for line in lines]
    return [
        converter.encode(line, RECEIVED, None, None, at)
        for at, line in enumerate(line for line in whole if line)
    ]


def test_json_equals_convert_line_for_line(package: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive.log"
    archive.write_bytes(b"".join(line + b"\n" for line in records()))
    given = ("--to", "ecs", "--format", "json", "--number", "--received", str(RECEIVED))
    run(package, tmp_path, *given, "--output", f"file:{tmp_path}/out", f"file:{archive}")
    assert len(list((tmp_path / "out").glob("part-*"))) > 1, "both executors had work"
    truth = tmp_path / "truth"
    subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-m", "datto_siem.plugins.cli", "convert", "--to", "ecs", archive),
            *("-o", truth, "--received-at", "2026-11-24T10:00:00Z", "--quiet"),
        ],
        check=True,
    )
    assert written(tmp_path / "out") == truth.read_bytes().splitlines()


def test_the_lake_holds_each_class_as_parquet(package: Path, tmp_path: Path) -> None:
    lines = records()[:4000]
    for part in range(2):
        with gzip.open(tmp_path / f"{part}.log.gz", "wb") as file:
            file.write(b"\n".join(lines[part::2]))
    given = ("--to", "ocsf", "--format", "lake", "--region", "eu-west-1", "--account", "42")
    more = ("--received", str(RECEIVED), "--output", f"file:{tmp_path}/lake")
    run(package, tmp_path, *given, *more, f"file:{tmp_path}/*.log.gz")
    found: dict[int, int] = {}
    days = set()
    for path in (tmp_path / "lake" / "ext").rglob("*.parquet"):
        _, region, account, day, _ = path.relative_to(tmp_path / "lake" / "ext").parts
        assert (region, account) == ("region=eu-west-1", "accountId=42")
        days.add(day)
        for uid in pq.ParquetFile(path).read(["class_uid"]).column("class_uid").to_pylist():
            found[uid] = found.get(uid, 0) + 1
    wanted: dict[int, int] = {}
    for body in converted("ocsf", lines, "1.3.0"):
        uid = int(json.loads(body)["class_uid"])
        wanted[uid] = wanted.get(uid, 0) + 1
    assert found == {uid: count for uid, count in wanted.items() if uid != 0}
    assert all(day.startswith("eventDay=20") for day in days)


@pytest.mark.parametrize("form", ["parquet", "json"])
def test_a_stream_converts_what_comes_and_remembers_it(
    package: Path, tmp_path: Path, form: str
) -> None:
    (tmp_path / "in").mkdir()
    given = ("--to", "cim", "--stream", "--once", "--format", form, "--received", str(RECEIVED))
    places = ("--checkpoint", f"{tmp_path}/done", "--output", f"{tmp_path}/out", f"{tmp_path}/in")
    lines = [line for line in records()[:600] if line.strip()]
    for at in range(2):
        (tmp_path / "in" / f"{at}.log").write_bytes(b"\n".join(lines[at * 300 : at * 300 + 300]))
        run(package, tmp_path, *given, *places)
    batches = sorted((tmp_path / "out").glob("batch=*"))
    assert [path.name for path in batches] == ["batch=0", "batch=1"]
    if form == "json":
        assert sum(len(written(path)) for path in batches) == len(lines)
        return
    tables = [pq.read_table(path) for path in batches]
    assert sum(table.num_rows for table in tables) == len(lines)
    assert tables[0].schema.names == tables[1].schema.names


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--to", "ecs", "--format", "lake"), "needs --to ocsf, --region and --account"),
        (("--to", "ecs", "--stream"), "needs --checkpoint"),
        (("--to", "ecs", "--format", "xml"), "invalid choice: 'xml'"),
    ],
)
def test_misuse_ends_with_2_before_spark_starts(
    package: Path, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(  # noqa: S603
        [SPARK / "bin" / "python", SCRIPT, *args, "--output", tmp_path / "out", tmp_path],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert said in done.stderr
