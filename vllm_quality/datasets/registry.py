"""Which data sets there are: one folder each, described by its `dataset.yaml`."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vllm_quality.datasets.formats import FORMATS, Columns, FormatName
from vllm_quality.datasets.schema import DatasetError, Role
from vllm_quality.settings import PREFIX, Settings

DESCRIPTION_FILE = "dataset.yaml"
PACKAGED_SETS = Path(str(files("vllm_quality"))) / "datasets" / "raw"

Text = Annotated[str, Field(min_length=1)]


class Description(BaseModel):
    """A data set's `dataset.yaml`.

    language  of the questions, as BCP 47 has it: ko, en, pt-BR; "mul" for several
    priority  of two equal items in two sets, the set with the higher number keeps its own
    columns   where a row's fields are; used by jsonl, json, csv, parquet, prompt_response and (messages) openai_chat
    files     patterns of data files in the folder; all with the format's endings where left out
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: FormatName
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    role: Role
    licence: Text
    description: str = ""
    priority: int = 0
    columns: Columns = Columns()
    files: tuple[Text, ...] = ()


@dataclass(frozen=True)
class DatasetFolder:
    """A registered data set: its folder's name is its own."""

    name: str
    folder: Path
    description: Description

    def data_files(self) -> list[Path]:
        """The files that hold its rows, sorted. Raises `DatasetError` when there are none."""
        endings = FORMATS[self.description.format].endings
        patterns = self.description.files or tuple(f"*{ending}" for ending in endings)
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


def find_sets(settings: Settings) -> tuple[DatasetFolder, ...]:
    """The packaged sets and those of VLLM_QUALITY_DATASETS_DIR, by name; of two with one name, the operator's is used.

    Raises `DatasetError`, one sentence that names the file and the key.
    """
    found = _sets_in(PACKAGED_SETS)
    if settings.datasets_dir is not None:
        if not settings.datasets_dir.is_dir():
            raise DatasetError(
                f"{PREFIX}DATASETS_DIR is {str(settings.datasets_dir)!r}, which is not a folder; create it or unset it."
            )
        found |= _sets_in(settings.datasets_dir)
    return tuple(found[name] for name in sorted(found))


def _sets_in(place: Path) -> dict[str, DatasetFolder]:
    folders = sorted(path for path in place.iterdir() if path.is_dir() and path.name[0] not in "._")
    return {folder.name: read_set_folder(folder) for folder in folders}


def read_set_folder(folder: Path) -> DatasetFolder:
    """The data set in a folder. Raises `DatasetError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", folder.name):
        raise DatasetError(f"{folder} cannot name a data set; use letters, digits, '_' and '-', 64 at most.")
    path = folder / DESCRIPTION_FILE
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{folder} has no {DESCRIPTION_FILE}; write one, or move the folder away.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"{path} cannot be read ({' '.join(str(error).split())[:200]}); correct it.") from None
    if not isinstance(stored, dict):
        raise DatasetError(f"{path} must hold keys such as format and language; write them.")
    try:
        description = Description.model_validate(stored)
    except ValidationError as error:
        raise DatasetError(_sentence(path, error)) from None
    for pattern in description.files:
        if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
            raise DatasetError(f"{path}: files has {pattern!r}, which leads out of the folder; name files inside it.")
    return DatasetFolder(folder.name, folder, description)


def _sentence(path: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    reason = {"missing": "is missing", "extra_forbidden": "is not a setting"}.get(first["type"])
    if reason is None:
        message = first["msg"].removeprefix("Value error, ")
        reason = f"cannot be used: {message[0].lower()}{message[1:]}"
    return f"{path}: {key} {reason}; correct it."
