"""lm-eval's tasks by name: ours and the operator's first, the 14,000 of lm-eval only where one of them is meant."""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.result import in_short
from vllm_quality.eval.suites import Suite

PACKAGED_TASKS = Path(str(files("vllm_quality"))) / "eval" / "tasks"
_SEED = 1234
_NAMED = re.compile(r"""^ *["']?(?:task|group|tag)["']?: *["']?([^\s"',\[{#]+)""", re.MULTILINE)
_SCORED_BY_LOGLIKELIHOOD = {"loglikelihood", "loglikelihood_rolling", "multiple_choice"}


class TaskError(UserError):
    """A suite's task cannot be loaded."""


@dataclass(frozen=True)
class LoadedTasks:
    """A suite's tasks, ready to be asked.

    roots   what the suite's name stands for: one task, one group, or the tasks of a tag
    tasks   every single task in it, by name
    groups  every group in it, by name
    """

    roots: Sequence[Any]
    tasks: dict[str, Any]
    groups: dict[str, Any]

    @property
    def needs_loglikelihood(self) -> tuple[str, ...]:
        """Names of the tasks that compare the likelihood of given texts."""
        return tuple(name for name, task in self.tasks.items() if task.OUTPUT_TYPE in _SCORED_BY_LOGLIKELIHOOD)


def load_tasks(suite: Suite) -> LoadedTasks:
    """Load a suite's task or group with its data; the suite's own folder wins over the packaged one.

    Raises `TaskError`, one sentence: an unknown name (with the nearest ones), a file or a data set that cannot be loaded.
    """
    import numpy as np

    if suite.include_path is not None and not suite.include_path.is_dir():
        raise TaskError(f"Suite {suite.task!r}: {suite.include_path} is not a folder; correct its include_path.")
    manager = _manager(suite.task, [PACKAGED_TASKS] + ([suite.include_path] if suite.include_path else []))
    # Tasks shuffle and draw while they are built; both generators are the process's own, as lm-eval has it.
    random.seed(_SEED)
    np.random.seed(_SEED)
    try:
        loaded = manager.load([suite.task])
    except Exception as error:  # task files run code of their own
        raise TaskError(
            f"Suite {suite.task!r}: its task or data set cannot be loaded ({in_short(error)}); check the task's file and "
            "the access to its data (the Hugging Face hub, or the file it names)."
        ) from error
    groups = loaded.get("groups") or {}
    roots = [groups[suite.task]] if suite.task in groups else list(loaded["tasks"].values())
    return LoadedTasks(roots, dict(loaded["tasks"]), dict(groups))


def _manager(name: str, places: Sequence[Path]) -> Any:
    import lm_eval.tasks

    local = lm_eval.tasks.TaskManager(include_path=[str(place) for place in places], include_defaults=False)
    if name in local.task_index and _is_complete(local, name):
        return local
    files_of_lm_eval = Path(lm_eval.tasks.__file__).parent.glob("**/*.yaml")
    theirs = [path.read_text(encoding="utf-8", errors="replace") for path in files_of_lm_eval]
    if not any(name in text for text in theirs):  # a fifth of the price of their index
        names = {found for text in theirs for found in _NAMED.findall(text)}
        raise _unknown(name, names | set(local.all_tasks), places)
    everything = _everything(tuple(places))
    if name not in everything.task_index:
        raise _unknown(name, everything.all_tasks, places)
    return everything


def _unknown(name: str, known: Iterable[str], places: Sequence[Path]) -> TaskError:
    from rapidfuzz.fuzz import ratio
    from rapidfuzz.process import extract

    close = [match for match, _, _ in extract(name, sorted(known), scorer=ratio, limit=5, score_cutoff=60)]
    hint = f"the nearest are {', '.join(close)}" if close else "no task has a name like it"
    broken = [f"{path.name} cannot be read ({in_short(error)})" for path, error in _broken_files(places)]
    return TaskError(f"There is no task {name!r}; {'; '.join([hint, *broken])}.")


@lru_cache(maxsize=1)
def _everything(places: tuple[Path, ...]) -> Any:
    """With lm-eval's own tasks: reading 14,000 files takes four seconds, once per process."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=[str(place) for place in places], include_defaults=True)


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
