"""A registered data set's files as items, and the rows that were left out."""

from collections.abc import Iterator
from dataclasses import dataclass

from vllm_quality.datasets.files import read_rows
from vllm_quality.datasets.formats import understand
from vllm_quality.datasets.registry import DatasetFolder
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import DatasetError, Item

MOST_QUARANTINED = 1_000  # rows listed by place and reason; the rest is counted


@dataclass(frozen=True)
class SetContents:
    """What a data set holds.

    rows         rows seen
    bad_rows     of those, the ones that cannot be used
    quarantined  their places and reasons, the first thousand
    """

    source: DatasetFolder
    items: tuple[Item, ...]
    rows: int
    bad_rows: int
    quarantined: tuple[BadRow, ...]


def read_set(source: DatasetFolder) -> SetContents:
    """Read a whole data set. Raises `DatasetError` when it holds no row that can be used."""
    items: list[Item] = []
    bad_rows, quarantined = 0, list[BadRow]()
    for found in iterate_set(source):
        if isinstance(found, Item):
            items.append(found)
            continue
        bad_rows += 1
        if len(quarantined) < MOST_QUARANTINED:
            quarantined.append(found)
    if not items:
        example = f"; {quarantined[0].file} row {quarantined[0].line} {quarantined[0].why}" if quarantined else ""
        raise DatasetError(
            f"Data set {source.name!r} has no row that can be used (of {bad_rows}){example}; "
            f"check its format and columns in {source.folder / 'dataset.yaml'}."
        )
    return SetContents(source, tuple(items), len(items) + bad_rows, bad_rows, tuple(quarantined))


def iterate_set(source: DatasetFolder) -> Iterator[Item | BadRow]:
    """The rows of a data set one after another, as items or as what is wrong with them."""
    about = source.description
    for path in source.data_files():
        file = path.relative_to(source.folder).as_posix()
        for number, row in read_rows(path):
            try:
                if isinstance(row, RowError):
                    raise row
                question = understand(about.format, row, about.columns).question()
            except RowError as error:
                yield BadRow(file, number, str(error))
                continue
            yield Item(
                dataset=source.name,
                language=about.language,
                role=about.role,
                messages=question.messages,
                reference=question.reference,
                choices=question.choices,
                metadata=question.metadata_json,
                source_file=file,
                source_line=number,
            )
