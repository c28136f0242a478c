"""What is evaluated: `configs/evalchemy.json`, typed. Imports no evaluation framework: the definitions read it at start."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from vllm_quality.errors import UserError
from vllm_quality.eval.presets import PresetError, expanded
from vllm_quality.settings import Profile

Mode = Literal["auto", "chat", "completions", "loglikelihood"]
Runner = Literal["lm-eval", "evalchemy"]

# Items per task where the configuration does not say; None is all of them.
DEFAULT_LIMITS: Mapping[Profile, int | None] = {"smoke": 20, "standard": 200, "full": None}
# Items of a whole suite that are asked once more at concurrency 1, and seconds that its questions may take.
DEFAULT_PROBES: Mapping[Profile, int] = {"smoke": 4, "standard": 20, "full": 50}
DEFAULT_TIME_LIMITS_S: Mapping[Profile, float] = {"smoke": 900.0, "standard": 5400.0, "full": 43200.0}
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


class Bounds(BaseModel):
    """What bounds the work of a suite or an eval; each one value, or one for each profile.

    concurrency_probe  generated items that are asked once more alone, to see what load changes; 0 is none
    time_limit_s       seconds that the questions may take; what is not reached by then has no score
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    concurrency_probe: Annotated[dict[Profile, Annotated[int, Field(ge=0)]], BeforeValidator(_per_profile)] = Field(
        default_factory=dict
    )
    time_limit_s: Annotated[
        dict[Profile, Annotated[float, Field(gt=0, allow_inf_nan=False)]], BeforeValidator(_per_profile)
    ] = Field(default_factory=dict)

    def time_limit_for(self, profile: Profile) -> float:
        """Seconds that the questions may take under a profile."""
        return self.time_limit_s.get(profile, DEFAULT_TIME_LIMITS_S[profile])


class Suite(Bounds):
    """One benchmark: a task of lm-eval (or a group of tasks), or one of Evalchemy's own, and how it is asked.

    task               name of the task or group; Evalchemy's presets call it `task_name`
    runner             "lm-eval" in this process, or "evalchemy" in its own, where a checkout is configured
    limit              items per task: one number, or one per profile; null is all
    num_fewshot        examples before the question; the task's own number where it is left out
    mode               "auto" follows the task: loglikelihood where it compares choices, else chat, else completions
    include_path       folder of further task files, relative to the configuration file; `tasks` beside it where left out
    cluster            field of the items that names what several are about (a passage), for the standard errors
    annotator_model    the judge of Evalchemy's benchmarks that need one; the file's own where left out
    preset             instead of a name: path of an Evalchemy preset, whose tasks are taken in with the other settings
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(validation_alias=AliasChoices("name", "task_name"), min_length=1)
    limit: Annotated[dict[Profile, PositiveInt | None], BeforeValidator(_per_profile)] = Field(default_factory=dict)
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    mode: Mode = "auto"
    include_path: Path | None = None
    runner: Runner = "lm-eval"
    cluster: str | None = None
    annotator_model: str | None = None
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

    def probe_for(self, profile: Profile) -> int:
        """Items that are asked once more alone under a profile."""
        return self.concurrency_probe.get(profile, DEFAULT_PROBES[profile])


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
    stored, origins = _with_presets(path, stored)
    try:
        loaded = SuitesFile.model_validate(stored)
    except ValidationError as error:
        raise SuiteConfigError(_sentence(path, error, stored, origins)) from None
    _refuse_clashes(path, loaded.tasks, origins)
    tasks = tuple(
        suite.model_copy(
            update={
                "include_path": _folder(path, suite),
                "annotator_model": suite.annotator_model or loaded.annotator_model,
            }
        )
        for suite in loaded.tasks
    )
    return loaded.model_copy(update={"tasks": tasks})


def _with_presets(path: Path, stored: object) -> tuple[object, list[int]]:
    """The file's content with its presets taken in, and for each entry the one of the file that it comes from."""
    entries = stored.get("tasks") if isinstance(stored, dict) else None
    if not isinstance(entries, list):
        return stored, []
    pieces, origins = [], []
    for index, entry in enumerate(entries):
        try:
            found = expanded(entry, path.parent)
        except PresetError as error:
            raise SuiteConfigError(f"{path}: tasks[{index}] cannot be used: {error}") from None
        pieces += found
        origins += [index] * len(found)
    return {**stored, "tasks": pieces}, origins  # type: ignore[dict-item]  # it is a dictionary


def _folder(path: Path, suite: Suite) -> Path | None:
    if suite.include_path is not None:
        return path.parent / suite.include_path
    beside = path.parent / "tasks"
    return beside if beside.is_dir() else None


def load_suites(path: Path) -> tuple[Suite, ...]:
    """The suites of the configuration, in its order. Raises `SuiteConfigError`."""
    return load_suites_file(path).tasks


def _refuse_clashes(path: Path, suites: tuple[Suite, ...], origins: Sequence[int]) -> None:
    seen: dict[str, int] = {}
    for index, suite in zip(origins, suites, strict=True):
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


def _sentence(path: Path, error: ValidationError, stored: object, origins: Sequence[int]) -> str:
    first = error.errors(include_url=False)[0]
    places = [part for part in first["loc"] if part != "[key]"]
    named = _name_of(stored, places)
    places[1:2] = [origins[part] if isinstance(part, int) else part for part in places[1:2]]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in places).removeprefix(".")
    reason = _REASONS.get(first["type"], first["msg"][0].lower() + first["msg"][1:])
    return f"{path}: {where or 'the file'}{f' (of {named!r})' if named else ''} cannot be used: {reason}."


def _name_of(stored: object, places: list[int | str]) -> str | None:
    if len(places) < 3 or places[0] != "tasks" or not isinstance(places[1], int) or not isinstance(stored, dict):
        return None
    entry = stored["tasks"][places[1]]
    name = entry.get("name", entry.get("task_name")) if isinstance(entry, dict) else None
    return None if name is None else str(name)
