"""Data files as rows: JSON lines, JSON, CSV, parquet and text, one row at a time whatever the file's size.

In place of a row that cannot be read stands its `RowError`, and reading goes on behind it.
"""

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vllm_quality.datasets.json_list import ListReader
from vllm_quality.datasets.rows import LONGEST_ROW, RowError, is_text, parse_json, too_long
from vllm_quality.datasets.schema import DatasetError

_CHUNK = 2**20  # bytes
_PARQUET_ROWS = 5_000


# A row's number (its line; its position in a JSON list or parquet file) and its value, or the RowError in its place.
Rows = Iterator[tuple[int, Any]]


def read_rows(path: Path) -> Rows:
    """The rows of a data file with their numbers, by the file's ending. Raises `DatasetError` when it cannot be opened."""
    try:
        yield from READERS[path.suffix.lower()](path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the file.") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes | RowError]]:
    """The lines that are not blank, without a byte order mark."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST_ROW + 1):
            number += 1
            if len(line) > LONGEST_ROW:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(LONGEST_ROW)
                yield number, too_long()
                continue
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.strip():
                yield number, line


def _json_lines(path: Path) -> Rows:
    for number, line in _lines(path):
        yield number, line if isinstance(line, RowError) else _attempt(parse_json, line)


def _text_lines(path: Path) -> Rows:
    for number, line in _lines(path):
        yield number, line if isinstance(line, RowError) else _attempt(lambda text: text.rstrip("\r\n"), line)


def _json(path: Path) -> Rows:
    """A list's elements; the lines of a file that holds JSON lines under this ending, as many do."""
    with path.open("rb") as stream:
        head = stream.read(_CHUNK).removeprefix(codecs.BOM_UTF8).lstrip()
        if not head or head.startswith(b"["):
            stream.seek(0)
            yield from enumerate(ListReader(iter(lambda: stream.read(_CHUNK), b"")).rows(), start=1)
            return
    _, first = next(_json_lines(path))
    if isinstance(first, RowError):
        yield 1, RowError("is not a list of rows")
        return
    yield from _json_lines(path)


def _csv(path: Path) -> Rows:
    csv.field_size_limit(LONGEST_ROW)
    # Bytes that are no UTF-8 become lone surrogates, which are found below: so they spoil one row and not the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        header: list[str] | None = None
        while True:
            number = rows.line_num + 1
            try:
                fields = next(rows, None)
            except csv.Error as error:
                yield number, RowError(f"is not CSV: {error}")
                continue
            if fields is None:
                return
            if header is None:
                header = fields
            elif fields:
                yield number, _named(header, fields)


def _named(header: list[str], fields: list[str]) -> Mapping[str, Any] | RowError:
    if len(fields) != len(header):
        return RowError(f"has {len(fields)} fields where the header has {len(header)}")
    if any(not is_text(field) for field in fields):
        return RowError("is not UTF-8")
    return {name: field or None for name, field in zip(header, fields, strict=True)}


def _parquet(path: Path) -> Rows:
    import polars as pl

    start = 0
    while True:
        try:
            rows = pl.scan_parquet(path, glob=False).slice(start, _PARQUET_ROWS).collect()
        except pl.exceptions.PolarsError:
            yield start + 1, RowError("is not in a readable parquet file")
            return
        yield from enumerate(rows.iter_rows(named=True), start=start + 1)
        start += _PARQUET_ROWS
        if rows.height < _PARQUET_ROWS:
            return


def _attempt(read: Callable[[str], Any], line: bytes) -> Any:
    try:
        return read(line.decode("utf-8"))
    except RowError as error:
        return error
    except UnicodeDecodeError:
        return RowError("is not UTF-8")


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _text_lines,
}
