"""A registered data set's files as items, and the rows that were left out."""

from collections.abc import Iterator
from pathlib import Path

from vllm_quality.datasets.description import Description
from vllm_quality.datasets.files import Rows, read_rows
from vllm_quality.datasets.formats import understand
from vllm_quality.datasets.lm_eval_documents import read_documents
from vllm_quality.datasets.registry import DatasetFolder, RegisteredSet
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import Item
from vllm_quality.settings import load_settings

MOST_QUARANTINED = 1_000  # rows listed by place and reason; the rest is counted


def iterate_set(source: RegisteredSet, work: Path | None = None) -> Iterator[Item | BadRow]:
    """The rows of a data set one after another, as items or as what is wrong with them.

    work  where files of the object store are put while they are read
    """
    about = source.description
    if about.task is not None:
        folder = source.folder if isinstance(source, DatasetFolder) else None
        yield from iterate_rows(source.name, about, about.task, read_documents(about.task, folder, load_settings()))
        return
    for name, path in source.open_files(work):
        yield from iterate_rows(source.name, about, name, read_rows(path))


def iterate_rows(dataset: str, about: Description, name: str, rows: Rows) -> Iterator[Item | BadRow]:
    """Rows of one file, or of one task; `name` is what items and bad rows say they are from."""
    for number, row in rows:
        try:
            if isinstance(row, RowError):
                raise row
            question = understand(about.format, row, about.columns).question()
        except RowError as error:
            yield BadRow(name, number, str(error))
            continue
        yield Item(
            dataset=dataset,
            language=about.language,
            role=about.role,
            messages=question.messages,
            reference=question.reference,
            choices=question.choices,
            metadata=question.metadata_json,
            source_file=name,
            source_line=number,
        )
