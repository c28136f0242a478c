"""Which data sets there are: one folder each, described by its `dataset.yaml`.

They lie in three places; of two with one name, the later place's is used: the package, the object store's `sets/` (what
everybody shares), and the folder VLLM_QUALITY_DATASETS_DIR (what this machine's operator wants instead).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, Protocol

from vllm_quality.datasets.description import DESCRIPTION_FILE, Description, check_name, parse_description
from vllm_quality.datasets.formats import FORMATS
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.datasets.stored_sets import find_stored_sets
from vllm_quality.results.objects import ObjectStore, open_objects
from vllm_quality.settings import PREFIX, Settings

PACKAGED_SETS = Path(str(files("vllm_quality"))) / "datasets" / "raw"

Place = Literal["package", "folder", "objects"]


class RegisteredSet(Protocol):
    """A data set, wherever it lies."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        ...

    @property
    def description(self) -> Description:
        """Its dataset.yaml."""
        ...

    @property
    def where(self) -> str:
        """Its place, for people."""
        ...

    def open_files(self, work: Path | None = None) -> Iterator[tuple[str, Path]]:
        """Its data files, sorted: the name below the set's folder, and a local file, which is there until the next is asked for.

        work  where files from far away are put meanwhile
        Raises `DatasetError` when there are none.
        """
        ...


@dataclass(frozen=True)
class DatasetFolder:
    """A data set in a folder of this machine: its folder's name is its own."""

    name: str
    folder: Path
    description: Description

    @property
    def where(self) -> str:
        """See `RegisteredSet.where`."""
        return str(self.folder)

    def open_files(self, work: Path | None = None) -> Iterator[tuple[str, Path]]:  # noqa: ARG002
        """See `RegisteredSet.open_files`."""
        for path in self.data_files():
            yield path.relative_to(self.folder).as_posix(), path

    def data_files(self) -> list[Path]:
        """The files that hold its rows, sorted. Raises `DatasetError` when there are none."""
        endings, patterns = FORMATS[self.description.format].endings, self.description.patterns
        found = sorted({path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file()})
        if not found:
            raise DatasetError(f"{self.folder} has no file {' or '.join(patterns)}; put the data there.")
        for path in found:
            if path.suffix.lower() not in endings:
                raise DatasetError(
                    f"{path} does not end in {' or '.join(endings)}, as format {self.description.format} has it; "
                    f"correct format or files in {self.folder / DESCRIPTION_FILE}."
                )
        return found


def find_sets(settings: Settings, objects: ObjectStore | None = None) -> tuple[RegisteredSet, ...]:
    """All data sets, by name.

    objects  the object store, where it is open already
    Raises `DatasetError`, one sentence that names the file and the key, and `ObjectsError` when the store cannot be read.
    """
    found: dict[str, RegisteredSet] = {**_sets_in(PACKAGED_SETS)}
    found |= find_stored_sets(open_objects(settings) if objects is None else objects)
    if settings.datasets_dir is not None:
        if not settings.datasets_dir.is_dir():
            raise DatasetError(
                f"{PREFIX}DATASETS_DIR is {str(settings.datasets_dir)!r}, which is not a folder; create it or unset it."
            )
        found |= _sets_in(settings.datasets_dir)
    return tuple(found[name] for name in sorted(found))


def place_of(found: RegisteredSet) -> Place:
    """In which of the three places a set lies."""
    if not isinstance(found, DatasetFolder):
        return "objects"
    return "package" if found.folder.parent == PACKAGED_SETS else "folder"


def _sets_in(place: Path) -> dict[str, DatasetFolder]:
    folders = sorted(path for path in place.iterdir() if path.is_dir() and path.name[0] not in "._")
    return {folder.name: read_set_folder(folder) for folder in folders}


def read_set_folder(folder: Path) -> DatasetFolder:
    """The data set in a folder. Raises `DatasetError`."""
    check_name(folder.name, str(folder))
    path = folder / DESCRIPTION_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DatasetError(f"{folder} has no {DESCRIPTION_FILE}; write one, or move the folder away.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({' '.join(str(error).split())[:200]}); correct it.") from None
    return DatasetFolder(folder.name, folder, parse_description(text, str(path)))
