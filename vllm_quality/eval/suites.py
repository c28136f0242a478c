"""What is evaluated: `configs/evalchemy.json`, typed. Imports no evaluation framework: the definitions read it at start."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from vllm_quality.errors import UserError
from vllm_quality.settings import Profile

Mode = Literal["auto", "chat", "completions", "loglikelihood"]

# Items per task where the configuration does not say; None is all of them.
DEFAULT_LIMITS: Mapping[Profile, int | None] = {"smoke": 20, "standard": 200, "full": None}
_RESERVED = {"deepeval"}


class SuiteConfigError(UserError):
    """The suites' configuration cannot be used."""


def safe_name(name: str) -> str:
    """A name in the form that assets and metric paths take: ASCII letters, digits and underscores."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _named(entry: object) -> object:
    return {"name": entry} if isinstance(entry, str) else entry


def _per_profile(limit: object) -> object:
    return limit if isinstance(limit, dict) else dict.fromkeys(get_args(Profile), limit)


class Suite(BaseModel):
    """One benchmark: a task of lm-eval (or a group of tasks) and how it is asked.

    task          name of the task or group; Evalchemy's presets call it `task_name`
    limit         items per task: one number, or one per profile; null is all
    num_fewshot   examples before the question; the task's own number where it is left out
    mode          "auto" follows the task: loglikelihood where it compares choices, else chat, else completions
    include_path  folder of further task files, relative to the configuration file; `tasks` beside it where left out
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(validation_alias=AliasChoices("name", "task_name"), min_length=1)
    limit: Annotated[dict[Profile, PositiveInt | None], BeforeValidator(_per_profile)] = Field(default_factory=dict)
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    mode: Mode = "auto"
    include_path: Path | None = None
    batch_size: int | str | None = Field(
        None, description="accepted from Evalchemy's presets; an endpoint batches itself"
    )

    @property
    def name(self) -> str:
        """The task's name in the form that assets and metric paths take."""
        return safe_name(self.task)

    @property
    def asset_name(self) -> str:
        """The key of the suite's asset."""
        return f"eval_{self.name}"

    @property
    def step(self) -> str:
        """The suite's step: what its metric paths begin with."""
        return f"eval/{self.name}"

    def limit_for(self, profile: Profile) -> int | None:
        """Items per task under a profile; None is all of them."""
        return self.limit.get(profile, DEFAULT_LIMITS[profile])


class SuitesFile(BaseModel):
    """The whole file: the suites, and the judge's model where the settings name none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[Annotated[Suite, BeforeValidator(_named)], ...]
    annotator_model: str | None = None


def load_suites_file(path: Path) -> SuitesFile:
    """Read the configuration. Raises `SuiteConfigError`, one sentence that names the file and the entry."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteConfigError(
            f"{path} cannot be read ({error}); give a folder that holds a readable {path.name}."
        ) from None
    try:
        stored = json.loads(text)
    except json.JSONDecodeError as error:
        raise SuiteConfigError(
            f"{path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; correct it there."
        ) from None
    try:
        loaded = SuitesFile.model_validate(stored)
    except ValidationError as error:
        raise SuiteConfigError(_sentence(path, error, stored)) from None
    _refuse_clashes(path, loaded.tasks)
    tasks = tuple(suite.model_copy(update={"include_path": _folder(path, suite)}) for suite in loaded.tasks)
    return loaded.model_copy(update={"tasks": tasks})


def _folder(path: Path, suite: Suite) -> Path | None:
    if suite.include_path is not None:
        return path.parent / suite.include_path
    beside = path.parent / "tasks"
    return beside if beside.is_dir() else None


def load_suites(path: Path) -> tuple[Suite, ...]:
    """The suites of the configuration, in its order. Raises `SuiteConfigError`."""
    return load_suites_file(path).tasks


def _refuse_clashes(path: Path, suites: tuple[Suite, ...]) -> None:
    seen: dict[str, int] = {}
    for index, suite in enumerate(suites):
        if suite.name in _RESERVED:
            raise SuiteConfigError(f"{path}: tasks[{index}] is called {suite.task!r}, which is taken; rename the task.")
        if suite.name in seen:
            raise SuiteConfigError(
                f"{path}: tasks[{index}] ({suite.task!r}) has the same name as tasks[{seen[suite.name]}]; keep one of them."
            )
        seen[suite.name] = index


_REASONS = {
    "model_type": "it must be an object, or (in tasks) a name",
    "extra_forbidden": "there is no such setting",
    "missing": "it is missing",
    "tuple_type": "it must be a list",
    "dict_type": "it must be an object",
}


def _sentence(path: Path, error: ValidationError, stored: object) -> str:
    first = error.errors(include_url=False)[0]
    places = [part for part in first["loc"] if part != "[key]"]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in places).removeprefix(".")
    named = _name_of(stored, places)
    reason = _REASONS.get(first["type"], first["msg"][0].lower() + first["msg"][1:])
    return f"{path}: {where or 'the file'}{f' (of {named!r})' if named else ''} cannot be used: {reason}."


def _name_of(stored: object, places: list[int | str]) -> str | None:
    if len(places) < 3 or places[0] != "tasks" or not isinstance(places[1], int) or not isinstance(stored, dict):
        return None
    entry = stored["tasks"][places[1]]
    name = entry.get("name", entry.get("task_name")) if isinstance(entry, dict) else None
    return None if name is None else str(name)
