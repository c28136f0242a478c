"""Data files as rows: JSON lines, JSON, CSV and parquet, one row at a time where the format allows it.

A row that cannot be read is yielded as a `BadRow`, and reading goes on behind it. No reason quotes a row's content: it
may be private.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from vllm_quality.datasets.schema import DatasetError

LONGEST_ROW = 16 * 2**20  # bytes
LARGEST_JSON_FILE = 256 * 2**20  # bytes; JSON has to be read whole
_PARQUET_ROWS = 5_000


@dataclass(frozen=True)
class BadRow:
    """A row that was left out: where it is and why."""

    file: str
    line: int
    why: str


class RowError(Exception):
    """Why a row cannot be used; never leaves this package."""


Rows = Iterator[tuple[int, Any]]  # the row's number and its value, or the RowError that took its place


def read_rows(path: Path) -> Rows:
    """The rows of a data file with their numbers, by the file's ending. Raises `DatasetError` when it cannot be opened."""
    try:
        yield from READERS[path.suffix.lower()](path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the file.") from None


def parse_json(text: str) -> Any:
    """JSON as RFC 8259 has it. Raises `RowError`."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise RowError(f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} at column {error.colno}") from None
    except RecursionError:
        raise RowError("is nested too deeply") from None
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise RowError(f"is not JSON: {str(error)[:60]}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _json_lines(path: Path) -> Rows:
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST_ROW + 1):
            number += 1
            if len(line) > LONGEST_ROW:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(LONGEST_ROW)
                yield number, RowError(f"is longer than {LONGEST_ROW // 2**20} MiB")
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, _attempt(lambda line=line: parse_json(line.decode("utf-8")))  # type: ignore[misc]


def _json(path: Path) -> Rows:
    if path.stat().st_size > LARGEST_JSON_FILE:
        raise DatasetError(
            f"{path} is larger than {LARGEST_JSON_FILE // 2**20} MiB, and JSON has to be read whole; "
            "convert it to JSON lines, which is read line by line."
        )
    values = _attempt(lambda: parse_json(path.read_bytes().decode("utf-8-sig")))
    if not isinstance(values, list):
        yield 1, values if isinstance(values, RowError) else RowError("is not a list of rows")
        return
    yield from enumerate(values, start=1)


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


def _attempt(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RowError as error:
        return error
    except UnicodeDecodeError:
        return RowError("is not UTF-8")


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: JSON and CSV readers can yield half of a surrogate pair."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
