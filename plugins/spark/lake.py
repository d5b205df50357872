"""OCSF in the layout of Amazon Security Lake: `ext/SOURCE/region=R/accountId=A/eventDay=D/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyspark import StorageLevel
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from datto_siem.converters import Converter
from datto_siem.plugins.arrow import Columns
from datto_siem.plugins.lake_sources import SOURCES
from datto_siem.plugins.shape import shapes
from datto_siem.plugins.spark.frames import documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pyspark.sql import DataFrame

_ROUTED = pa.schema(
    [
        pa.field("class_uid", pa.int32()),
        pa.field("eventDay", pa.string()),
        pa.field("document", pa.string()),
    ]
)


def lake(
    records: DataFrame,
    place: str,
    received: int,
    region: str,
    account: str,
    sources: Mapping[int, str] = SOURCES,
    version: str = "1.3.0",
    mode: str = "errorifexists",
    overlay: Path | None = None,
) -> dict[int, int]:
    """Write an archive into a lake, one folder for each class, account and day.

    Args:
        records: See `frames.documents`.
        place: Where `ext/` goes.
        received: Receive time in epoch milliseconds, for records without one.
        region: Region in the path.
        account: Account in the path.
        sources: Class -> custom source; classes without one are not written, only counted.
        version: OCSF version; Security Lake takes up to 1.3.
        mode: Spark's write mode: errorifexists, append, overwrite.
        overlay: Directory of tables laid over the shipped ones.

    Returns:
        class_uid -> how many events there are, written or not.
    """
    converter = Converter("ocsf", version, overlay)
    routed = documents(records, "ocsf", received, version, overlay=overlay).mapInArrow(
        _route, from_arrow_schema(_ROUTED)
    )
    routed.persist(StorageLevel.MEMORY_AND_DISK)  # each class below reads it once more
    try:
        counts = {
            row["class_uid"]: row["count"] for row in routed.groupBy("class_uid").count().collect()
        }
        for uid, shape in shapes(converter, version).items():
            if uid not in sources or uid not in counts:
                continue
            fit = _Fit(Columns(shape))
            schema = from_arrow_schema(fit.schema)
            mine = routed.filter(sql.col("class_uid") == uid).mapInArrow(fit, schema)
            mine = mine.withColumn("region", sql.lit(region)).withColumn(
                "accountId", sql.lit(account)
            )
            (
                mine.write.mode(mode)
                .partitionBy("region", "accountId", "eventDay")
                .option("compression", "zstd")
                .parquet(f"{place.rstrip('/')}/ext/{sources[uid]}")
            )
    finally:
        routed.unpersist()
    return counts


def _route(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Class and day beside each document."""
    for batch in batches:
        texts = batch.column("document").to_pylist()
        read = [orjson.loads(text) for text in texts]
        days = pa.array([each["time"] for each in read], pa.timestamp("ms"))
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([each["class_uid"] for each in read], pa.int32()),
                pc.strftime(days, format="%Y%m%d"),
                pa.array(texts, pa.string()),
            ],
            schema=_ROUTED,
        )


class _Fit:
    """Documents of one class as its columns, and the day."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.schema = columns.schema.append(pa.field("eventDay", pa.string()))

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts: list[Any] = batch.column("document").to_pylist()
            fitted = self._columns.batch(text.encode() for text in texts)
            arrays = [*fitted.columns, batch.column("eventDay")]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)
