"""Documents as one Parquet file, with the columns that the mapping tables declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.plugins.failure import Failure

if TYPE_CHECKING:
    from types import TracebackType

    from datto_siem.converters import Converter
    from datto_siem.plugins.cli.output import FileOutput, StandardOutput

_GROUP = 50_000
"""Documents in a row group; they take some 2 KiB each until it is written."""


class ParquetOutput:
    """Takes finished documents, one a line, and writes Parquet to an output.

    Args:
        out: Where the file's bytes go.
        converter: What made the documents.

    Raises:
        Failure: pyarrow is not installed.
    """

    def __init__(self, out: FileOutput | StandardOutput, converter: Converter) -> None:
        """Write the head of the file."""
        try:
            import pyarrow.parquet as pq  # type: ignore[import-untyped]

            from datto_siem.plugins.arrow import Columns
        except ModuleNotFoundError as error:
            raise Failure(
                "--format parquet needs pyarrow", "pip install 'datto-siem[parquet]'"
            ) from error
        self._columns = Columns.of(converter)
        self._writer = pq.ParquetWriter(_Stream(out), self._columns.schema, compression="zstd")
        self._waiting: list[bytes] = []

    def write(self, content: bytes | memoryview) -> None:
        """Documents, one a line."""
        self._waiting += bytes(content).removesuffix(b"\n").split(b"\n")
        if len(self._waiting) >= _GROUP:
            self._group()

    def __enter__(self) -> ParquetOutput:
        """Opened already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits and the end of the file, if all went well."""
        if kind is None:
            if self._waiting:
                self._group()
            self._writer.close()

    def _group(self) -> None:
        self._writer.write_batch(self._columns.batch(self._waiting), row_group_size=_GROUP)
        self._waiting = []


class _Stream:
    """An output as the file object that pyarrow wants."""

    closed = False

    def __init__(self, out: FileOutput | StandardOutput) -> None:
        self._out = out
        self._written = 0

    def write(self, content: Any) -> int:
        self._out.write(bytes(content))
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """The output is its owner's to close."""
