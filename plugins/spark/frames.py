"""Frames of records, and what they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark import TaskContext
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from datto_siem.plugins.arrow import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyspark.sql import DataFrame, SparkSession

_COUNTS = "partition int, records long"


def lines(session: SparkSession, *paths: str) -> DataFrame:
    """Records of text archives, one a line, as bytes in column `value`.

    Gzip is unpacked; such a file is one task, as it cannot be split.

    Args:
        session: The Spark session.
        paths: Files, folders or patterns.
    """
    # a lone CR belongs to its record, and bytes that are no UTF-8 stay what they are
    read = session.read.option("lineSep", "\n").text(list(paths))
    return read.select(sql.col("value").cast("binary").alias("value"))


def numbered(records: DataFrame) -> DataFrame:
    """The same records with their number in column `ordinal`, blank lines not counted.

    Equal records get different ids by it, and an archive of one file gets the ids that
    `datto-siem convert` gives. It costs one more pass over the archive, to count.

    Args:
        records: As `lines` makes them; the same partitions must come when it is read twice.
    """
    counted = records.mapInArrow(_count, _COUNTS).collect()
    sizes: dict[int, int] = {}
    for row in counted:
        sizes[row["partition"]] = sizes.get(row["partition"], 0) + row["records"]
    starts, start = {}, 0
    for partition in range(max(sizes, default=-1) + 1):
        starts[partition] = start
        start += sizes.get(partition, 0)
    return records.mapInArrow(_Number(starts), "value binary, ordinal long")


def documents(
    records: DataFrame, target: str, received: int, version: str | None = None, **more: Any
) -> DataFrame:
    """Documents as JSON text in one column `document`: what `datto-siem convert` writes.

    Args:
        records: Column `value`; `ordinal`, `received` and `peer` where they are known.
        target: ecs, cim, ocsf, asim or csl.
        received: Receive time in epoch milliseconds, for records without one.
        version: Schema version, for OCSF.
        more: `overlay` and `switches`, see `plugins.arrow.Records`.
    """
    return _mapped(records, Records(target, received, columns=False, version=version, **more))


def columns(
    records: DataFrame, target: str, received: int, version: str | None = None, **more: Any
) -> DataFrame:
    """Documents as columns, by the schema that the mapping tables declare.

    The arguments are those of `documents`.
    """
    return _mapped(records, Records(target, received, columns=True, version=version, **more))


def _mapped(records: DataFrame, mapping: Records) -> DataFrame:
    return records.mapInArrow(mapping, from_arrow_schema(mapping.schema))


def _blank(value: bytes | None) -> bool:
    return value is None or not value.strip(b" \t\r\n\x0b\x0c\0")


def _partition() -> int:
    context = TaskContext.get()
    return -1 if context is None else context.partitionId()


def _count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found = sum(not _blank(value) for value in batch.column("value").to_pylist())
        yield pa.RecordBatch.from_arrays(
            [pa.array([_partition()], pa.int32()), pa.array([found], pa.int64())],
            names=["partition", "records"],
        )


class _Number:
    """Numbers the records of a partition from where it starts."""

    def __init__(self, starts: Mapping[int, int]) -> None:
        self._starts = dict(starts)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        at = self._starts.get(_partition(), 0)
        for batch in batches:
            values: Sequence[bytes] = [
                value for value in batch.column("value").to_pylist() if not _blank(value)
            ]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(values, pa.binary()),
                    pa.array(range(at, at + len(values)), pa.int64()),
                ],
                names=["value", "ordinal"],
            )
            at += len(values)
