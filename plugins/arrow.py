"""Records to documents over Arrow batches: the same for Spark, pandas, DuckDB and Parquet files.

events = Records("ecs", received).reader(lines("syslog.log.gz"))
duckdb.sql("SELECT event.action, count(*) FROM events GROUP BY ALL")

Needs pyarrow (extra `parquet`). The schema is declared from the mapping tables before any data is
seen (`plugins.shape`), so every batch and every file of a target has the same columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa  # type: ignore[import-untyped]

from datto_siem.converters import Converter
from datto_siem.plugins import shape as shapes
from datto_siem.plugins.archives import BYTES, Source
from datto_siem.plugins.shape import LEFTOVERS, MAP, Many, Misfit, fitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from datto_siem.plugins.shape import Shape

_TYPES = {
    shapes.BOOLEAN: pa.bool_(),
    shapes.INTEGER: pa.int32(),
    shapes.LONG: pa.int64(),
    shapes.FLOAT: pa.float64(),
    shapes.TEXT: pa.string(),
    shapes.JSON: pa.string(),
    shapes.MAP: pa.map_(pa.string(), pa.string()),
}
DOCUMENT = pa.schema([pa.field("document", pa.string())])
"""Schema of documents as JSON text."""

_BLANK = b" \t\r\n\x0b\x0c\0"
_ROWS = 10_000
"""Rows converted at once: a whole frame may come as one batch, and 2 GiB of text fill an array."""
_BYTES = 1 << 26
"""Bytes of records in a batch that is read from files, when they are long."""


def lines(*paths: str | Path) -> Iterator[pa.RecordBatch]:
    """Records of text archives as `datto-siem convert` reads them, one a line, plain or gzip.

    Their number over all files is in column `ordinal`, so that documents get the ids that convert
    gives them.

    Args:
        paths: Files.

    Raises:
        Failure: One cannot be opened; while batches are taken, one cannot be read on.
    """
    return _batches([Source(str(path)) for path in paths])


def _batches(inputs: Sequence[Source]) -> Iterator[pa.RecordBatch]:
    first, size = 0, 0
    waiting: list[bytes] = []
    for each in inputs:
        for found in each.lines():
            records = [record.encode(BYTES) for record in found.records()]
            if waiting and (len(waiting) + len(records) > _ROWS or size > _BYTES):
                yield _numbered(waiting, first)
                first += len(waiting)
                waiting, size = [], 0
            waiting += records
            size += sum(map(len, records))
    if waiting:
        yield _numbered(waiting, first)


def _numbered(records: Sequence[bytes], first: int) -> pa.RecordBatch:
    numbers = pa.array(range(first, first + len(records)), pa.int64())
    return pa.RecordBatch.from_arrays(
        [pa.array(records, pa.binary()), numbers], names=["value", "ordinal"]
    )


def arrow(shape: Shape) -> pa.Schema:
    """The Arrow schema of a shape."""
    return pa.schema([pa.field(name, _type(inner)) for name, inner in shape.items()])


def _type(shape: Any) -> pa.DataType:
    if isinstance(shape, Many):
        return pa.list_(_type(shape.each))
    if isinstance(shape, dict):
        return pa.struct([pa.field(name, _type(inner)) for name, inner in shape.items()])
    return _TYPES[shape]


class Columns:
    """Finished documents as rows of one declared schema.

    Attributes:
        schema: The Arrow schema.
    """

    def __init__(self, shape: Shape, prefix: str = "") -> None:
        """`prefix` is what a flat target puts before the names of leftovers."""
        self._shape = shape
        self._prefix = prefix if shape.get(LEFTOVERS) == MAP else ""
        self.schema = arrow(shape)

    @classmethod
    def of(cls, converter: Converter) -> Columns:
        """The columns of a converter's target."""
        target = converter.target
        prefix = target.leftovers_into if target.leftovers_as == "prefix" else ""
        return cls(shapes.shape(converter), prefix)

    def batch(self, documents: Iterable[bytes]) -> pa.RecordBatch:
        """Finished JSON documents as a record batch."""
        return pa.RecordBatch.from_pylist([self.row(each) for each in documents], self.schema)

    def row(self, document: bytes) -> dict[str, Any]:
        """One document as a row.

        Raises:
            Misfit: It does not fit; the message says where.
        """
        found: dict[str, Any] = orjson.loads(document)
        if self._prefix:
            loose = [
                name
                for name, value in found.items()
                if name.startswith(self._prefix)
                # a key that came twice has a list of texts where a row has its column
                and (name not in self._shape or (isinstance(value, list) and self._is_text(name)))
            ]
            if loose:
                found[LEFTOVERS] = {name: found.pop(name) for name in loose}
        return fitted(found, self._shape)

    def _is_text(self, name: str) -> bool:
        return bool(self._shape[name] == shapes.TEXT)


class Records:
    """Batches of records in, batches of documents out; plain enough to be sent to other machines.

    An input batch has a column `value` (binary, or text) with a record in each row, and may have
    `ordinal` (the record's number in its input), `received` (epoch milliseconds, or a timestamp, in
    UTC where it has no zone) and `peer` (the sender's address). Blank rows are left out, as
    `datto-siem convert` leaves out blank lines.

    Args:
        target: ecs, cim, ocsf, asim or csl.
        received: Receive time in epoch milliseconds, for rows without one.
        columns: Whether documents become columns; else one column `document` of JSON text.
        version: Schema version, for OCSF.
        overlay: Directory of tables laid over the shipped ones; must be there on every machine.
        switches: Names and addresses of senders known to be Datto switches.
    """

    def __init__(
        self,
        target: str,
        received: int,
        columns: bool = True,
        version: str | None = None,
        overlay: Path | None = None,
        switches: Sequence[str] = (),
    ) -> None:
        """Load tables, to tell of a wrong target or fault now; see the class for the arguments."""
        self._given = (target, version, overlay, tuple(switches))
        self._received, self._columns = received, columns
        self._open()

    def _open(self) -> None:
        self._converter = Converter(*self._given)
        self._as = Columns.of(self._converter) if self._columns else None
        self.schema: pa.Schema = DOCUMENT if self._as is None else self._as.schema

    def __getstate__(self) -> tuple[Any, ...]:
        """What is sent to other processes: the arguments."""
        return (self._given, self._received, self._columns)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Load tables there."""
        self._given, self._received, self._columns = state
        self._open()

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Convert, batch by batch, large ones in parts; `pyspark`'s `mapInArrow` calls this."""
        for batch in batches:
            for at in range(0, batch.num_rows, _ROWS):
                yield self._converted(batch.slice(at, _ROWS))

    def reader(self, records: Any) -> pa.RecordBatchReader:
        """Documents as a stream that DuckDB queries and pandas reads, once.

        Args:
            records: Batches, such as `lines` gives, or what has `__arrow_c_stream__`: a pandas or
                Polars frame, a DuckDB query, an Arrow table.
        """
        if hasattr(records, "__arrow_c_stream__"):
            records = pa.RecordBatchReader.from_stream(records)
        return pa.RecordBatchReader.from_batches(self.schema, self(records))

    def _converted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        documents = self._documents(batch)
        if self._as is not None:
            return self._as.batch(documents)
        texts = pa.array([each.decode() for each in documents], pa.string())
        return pa.RecordBatch.from_arrays([texts], schema=DOCUMENT)

    def _documents(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        names = set(batch.schema.names)
        size = batch.num_rows

        def column(name: str, as_: pa.DataType) -> list[Any]:
            found: list[Any] = [None] * size
            if name in names:
                found = _cast(batch.column(name), as_).to_pylist()
            return found

        rows = zip(
            column("value", pa.large_binary()),
            column("ordinal", pa.int64()),
            column("received", pa.int64()),
            column("peer", pa.string()),
            strict=True,
        )
        encode = self._converter.encode
        for raw, ordinal, received, peer in rows:
            if raw is not None and raw.strip(_BLANK):
                yield encode(raw, received or self._received, peer, None, ordinal or 0)


def _cast(column: pa.Array, as_: pa.DataType) -> pa.Array:
    """A column as it is read: pandas has numbers with gaps as floats, and times may be times."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    return column.cast(as_)


__all__ = ["DOCUMENT", "Columns", "Misfit", "Records", "arrow", "lines"]
