"""Who answers when a task asks `datasets.load_dataset` for its data: the Hugging Face hub, or a source of ours.

lm-eval 0.4.13 names no place to put another source: its YAML tasks, its Python tasks and the functions beside them all call
`datasets.load_dataset`. So that one function asks here first; outside of `reading_from` it is the library's own.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A data set of the team's own, which no hub has: it is read from the mirror whatever the settings say.
MIRROR_ONLY = "mirror://"
_BUILDERS = {"arrow", "audiofolder", "csv", "imagefolder", "json", "pandas", "parquet", "text", "webdataset", "xml"}
# Of load_dataset's arguments, those that say how to fetch, and not what.
_HOW = {"cache_dir", "download_config", "download_mode", "keep_in_memory", "num_proc", "save_infos", "split"}
_HOW |= {"storage_options", "token", "trust_remote_code", "verification_mode"}


@dataclass(frozen=True)
class DatasetRequest:
    """What a task asks for.

    path     of the data set: "owner/name" on the hub, a folder, or one of the library's builders ("json")
    name     of its configuration; None is the only one
    options  further arguments that choose what is loaded, such as revision or data_files
    split    the one split that is wanted; None is all of them
    """

    path: str
    name: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the data are files of this machine: they need neither hub nor mirror."""
        if self.path in _BUILDERS:
            named = _names_in(self.options.get("data_files"))
            return bool(named or self.options.get("data_dir")) and not any("://" in name for name in named)
        return Path(self.path).exists() and not self.path.startswith(MIRROR_ONLY)

    def __str__(self) -> str:
        return f"{self.path.removeprefix(MIRROR_ONLY)!r}{f' ({self.name})' if self.name else ''}"


Source = Callable[[DatasetRequest, Callable[..., Any]], Any]
_source: ContextVar[Source | None] = ContextVar("source of data sets", default=None)


@contextmanager
def reading_from(source: Source | None) -> Iterator[None]:
    """While the block runs, tasks get their data from the source; None is the library's own way.

    The source is called with what is asked for, and with a function that asks the library for it; keywords change what is
    asked.
    """
    if source is None:
        yield
        return
    _install()
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def request_of(arguments: Mapping[str, Any]) -> DatasetRequest:
    """The arguments of `datasets.load_dataset` by name, as a request."""
    given = {key: value for key, value in arguments.items() if value is not None}
    if given.get("streaming") is False:
        del given["streaming"]
    options = {key: value for key, value in given.items() if key not in _HOW | {"path", "name"}}
    split = given.get("split")
    return DatasetRequest(str(given["path"]), given.get("name"), options, None if split is None else str(split))


def _install() -> None:
    import datasets

    original = datasets.load_dataset
    if getattr(original, "asks_source", False):
        return
    signature = inspect.signature(original)

    def load_dataset(*args: Any, **kwargs: Any) -> Any:
        source = _source.get()
        if source is None:
            return original(*args, **kwargs)
        given = dict(signature.bind(*args, **kwargs).arguments)
        given |= given.pop("config_kwargs", {})
        return source(request_of(given), lambda **changes: original(**{**given, **changes}))

    load_dataset.asks_source = True  # type: ignore[attr-defined]
    datasets.load_dataset = load_dataset


def _names_in(data_files: object) -> list[str]:
    if isinstance(data_files, Mapping):
        return [name for value in data_files.values() for name in _names_in(value)]
    if isinstance(data_files, list | tuple):
        return [name for value in data_files for name in _names_in(value)]
    return [] if data_files is None else [str(data_files)]
