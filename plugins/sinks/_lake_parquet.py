"""Rows of one class to one Parquet object, within the lake's limits. Needs the extra security-lake.

Owns how the file is laid out: sorted by time, zstd, one row group below 256 MB, pages below 1 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from datto_siem.plugins.arrow import arrow
from datto_siem.plugins.shape import Misfit, fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datto_siem.plugins.shape import Shape

__all__ = ["Fitted", "arrow", "parquet"]

_CHUNK = 500  # documents that are Python objects at once; they take ten times their bytes
_PAGE = 256 * 1024
_WRITTEN_AT_ONCE = 512 * 1024


class Fitted:
    """What became of the documents of one object.

    Attributes:
        table: Those that fit, sorted by time.
        good: Their positions, in order of the items.
        rejected: Position -> why it does not fit.
        first: Id of the first that fits.
        last: Id of the last.
    """

    def __init__(self, bodies: Sequence[bytes], shape: Shape, schema: pa.Schema) -> None:
        """Read the documents a part at a time; each becomes a row or is rejected."""
        self.good: list[int] = []
        self.rejected: dict[int, str] = {}
        self.first = self.last = ""
        batches = []
        for start in range(0, len(bodies), _CHUNK):
            rows = self._rows(bodies[start : start + _CHUNK], start, shape)
            batches.append(pa.RecordBatch.from_pylist(rows, schema=schema))
        self.table = pa.Table.from_batches(batches, schema).sort_by("time")

    def _rows(self, bodies: Sequence[bytes], start: int, shape: Shape) -> list[dict[str, Any]]:
        rows = []
        for at, body in enumerate(bodies, start):
            try:
                row = fitted(orjson.loads(body), shape)
            except Misfit as error:
                self.rejected[at] = f"does not fit the lake's schema: {error}"
                continue
            self.good.append(at)
            self.last = row["metadata"]["uid"]
            self.first = self.first or self.last
            rows.append(row)
        return rows


def parquet(table: pa.Table, longest: int) -> bytes:
    """A table as a Parquet file.

    Args:
        table: The rows.
        longest: Bytes of the longest document, which bounds what a page grows by at once.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=max(table.num_rows, 1),
        compression="zstd",
        data_page_size=_PAGE,
        write_batch_size=max(1, min(1024, _WRITTEN_AT_ONCE // max(longest, 1))),
        version="2.4",
        store_schema=False,
    )
    found: bytes = sink.getvalue().to_pybytes()
    return found
