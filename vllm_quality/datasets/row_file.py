"""A parquet file written row by row, in row groups of bounded size, whatever the file's."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

PARQUET = "application/vnd.apache.parquet"
_GROUP_BYTES, _GROUP_ROWS = 8 << 20, 20_000


class RowFile:
    """Rows of one schema on their way to a parquet file. The same rows give the same bytes.

    The file is complete when `close` was called, or the `with` block ended well.
    """

    def __init__(self, path: Path, schema: Mapping[str, pl.DataType]) -> None:
        import pyarrow.parquet

        self.path, self.rows, self.text_bytes = path, 0, 0
        self._schema = dict(schema)
        empty = pl.DataFrame(schema=self._schema).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._writer = pyarrow.parquet.ParquetWriter(path, empty.schema, compression="zstd", write_statistics=False)
        self._arrow_schema = empty.schema
        self._waiting: list[Mapping[str, Any]] = []
        self._waiting_bytes = 0

    def append(self, row: Mapping[str, Any], size: int) -> None:
        """Add a row of about `size` bytes."""
        self._waiting.append(row)
        self._waiting_bytes += size
        self.rows += 1
        self.text_bytes += size
        if self._waiting_bytes >= _GROUP_BYTES or len(self._waiting) >= _GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Write what is left, and the file's end."""
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        frame = pl.DataFrame(self._waiting, schema=self._schema, orient="row")
        self._writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(self._arrow_schema))
        self._waiting, self._waiting_bytes = [], 0

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.close()
