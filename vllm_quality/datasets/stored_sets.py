"""Data sets in the object store: what a team shares, put there by `vllm-quality datasets import` or by hand.

    sets/<name>/dataset.yaml, sets/<name>/<files>                        put there by hand
    sets/<name>/000001/dataset.yaml, sets/<name>/000001/items-*.parquet  an import; the highest number counts

Nothing in the store is ever overwritten, so that a set which is imported again gets the next number. Its dataset.yaml is
written last: an import that was cut off is not there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from vllm_quality.datasets.description import DESCRIPTION_FILE, Description, check_name, parse_description
from vllm_quality.datasets.formats import FORMATS
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.results.objects import FileObjects, ObjectsError, ObjectStore

ROOT = "sets"


@dataclass(frozen=True)
class StoredSet:
    """A data set in the object store.

    folder  its keys' beginning, without a slash at the end
    keys    everything below it, sorted
    """

    name: str
    description: Description
    objects: ObjectStore = field(compare=False)
    folder: str
    keys: tuple[str, ...]

    @property
    def where(self) -> str:
        """See `RegisteredSet.where`."""
        return self.objects.url(self.folder)

    def open_files(self, work: Path | None = None) -> Iterator[tuple[str, Path]]:
        """See `RegisteredSet.open_files`: from a bucket, one file at a time is copied to the folder `work`."""
        for name in self.data_files():
            key = f"{self.folder}/{name}"
            if isinstance(self.objects, FileObjects):
                yield name, self.objects.local_path(key)
                continue
            if work is None:
                raise ObjectsError(f"{self.objects.url(key)} must be copied to be read; name a folder for it.")
            copy = work / f"{self.name}{PurePosixPath(name).suffix}"
            self.objects.get_file(key, copy)
            try:
                yield name, copy
            finally:
                copy.unlink(missing_ok=True)

    def data_files(self) -> list[str]:
        """The names of the files that hold its rows, sorted. Raises `DatasetError` when there are none."""
        endings, patterns = FORMATS[self.description.format].endings, self.description.patterns
        names = [key.removeprefix(f"{self.folder}/") for key in self.keys]
        found = [name for name in names if any(re.fullmatch(_as_regex(pattern), name) for pattern in patterns)]
        if not found:
            raise DatasetError(f"{self.where} has no file {' or '.join(patterns)}; put the data there.")
        for name in found:
            if PurePosixPath(name).suffix.lower() not in endings:
                raise DatasetError(
                    f"{self.where}/{name} does not end in {' or '.join(endings)}, as format {self.description.format} "
                    "has it; import the set again with another format or other files."
                )
        return found


def find_stored_sets(objects: ObjectStore, name: str | None = None) -> dict[str, StoredSet]:
    """The newest version of each set in the store (or of one of them), by name. Raises `DatasetError` and `ObjectsError`."""
    keys = objects.list(f"{ROOT}/" if name is None else f"{ROOT}/{name}/")
    newest: dict[str, str] = {}  # keys are sorted, and digits sort before "dataset.yaml"
    for key in keys:
        found = re.fullmatch(rf"{ROOT}/([^/]+)(/\d{{6}})?/{re.escape(DESCRIPTION_FILE)}", key)
        if found and (found[2] or found[1] not in newest):
            newest[found[1]] = f"{ROOT}/{found[1]}{found[2] or ''}"
    return {name: _read(objects, name, folder, keys) for name, folder in newest.items()}


def next_version(objects: ObjectStore, name: str) -> str:
    """The beginning of the keys of a set's next version, complete or not: `sets/<name>/000002`."""
    check_name(name, repr(name))
    numbers = [re.match(rf"{ROOT}/{re.escape(name)}/(\d{{6}})/", key) for key in objects.list(f"{ROOT}/{name}/")]
    return f"{ROOT}/{name}/{max((int(found[1]) for found in numbers if found), default=0) + 1:06d}"


def _read(objects: ObjectStore, name: str, folder: str, keys: list[str]) -> StoredSet:
    check_name(name, objects.url(folder))
    key = f"{folder}/{DESCRIPTION_FILE}"
    try:
        text = objects.get(key).decode("utf-8")
    except UnicodeDecodeError:
        raise DatasetError(f"{objects.url(key)} is not UTF-8; import the set again.") from None
    inside = tuple(other for other in keys if other.startswith(f"{folder}/") and other != key)
    return StoredSet(name, parse_description(text, objects.url(key)), objects, folder, inside)


def _as_regex(pattern: str) -> str:
    """A pattern of `Path.glob`, for the name of a key."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    wild = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(part, re.escape(part)) for part in parts)
