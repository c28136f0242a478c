"""A file with what tells whom its rows are about replaced: one row at a time, whatever the file's size."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vllm_quality.datasets.catalogue.detect import detect_format
from vllm_quality.datasets.files import READERS, read_rows
from vllm_quality.datasets.formats import FORMATS, Columns, FormatName, understand
from vllm_quality.datasets.pii.anonymiser import Anonymiser
from vllm_quality.datasets.pii.output import open_output
from vllm_quality.datasets.pii.rows import clean_row
from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import DatasetError

MOST_LISTED = 1_000  # bad rows by place and reason; the rest is counted
_EVERY = 200  # rows between two words of progress
_BLOCK = 2**20
_BY_LINE = (".jsonl", ".ndjson", ".txt")


@dataclass
class Anonymised:
    """What came of a file.

    rows       rows written; touched: of those, the ones in which something was found
    entities   what was found, by kind
    bad_rows   rows left out; listed: the first thousand of them
    """

    rows: int = 0
    touched: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    bad_rows: int = 0
    listed: list[BadRow] = field(default_factory=list)


def anonymise_file(
    source: Path, out: Path, anonymiser: Anonymiser, format: FormatName | None, progress: Progress
) -> Anonymised:
    """Write the rows of `source` to `out`, which is replaced when all is done.

    format  the rows must be understood as it; when None, a row with a text in "text" will do, else it is told from the
            first rows

    Raises `DatasetError` when a file cannot be used, or not one row can.
    """
    if source.suffix.lower() not in READERS:
        raise DatasetError(f"{source} has an ending that tells no kind of file; name it {', '.join(sorted(READERS))}.")
    done, detected, rows = Anonymised(), format, _count_rows(source)
    with open_output(out, source) as output:
        for number, row in read_rows(source):
            if number % _EVERY == 0:
                progress("anonymising", number, rows)
            try:
                if isinstance(row, RowError):
                    raise row
                if format is not None or not _has_text(row):
                    detected = detected or _detected(source)
                    understand(detected, row, Columns())
                clean = clean_row(row, anonymiser)
            except RowError as error:
                done.bad_rows += 1
                if len(done.listed) < MOST_LISTED:
                    done.listed.append(BadRow(source.name, number, str(error)))
                continue
            output.append(clean.row)
            done.rows += 1
            done.touched += bool(clean.counts)
            done.entities.update(clean.counts)
        if not done.rows:
            raise DatasetError(_no_row(source, done))
    return done


def _detected(source: Path) -> FormatName:
    try:
        return detect_format(source, Columns())
    except DatasetError:
        known = ", ".join(name for name, form in FORMATS.items() if source.suffix.lower() in form.endings)
        raise DatasetError(
            f"{source}: none of its first rows has a text in 'text' or is of a known format; give --format, one of {known}."
        ) from None


def _has_text(row: object) -> bool:
    return isinstance(row, str) or (isinstance(row, Mapping) and isinstance(row.get("text"), str))


def _no_row(source: Path, done: Anonymised) -> str:
    first = f": row {done.listed[0].line} {done.listed[0].why}" if done.listed else ""
    return f"{source} has no row that can be used (of {done.bad_rows:,}){first}; check the file, or give its --format."


def _count_rows(source: Path) -> int:
    """Roughly how many there are, for the progress bar; 0 where only reading it all would tell."""
    ending = source.suffix.lower()
    try:
        if ending in _BY_LINE:
            with source.open("rb") as stream:
                return sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK), b""))
        if ending == ".parquet":
            return _parquet_rows(source)
    except OSError:
        pass  # reading it says what is wrong
    return 0


def _parquet_rows(source: Path) -> int:
    import polars as pl

    found: Any = pl.scan_parquet(source, glob=False).select(pl.len()).collect().item()
    return int(found)
