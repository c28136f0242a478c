"""Evalchemy's presets: YAML files that name its benchmarks, taken into our list of suites."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vllm_quality.errors import UserError


class PresetError(UserError):
    """A preset cannot be used."""


class _Task(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task_name: str
    batch_size: int | str | None = None


class _Preset(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tasks: list[_Task]
    annotator_model: str | None = None
    max_tokens: int | None = None


def read_preset(path: Path) -> list[dict[str, Any]]:
    """The entries of a preset `{annotator_model, tasks: [{task_name, batch_size}]}`, each as an entry of ours.

    Raises `PresetError`, one sentence that names the file. Format: Evalchemy's `--config`, its configs/*.yaml.
    """
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"Preset {path} cannot be read ({error}); correct the entry's preset.") from None
    except yaml.YAMLError as error:
        raise PresetError(f"Preset {path} is not YAML ({' '.join(str(error).split())}); correct it there.") from None
    try:
        preset = _Preset.model_validate(stored)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise PresetError(f"Preset {path}: {where} cannot be used: {first['msg'].lower()}.") from None
    shared = {} if preset.annotator_model in (None, "auto") else {"annotator_model": preset.annotator_model}
    return [{**shared, **task.model_dump(exclude_none=True)} for task in preset.tasks]


def expanded(entry: object, folder: Path) -> list[object]:
    """An entry as it is; one with a `preset` as one entry for each of the preset's tasks, with its other settings.

    folder  what the preset's path is relative to
    Raises `PresetError`.
    """
    if not isinstance(entry, Mapping) or "preset" not in entry:
        return [entry]
    preset = entry["preset"]
    own = {name: value for name, value in entry.items() if name != "preset"}
    if not isinstance(preset, str) or {"name", "task_name"} & own.keys():
        raise PresetError(f"Preset {preset!r} must be the path of a YAML file, in an entry that names no task itself.")
    return [{**task, **own} for task in read_preset(folder / preset)]
