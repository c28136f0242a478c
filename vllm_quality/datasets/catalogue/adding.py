"""Files as a registered set in the operator's folder."""

import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from vllm_quality.datasets.catalogue.detect import detect_language, parse_columns, same_format
from vllm_quality.datasets.catalogue.tally import Tally, print_reasons, tally
from vllm_quality.datasets.description import DESCRIPTION_FILE, Description, PiiPolicy, check_name
from vllm_quality.datasets.files import read_rows
from vllm_quality.datasets.formats import FormatName
from vllm_quality.datasets.progress import progress_bars
from vllm_quality.datasets.reading import iterate_rows, iterate_set
from vllm_quality.datasets.registry import DatasetFolder
from vllm_quality.datasets.rows import BadRow
from vllm_quality.datasets.schema import DatasetError, Item, Role
from vllm_quality.settings import PREFIX, Settings

_LOOKED_AT = 200  # rows of each file that tell the language


@dataclass(frozen=True)
class SourceOptions:
    """What the command line says of files that become a data set; None is found out, or left at its default."""

    format: FormatName | None
    language: str | None
    role: Role
    licence: str
    columns: str | None = None
    description: str = ""
    priority: int = 0
    pii: PiiPolicy | None = None


def add_set(settings: Settings, name: str, paths: Sequence[Path], options: SourceOptions, console: Console) -> int:
    """Copy files into VLLM_QUALITY_DATASETS_DIR and describe them there, once all of their rows were read.

    Raises `DatasetError` when the set is there already, or no row can be used; then nothing is left behind.
    """
    place = settings.datasets_dir
    if place is None:
        raise DatasetError(f"Set {PREFIX}DATASETS_DIR to the folder of your data sets; the set is registered there.")
    check_name(name, repr(name))
    folder = place / name
    if folder.exists():
        raise DatasetError(f"{folder} exists; choose another name, or move it away.")
    unfinished = place / f".{name}-{uuid.uuid4().hex}"
    try:
        unfinished.mkdir(parents=True)
        for path in _different_names(paths):
            shutil.copy2(path, unfinished / path.name)
        about = describe_files(name, paths, options)
        found = _read_all(DatasetFolder(name, unfinished, about), console)
        (unfinished / DESCRIPTION_FILE).write_text(about.dump(), encoding="utf-8")
        unfinished.rename(folder)
    except OSError as error:
        raise DatasetError(f"{error.filename or place} cannot be used ({error.strerror}); check it.") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    told = f"{name}: {found.items:,} of {found.rows:,} rows can be used; {about.format}, {about.language}, {about.role}"
    console.print(told, str(folder), sep="\n", soft_wrap=True)
    print_reasons(found, console)
    return 0


def describe_files(name: str, paths: Sequence[Path], options: SourceOptions) -> Description:
    """Files as a description says them; format and language are found out where they are not given."""
    columns = parse_columns(options.columns)
    form = options.format or same_format(paths, columns)
    about = Description(
        format=form,
        language=options.language or "und",
        role=options.role,
        licence=options.licence,
        description=options.description,
        priority=options.priority,
        pii=options.pii,
        columns=columns,
    )
    if options.language is None:
        about = about.model_copy(update={"language": _language(name, paths, about)})
    return about


def _language(name: str, paths: Sequence[Path], about: Description) -> str:
    rows = (found for path in paths for found in islice(iterate_files(name, about, [path]), _LOOKED_AT))
    return detect_language(found for found in rows if isinstance(found, Item))


def iterate_files(name: str, about: Description, paths: Sequence[Path]) -> Iterator[Item | BadRow]:
    """The rows of files, as items of the set `name` or as what is wrong with them."""
    for path in paths:
        yield from iterate_rows(name, about, path.name, read_rows(path))


def _read_all(source: DatasetFolder, console: Console) -> Tally:
    with progress_bars(console) as progress:
        found = tally(iterate_set(source), source.name, progress)
    if not found.items:
        print_reasons(found, console)
        raise DatasetError(
            f"None of the {found.rows:,} rows can be used as format {source.description.format}; check --format and --columns."
        )
    return found


def _different_names(paths: Sequence[Path]) -> Sequence[Path]:
    names = Counter(path.name for path in paths)
    for name, count in names.items():
        if count > 1:
            raise DatasetError(f"{count} files are named {name}; rename them, or add them as sets of their own.")
    return paths
