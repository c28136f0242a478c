"""Where a task's data come from: the Hugging Face hub, or the mirror and then nobody is asked but the object store."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vllm_quality.eval.dataset_source import MIRROR_ONLY, DatasetRequest
from vllm_quality.eval.mirror import Mirror, MirrorError
from vllm_quality.results.objects import open_objects
from vllm_quality.settings import Settings


@dataclass(frozen=True)
class TaskData:
    """The source of one suite's data (see `dataset_source.reading_from`).

    only   True: everything from the mirror; False: from the hub, and from the mirror only what no hub has
    suite  the task that is loaded, for the command that errors name
    used   data set (with its configuration) -> number of the mirrored version that was read
    """

    mirror: Mirror
    only: bool
    suite: str = "TASK"
    used: dict[str, int] = field(default_factory=dict)

    def __call__(self, request: DatasetRequest, ask_library: Callable[..., Any]) -> Any:
        """The data as the library would return them. Raises `MirrorError`, with the command to run, where they are missing."""
        own = request.path.startswith(MIRROR_ONLY)
        if request.is_local or not (self.only or own):
            return ask_library()
        version = self.mirror.latest(request)
        if version is None:
            raise MirrorError(_missing(request, self.suite, own=own))
        splits = version.manifest.splits
        if request.split is not None and request.split not in splits:
            raise MirrorError(f"The mirror of {request} has no split {request.split!r}, only {', '.join(splits)}.")
        self.used[str(request)] = version.number
        if request.split is not None:
            return self.mirror.read(splits[request.split], request.split)
        return _lazy(splits, lambda name: self.mirror.read(splits[name], name))


def open_task_data(settings: Settings) -> TaskData:
    """Where the settings say that benchmark data come from."""
    return TaskData(Mirror(open_objects(settings)), only=settings.benchmarks == "mirror")


def go_offline() -> None:
    """Let the Hugging Face libraries refuse every request, whether they were imported already or not."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        os.environ[name] = "1"
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            vars(sys.modules[module])["HF_HUB_OFFLINE"] = True


def _missing(request: DatasetRequest, suite: str, *, own: bool) -> str:
    if own:
        name = request.path.removeprefix(MIRROR_ONLY)
        return (
            f"The mirror has no data set {request}, which is your own; put its files into FOLDER/{name} and run "
            f"`vllm-quality datasets mirror {suite} --from FOLDER`."
        )
    return (
        f"The mirror has no data set {request}; run `vllm-quality datasets mirror {suite}` where the Hugging Face hub can be "
        "reached, with this VLLM_QUALITY_OBJECTS_URL."
    )


def _lazy(names: Iterable[str], read: Callable[[str], Any]) -> Any:
    """A `datasets.DatasetDict` whose splits are read when they are looked at: a task seldom wants its largest one."""
    from datasets import DatasetDict

    class Splits(DatasetDict):  # type: ignore[misc]  # the library has no types
        def __getitem__(self, name: Any) -> Any:
            if super().__getitem__(name) is None:
                self[name] = read(str(name))
            return super().__getitem__(name)

        def __iter__(self) -> Any:  # with it dict(...) and ** come through __getitem__
            return iter(list(self.keys()))

        def get(self, name: Any, default: Any = None) -> Any:
            return self[name] if name in self else default  # noqa: SIM401  # this is that method

        def values(self) -> Any:
            return [self[name] for name in self]

        def items(self) -> Any:
            return [(name, self[name]) for name in self]

    return Splits(dict.fromkeys(names))
