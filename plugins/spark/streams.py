"""Structured streaming: the same conversion for each micro-batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.spark.frames import columns, documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame


def each_batch(
    target: str, place: str, form: str = "parquet", **more: Any
) -> Callable[[DataFrame, int], None]:
    """What `writeStream.foreachBatch` calls.

    Every micro-batch has a folder of its own, `batch=N`, which is overwritten when Spark runs the
    batch again after a failure: nothing is lost and nothing stays twice.

    Args:
        target: ecs, cim, ocsf, asim or csl.
        place: Folder of the output.
        form: `parquet` (columns) or `json` (lines of documents).
        more: `version`, `overlay`, `switches`, see `frames.documents`; `received`, where records do
            not carry it, else the time at which the batch is converted.

    Raises:
        ValueError: No such form.
    """
    if form not in ("parquet", "json"):
        raise ValueError(f"no form {form!r}; there are parquet and json")
    fixed = more.pop("received", None)

    def convert(batch: DataFrame, number: int) -> None:
        received = time.time_ns() // 1_000_000 if fixed is None else fixed
        folder = f"{place.rstrip('/')}/batch={number}"
        if form == "parquet":
            columns(batch, target, received, **more).write.mode("overwrite").parquet(folder)
        else:
            documents(batch, target, received, **more).write.mode("overwrite").text(folder)

    return convert
