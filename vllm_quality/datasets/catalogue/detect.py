"""Which format a file is in, told from its first rows, and which language it speaks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from vllm_quality.datasets.files import READERS, read_rows
from vllm_quality.datasets.formats import FORMATS, Columns, FormatName, understand
from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.schema import ITEM_SCHEMA, DatasetError, Item
from vllm_quality.datasets.traffic.language import language_of

_LOOKED_AT = 100  # rows
_NAMED: Mapping[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
# A row is of these formats only with one of these fields: others would understand it as well, and lose something.
_MARKS: Mapping[FormatName, frozenset[str]] = {
    "items": frozenset(ITEM_SCHEMA),
    "openai_stored": frozenset({"choices", "request", "request_body", "response", "response_body", "completion"}),
    "deepeval": frozenset(
        {"expected_output", "expectedOutput", "turns", "scenario", "context", "retrieval_context", "retrievalContext"}
    ),
    "alpaca": frozenset({"output"}),
}
_ORDER: tuple[FormatName, ...] = (
    "items", "qianfan", "sharegpt", "openai_stored", "openai_chat", "deepeval", "alpaca",
)  # fmt: skip
_MOSTLY = 0.8


def detect_format(path: Path, columns: Columns) -> FormatName:
    """The format that understands most of a file's first rows; the more particular one of two that understand as many.

    columns  where they say something, the rows are taken to be named columns
    Raises `DatasetError` when the ending tells no kind of file, or no format understands a row.
    """
    ending = path.suffix.lower()
    if ending not in READERS:
        raise DatasetError(f"{path} has an ending that tells no kind of file; name it {', '.join(sorted(READERS))}.")
    if ending == ".txt":
        return "text"
    named = _NAMED[ending]
    if columns.model_fields_set - {"metadata"}:
        return named
    rows = [row for _, row in islice(read_rows(path), _LOOKED_AT)]
    candidates = [name for name in (*_ORDER, named, "prompt_response") if ending in FORMATS[name].endings]
    understood = {name: sum(_is_understood(row, name, columns) for row in rows) for name in candidates}
    best = max(candidates, key=lambda name: understood[name])
    if not understood[best]:
        raise DatasetError(
            f"No format understands the first rows of {path}; give --columns such as input=question,reference=answer, "
            f"or --format, one of {', '.join(name for name in FORMATS if ending in FORMATS[name].endings)}."
        )
    return best


def detect_language(items: Iterable[Item]) -> str:
    """The language of most of the items, "mul" where there is no such one."""
    counts = Counter(language_of(item.input) for item in items)
    language, count = counts.most_common(1)[0] if counts else ("und", 0)
    return language if count >= _MOSTLY * counts.total() else "mul"


def parse_columns(given: str | None) -> Columns:
    """Columns from `input=question,reference=answer,metadata=topic+level`. Raises `DatasetError`."""
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in (given or "").split(","))):
        meaning, equals, field = (piece.strip() for piece in part.partition("="))
        if not equals or not field or meaning not in Columns.model_fields:
            raise DatasetError(
                f"--columns has {part!r}; write MEANING=FIELD, where MEANING is one of {', '.join(Columns.model_fields)}."
            )
        found[meaning] = tuple(field.split("+")) if meaning == "metadata" else field
    return Columns.model_validate(found)


def _is_understood(row: object, name: FormatName, columns: Columns) -> bool:
    if isinstance(row, RowError):
        return False
    marks = _MARKS.get(name)
    if marks and not (isinstance(row, Mapping) and (marks <= row.keys() if name == "items" else marks & row.keys())):
        return False
    try:
        understand(name, row, columns).question()
    except RowError:
        return False
    return True


def same_format(paths: Sequence[Path], columns: Columns) -> FormatName:
    """The one format of several files. Raises `DatasetError` when they differ."""
    found = {detect_format(path, columns): path for path in paths}
    if len(found) > 1:
        told = " and ".join(f"{path} looks like {name}" for name, path in sorted(found.items()))
        raise DatasetError(
            f"The files are of different formats: {told}; add them as sets of their own, or give --format."
        )
    return next(iter(found))
