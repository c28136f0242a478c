"""Files of rows as a corpus: rows with `id` and `text`, or of any format that data sets have; each file is a set."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from vllm_quality.datasets.catalogue.detect import detect_format
from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.near.texts import TextFile
from vllm_quality.datasets.dedup.normal import comparison_form, raw_of
from vllm_quality.datasets.dialogue import optional_text, text_of
from vllm_quality.datasets.files import READERS, read_rows
from vllm_quality.datasets.formats import FORMATS, Columns, FormatName, understand
from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.reading import MOST_QUARANTINED
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import DatasetError

ROWS = "rows"  # with id and text
_LOOKED_AT = 100  # rows


@dataclass
class SetFile:
    """One file, as it was read. `quarantined` has the first thousand of the `bad_rows`."""

    path: Path
    name: str
    format: str
    sha256: str
    rows: int = 0
    bad_rows: int = 0
    quarantined: list[BadRow] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Rows:
    """The usable rows of all files, in their order. `fields` are what else each row has, as JSON; `lines` where it stood."""

    sets: tuple[SetFile, ...]
    corpus: Corpus
    fields: Sequence[str]
    lines: Sequence[int]


@dataclass(frozen=True)
class _Read:
    id: str | None
    text: str
    reference: str | None
    fields: Mapping[str, Any] | Sequence[Any] | str


def read_files(
    paths: Sequence[Path],
    work: Path,
    *,
    wanted: str | None = None,
    columns: Columns | None = None,
    clean: Callable[[str], Callable[[Any], Any]] | None = None,
    progress: Progress | None = None,
) -> Rows:
    """Read files as sets named by their stems.

    work    folder for the texts, which stay on disk
    wanted  the files' format; told from the rows where left out
    clean   for a set's name, what is done to each of its rows before it is understood (anonymisation)

    Raises `DatasetError` when two files have one name, ids are given twice, or a file has no row that can be used.
    """
    names = [path.stem for path in paths]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise DatasetError(f"Two files are named {twice!r}, and sets are named after their files; rename one of them.")
    if wanted is not None and wanted != ROWS and wanted not in FORMATS:
        raise DatasetError(f"{wanted!r} is no format; write {ROWS} (id and text), {', '.join(FORMATS)}.")
    columns = columns or Columns()
    ids, datasets, references, lines = list[str](), list[str](), list[str | None](), list[int]()
    sets = []
    with TextFile(work / "raw") as raw, TextFile(work / "texts") as texts, TextFile(work / "fields") as fields:
        for path, name in zip(paths, names, strict=True):
            source = SetFile(path, name, wanted or _format_of(path, columns), _sha256(path))
            seen: dict[str, int] = {}
            for line, found in _rows_of(source, columns, clean(name) if clean else None):
                given = str(line) if found.id is None else found.id
                if seen.setdefault(given, line) != line:
                    raise DatasetError(
                        f"{path}: rows {seen[given]} and {line} have the same id; give each row of a file its own."
                    )
                ids.append(given)
                datasets.append(name)
                references.append(found.reference)
                lines.append(line)
                raw.append(found.text)
                texts.append(comparison_form(found.text))
                fields.append(json.dumps(found.fields, ensure_ascii=False, sort_keys=True, default=str))
                if progress is not None and len(ids) % 1_000 == 0:
                    progress("read", len(ids), 0)
            _check(source)
            sets.append(source)
    return Rows(tuple(sets), Corpus(ids, datasets, raw, texts, references), fields, lines)


def _rows_of(source: SetFile, columns: Columns, clean: Callable[[Any], Any] | None) -> Iterator[tuple[int, _Read]]:
    for line, row in read_rows(source.path):
        source.rows += 1
        try:
            if isinstance(row, RowError):
                raise row
            yield line, _read(row if clean is None else clean(row), source.format, columns)
        except RowError as error:
            source.bad_rows += 1
            if len(source.quarantined) < MOST_QUARANTINED:
                source.quarantined.append(BadRow(source.path.name, line, str(error)))


def _read(row: Any, format_name: str, columns: Columns) -> _Read:
    if format_name == ROWS:
        if not isinstance(row, Mapping):
            raise RowError("is not an object with named fields")
        others = {name: value for name, value in row.items() if name not in ("id", "text")}
        reference = row.get(columns.reference)
        return _Read(
            text_of(row, "id"), text_of(row, "text"), reference if isinstance(reference, str) else None, others
        )
    name = next(known for known in FORMATS if known == format_name)
    question = understand(name, row, columns).question()
    text = raw_of([message.content for message in question.messages], question.choices)
    given = optional_text(row, "id") if isinstance(row, Mapping) else None
    return _Read(given, text, question.reference, row)


def _format_of(path: Path, columns: Columns) -> FormatName | str:
    if path.suffix.lower() not in READERS:
        raise DatasetError(f"{path} has an ending that tells no kind of file; name it {', '.join(sorted(READERS))}.")
    head = [row for _, row in islice(read_rows(path), _LOOKED_AT)]
    if not columns.model_fields_set and any(isinstance(row, Mapping) and {"id", "text"} <= row.keys() for row in head):
        return ROWS
    return detect_format(path, columns)


def _check(source: SetFile) -> None:
    if source.rows == source.bad_rows:
        first = f": row {source.quarantined[0].line} {source.quarantined[0].why}" if source.quarantined else ""
        raise DatasetError(
            f"{source.path} has no row that can be used (of {source.rows}, read as {source.format}){first}; give rows with "
            "id and text, or another --format."
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the file.") from None
