"""Rows on their way to a file of the kind that its name's ending tells, whole or not at all."""

import csv
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from vllm_quality.datasets.pii.rows import ENTITIES, ENTITY_SCHEMA
from vllm_quality.datasets.row_file import RowFile
from vllm_quality.datasets.schema import DatasetError

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")


class Output(Protocol):
    """Where rows go."""

    def append(self, row: Mapping[str, Any] | list[Any]) -> None:
        """Take the next row."""


@contextmanager
def open_output(path: Path, source: Path) -> Iterator[Output]:
    """A file that is there, under its name, when the block ended well. Raises `DatasetError` when it cannot be written.

    Rows of a parquet file keep its types in another one. Otherwise they are written as JSON lines first: what columns
    there are, and of which types, is known when all were seen.
    """
    if path.suffix.lower() not in ENDINGS:
        raise DatasetError(f"{path} has an ending that tells no kind of file; name it {', '.join(ENDINGS)}.")
    if path.exists() and (path.is_dir() or path.samefile(source)):
        raise DatasetError(f"{path} is {'a folder' if path.is_dir() else 'the input itself'}; name another file.")
    made = [path.with_name(f".{path.name}.{uuid.uuid4().hex}.{kind}") for kind in ("rows", "done")]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == source.suffix.lower() == ".parquet":
            with RowFile(made[1], {**pl.read_parquet_schema(source), ENTITIES: ENTITY_SCHEMA}) as rows:
                yield _Typed(rows)
        else:
            with made[0].open("w", encoding="utf-8", newline="\n") as lines:
                output = _Lines(lines)
                yield output
            _CONVERSIONS[path.suffix.lower()](made[0], made[1], output.names)
        made[1].replace(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be written ({error.strerror}); free room, or name another file.") from None
    finally:
        for unfinished in made:
            unfinished.unlink(missing_ok=True)


class _Typed:
    def __init__(self, rows: RowFile) -> None:
        self._rows = rows

    def append(self, row: Mapping[str, Any] | list[Any]) -> None:
        if isinstance(row, Mapping):
            self._rows.append(row, sum(len(value) for value in row.values() if isinstance(value, str)) + 100)


class _Lines:
    """names: of all fields seen, in the order in which they came."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.names: dict[str, None] = {}

    def append(self, row: Mapping[str, Any] | list[Any]) -> None:
        if isinstance(row, Mapping):
            self.names.update(dict.fromkeys(row))
        self._stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _as_lines(lines: Path, done: Path, _names: Mapping[str, None]) -> None:
    lines.replace(done)


def _as_list(lines: Path, done: Path, _names: Mapping[str, None]) -> None:
    with lines.open(encoding="utf-8", newline="\n") as rows, done.open("w", encoding="utf-8", newline="\n") as out:
        before = "[\n"
        for row in rows:
            out.write(before + row.removesuffix("\n"))
            before = ",\n"
        out.write("\n]\n")


def _as_csv(lines: Path, done: Path, names: Mapping[str, None]) -> None:
    """Lists and objects are JSON in their cell."""
    if not names:
        raise DatasetError("Rows that are lists cannot be written as CSV; let the output end in .jsonl or .json.")
    ordered = [*(name for name in names if name != ENTITIES), ENTITIES]
    with lines.open(encoding="utf-8", newline="\n") as rows, done.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(ordered)
        for row in rows:
            table.writerow([_cell(json.loads(row).get(name)) for name in ordered])


def _cell(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def _as_parquet(lines: Path, done: Path, names: Mapping[str, None]) -> None:
    if not names:
        raise DatasetError("Rows that are lists cannot be written as parquet; let the output end in .jsonl or .json.")
    try:
        rows = pl.scan_ndjson(lines, infer_schema_length=None, schema_overrides={ENTITIES: ENTITY_SCHEMA})
        rows.sink_parquet(done)
    except pl.exceptions.PolarsError:
        # Its message may quote a row.
        raise DatasetError("The rows have fields of several types, which parquet cannot hold; write .jsonl.") from None


_CONVERSIONS = {
    ".jsonl": _as_lines,
    ".ndjson": _as_lines,
    ".json": _as_list,
    ".csv": _as_csv,
    ".parquet": _as_parquet,
}
