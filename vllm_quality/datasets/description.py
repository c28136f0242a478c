"""What a data set's `dataset.yaml` says, checked."""

import datetime as dt
import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vllm_quality.datasets.formats import FORMATS, Columns, FormatName
from vllm_quality.datasets.schema import DatasetError, Role

DESCRIPTION_FILE = "dataset.yaml"
NAME_RULE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"

Text = Annotated[str, Field(min_length=1)]
PiiPolicy = Literal["anonymise", "redact", "keep"]
Overlap = Annotated[str, Field(pattern=rf"^(drop|flag|drop-from:{NAME_RULE})$")]


class Sample(BaseModel):
    """So many rows of a set that is too large: drawn by a hash of their content and the seed, whatever their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=1)]
    seed: int = 1


class Description(BaseModel):
    """A data set's `dataset.yaml`.

    language  of the questions, as BCP 47 has it: ko, en, pt-BR; "mul" for several
    priority  of two equal items in two sets, the set with the higher number keeps its own
    pii       what becomes of personal data; "anonymise" where left out, for benchmarks "keep"
    as_of     the day whose traffic a regression set was made of
    overlap   another set -> what becomes of items that both hold: drop (from the set of lower priority), drop-from:<set>, flag
    sample    how many of its rows are taken; all where left out
    task      of format lm_eval: the lm-eval task or group whose documents are the rows; needs no files
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
    pii: PiiPolicy | None = None
    as_of: dt.date | None = None
    overlap: dict[Annotated[str, Field(pattern=rf"^{NAME_RULE}$")], Overlap] = {}
    sample: Sample | None = None
    task: Text | None = None
    columns: Columns = Columns()
    files: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _has_its_task(self) -> "Description":
        if (self.format == "lm_eval") != (self.task is not None):
            raise ValueError("format lm_eval needs the key task, and no other format takes it")
        return self

    @property
    def pii_policy(self) -> PiiPolicy:
        """What becomes of personal data. A benchmark is published as it is, and changed rows would be another benchmark."""
        return self.pii or ("keep" if self.role == "benchmark" else "anonymise")

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of the set's data files."""
        return self.files or tuple(f"*{ending}" for ending in FORMATS[self.format].endings)

    def dump(self) -> str:
        """The description as YAML, without what is left at its default."""
        stored = self.model_dump(mode="json", exclude_defaults=True)
        return str(yaml.safe_dump(stored, allow_unicode=True, sort_keys=False))


def check_name(name: str, place: str) -> str:
    """The name itself. Raises `DatasetError` when it cannot name a data set; `place` is where it was found."""
    if not re.fullmatch(NAME_RULE, name):
        raise DatasetError(f"{place} cannot name a data set; use letters, digits, '_' and '-', 64 at most.")
    return name


def parse_description(text: str, place: str) -> Description:
    """A description from YAML. Raises `DatasetError`, one sentence that names the place and the key."""
    try:
        stored = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DatasetError(f"{place} cannot be read ({' '.join(str(error).split())[:200]}); correct it.") from None
    if not isinstance(stored, dict):
        raise DatasetError(f"{place} must hold keys such as format and language; write them.")
    try:
        description = Description.model_validate(stored)
    except ValidationError as error:
        raise DatasetError(_sentence(place, error)) from None
    for pattern in description.files:
        if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
            raise DatasetError(f"{place}: files has {pattern!r}, which leads out of the folder; name files inside it.")
    return description


def _sentence(place: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "the whole"
    reason = {"missing": "is missing", "extra_forbidden": "is not a setting"}.get(first["type"])
    if reason is None:
        message = first["msg"].removeprefix("Value error, ")
        reason = f"cannot be used: {message[0].lower()}{message[1:]}"
    return f"{place}: {key} {reason}; correct it."
