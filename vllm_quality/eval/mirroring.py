"""Fill the mirror: every data set that the given tasks ask for, from the hub or from a folder."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.dataset_source import MIRROR_ONLY, DatasetRequest
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.mirror import Mirror, MirrorError, Version
from vllm_quality.eval.suites import Suite, load_suites
from vllm_quality.eval.task_loader import load_tasks
from vllm_quality.results.objects import open_objects
from vllm_quality.settings import Settings

Say = Callable[[str], None]


@dataclass(frozen=True)
class MirroringSource:
    """A source that stores what it hands out (see `dataset_source.reading_from`).

    folder  with the data sets as <folder>/<owner>/<name>; None is the hub, as `HF_ENDPOINT` says
    done    called with each data set and its version
    """

    mirror: Mirror
    suite: str
    folder: Path | None
    done: Callable[[DatasetRequest, Version], None]

    def __call__(self, request: DatasetRequest, ask_library: Callable[..., Any]) -> Any:
        """The data as they are upstream, stored by the way. Raises `MirrorError` where they cannot be."""
        if request.is_local:
            return ask_library()
        loaded = self._upstream(request, ask_library)
        self.done(request, self.mirror.publish(request, loaded))
        if request.split is None:
            return loaded
        if request.split not in loaded:
            raise MirrorError(f"{request} has no split {request.split!r}; the mirror knows whole splits only.")
        return loaded[request.split]

    def _upstream(self, request: DatasetRequest, ask_library: Callable[..., Any]) -> Any:
        name = request.path.removeprefix(MIRROR_ONLY)
        if self.folder is None:
            if request.path.startswith(MIRROR_ONLY):
                raise MirrorError(
                    f"The data set {name!r} is your own and on no hub; put its files into FOLDER/{name} and run "
                    f"`vllm-quality datasets mirror {self.suite} --from FOLDER`."
                )
            return ask_library(split=None)
        place = self.folder / name
        if not place.is_dir():
            raise MirrorError(f"There is no folder {place} for the data set {request}; put its files there.")
        return ask_library(path=str(place), split=None, revision=None)


def mirror_tasks(settings: Settings, tasks: Iterable[str], folder: Path | None, say: Say) -> bool:
    """Mirror what the tasks need (those of `evalchemy.json` where none is named), telling of each data set and each failure.

    Returns whether all of it is in the mirror.
    """
    prepare_lm_eval(settings.home / "work")
    mirror = Mirror(open_objects(settings))
    whole = True
    for suite in _suites(settings, list(tasks)):
        if suite.runner == "evalchemy":
            say(f"{suite.task}: nothing to mirror, Evalchemy has its data itself")
            continue
        stored: dict[str, Version] = {}
        source = MirroringSource(mirror, suite.task, folder, _teller(stored, say))
        try:
            load_tasks(suite, source, work_folder=settings.home / "work")
        except UserError as error:
            say(f"{suite.task}: {error}")
            whole = False
            continue
        if not stored:
            say(f"{suite.task}: nothing to mirror, its data are files")
    return whole


def _suites(settings: Settings, tasks: list[str]) -> Iterator[Suite]:
    path = settings.config_file("evalchemy.json")
    configured = {suite.task: suite for suite in load_suites(path)}
    beside = path.parent / "tasks"
    for task in tasks or configured:
        yield configured.get(task) or Suite(name=task, include_path=beside if beside.is_dir() else None)


def _teller(stored: dict[str, Version], say: Say) -> Callable[[DatasetRequest, Version], None]:
    def tell(request: DatasetRequest, version: Version) -> None:
        place = str(request)
        if place in stored:
            return
        stored[place] = version
        state = "new" if version.is_new else "unchanged"
        say(f"{request}: version {version.number} ({state}), {version.manifest.rows:,} rows")

    return tell
