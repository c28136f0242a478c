"""lm-eval's tasks by name, with their data: ours and the operator's first, the 14,000 of lm-eval where one of them is meant."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.dataset_source import Source, reading_from
from vllm_quality.eval.result import in_short
from vllm_quality.eval.suites import Suite
from vllm_quality.eval.task_data import TaskData, go_offline
from vllm_quality.eval.task_index import BuiltinTasks

PACKAGED_TASKS = Path(str(files("vllm_quality"))) / "eval" / "tasks"
_SEED = 1234
_SCORED_BY_LOGLIKELIHOOD = {"loglikelihood", "loglikelihood_rolling", "multiple_choice"}


class TaskError(UserError):
    """A suite's task cannot be loaded."""


@dataclass(frozen=True)
class LoadedTasks:
    """A suite's tasks, ready to be asked.

    roots   what the suite's name stands for: one task, one group, or the tasks of a tag
    tasks   every single task in it, by name
    groups  every group in it, by name
    data    data set -> number of its version, for those that came from the mirror
    """

    roots: Sequence[Any]
    tasks: dict[str, Any]
    groups: dict[str, Any]
    data: Mapping[str, int] = field(default_factory=dict)

    @property
    def needs_loglikelihood(self) -> tuple[str, ...]:
        """Names of the tasks that compare the likelihood of given texts."""
        return tuple(name for name, task in self.tasks.items() if task.OUTPUT_TYPE in _SCORED_BY_LOGLIKELIHOOD)


def load_tasks(suite: Suite, data: Source | None = None, *, work_folder: Path | None = None) -> LoadedTasks:
    """Load a suite's task or group with its data; the suite's own folder wins over the packaged one.

    data         where the data come from (see `task_data`); None is the Hugging Face hub
    work_folder  where it is kept in which files lm-eval's own tasks are
    Raises `TaskError`, one sentence: an unknown name (with the nearest ones), a file or a data set that cannot be loaded;
    and `MirrorError` where the mirror is to be used and lacks something.
    """
    if isinstance(data, TaskData):
        data = replace(data, suite=suite.task, used={})
        if data.only:
            go_offline()
    import numpy as np

    if suite.include_path is not None and not suite.include_path.is_dir():
        raise TaskError(f"Suite {suite.task!r}: {suite.include_path} is not a folder; correct its include_path.")
    places = [PACKAGED_TASKS] + ([suite.include_path] if suite.include_path else [])
    manager = _manager(suite.task, places, work_folder)
    # Tasks shuffle and draw while they are built; both generators are the process's own, as lm-eval has it.
    random.seed(_SEED)
    np.random.seed(_SEED)
    try:
        with reading_from(data):
            loaded = manager.load([suite.task])
    except UserError:
        raise
    except Exception as error:  # task files run code of their own
        raise TaskError(
            f"Suite {suite.task!r}: its task or data set cannot be loaded ({in_short(error)}); check the task's file and "
            "the access to its data (the Hugging Face hub, or the file it names)."
        ) from error
    groups = loaded.get("groups") or {}
    roots = [groups[suite.task]] if suite.task in groups else list(loaded["tasks"].values())
    used = data.used if isinstance(data, TaskData) else {}
    return LoadedTasks(roots, dict(loaded["tasks"]), dict(groups), used)


def _manager(name: str, places: Sequence[Path], work_folder: Path | None) -> Any:
    """A task manager that knows the name and all that it refers to."""
    import lm_eval.tasks

    manager = lm_eval.tasks.TaskManager(include_path=[str(place) for place in places], include_defaults=False)
    if name in manager.task_index and _is_complete(manager, name):
        return manager
    for known, entry in BuiltinTasks(work_folder).entries(name).items():
        manager.task_index.setdefault(known, entry)
    if name not in manager.task_index:
        raise _unknown(name, manager.task_index, places)
    return manager


def _unknown(name: str, known: Iterable[str], places: Sequence[Path]) -> TaskError:
    from rapidfuzz.fuzz import ratio
    from rapidfuzz.process import extract

    close = [match for match, _, _ in extract(name, sorted(known), scorer=ratio, limit=5, score_cutoff=60)]
    hint = f"the nearest are {', '.join(close)}" if close else "no task has a name like it"
    broken = [f"{path.name} cannot be read ({in_short(error)})" for path, error in _broken_files(places)]
    return TaskError(f"There is no task {name!r}; {'; '.join([hint, *broken])}.")


def _is_complete(manager: Any, name: str) -> bool:
    """Whether everything that a local group refers to is local too."""
    entry = manager.task_index[name]
    members = (entry.cfg or {}).get("task") if entry.kind.name == "GROUP" else None
    if not isinstance(members, list):
        return True
    names = [member if isinstance(member, str) else member.get("task") or member.get("group") for member in members]
    return all(member in manager.task_index and _is_complete(manager, member) for member in names)


def _broken_files(places: Sequence[Path]) -> Iterator[tuple[Path, Exception]]:
    """lm-eval passes over files that it cannot read: the task that is missed may be in one of them."""
    from lm_eval.tasks._yaml_loader import load_yaml

    for place in places:
        for path in sorted(place.glob("**/*.yaml")):
            try:
                load_yaml(path, resolve_func=False)
            except Exception as error:  # whatever a YAML file can do wrong
                yield path, error
