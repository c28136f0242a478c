"""Where an import's rows come from: files, a frozen day of service queries, or the documents of an lm-eval task."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vllm_quality.datasets.catalogue.adding import SourceOptions, describe_files, iterate_files
from vllm_quality.datasets.catalogue.detect import detect_language
from vllm_quality.datasets.catalogue.importing import Importing
from vllm_quality.datasets.description import Description, Sample, check_name
from vllm_quality.datasets.lm_eval_documents import read_documents
from vllm_quality.datasets.reading import iterate_rows
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.datasets.traffic.frozen import load_frozen_items, read_frozen_day
from vllm_quality.results.objects import ObjectStore
from vllm_quality.settings import Settings


def from_files(name: str, paths: Sequence[Path], options: SourceOptions, sample: Sample | None) -> Importing:
    """Files of one format as the set `name`. Raises `DatasetError`."""
    check_name(name, repr(name))
    about = describe_files(name, paths, options).model_copy(update={"sample": sample})
    return Importing(name, about, tuple(path.name for path in paths), iterate_files(name, about, paths))


def from_queries(
    name: str, day: dt.date, objects: ObjectStore, options: SourceOptions, sample: Sample | None
) -> Importing:
    """A frozen day of service queries as the set `name`, as of that day. Raises `DatasetError`."""
    frozen = read_frozen_day(objects, day)
    items = load_frozen_items(objects, frozen)
    if not items:
        raise DatasetError(f"No query of {day.isoformat()} was kept; choose another day.")
    language = options.language or detect_language(items)
    about = _describe(options, language).model_copy(update={"format": "items", "as_of": day, "sample": sample})
    renamed = (replace(item, dataset=name, language=language, role=options.role) for item in items)
    return Importing(name, about, (f"queries/{day.isoformat()}/{frozen.hash}",), renamed)


def from_task(name: str, task: str, settings: Settings, options: SourceOptions, sample: Sample | None) -> Importing:
    """The documents of an lm-eval task as the set `name`; their metadata say which they are. Raises `DatasetError`."""
    about = _describe(options, options.language or "und")
    about = about.model_copy(update={"format": "lm_eval", "task": task, "sample": sample})
    return Importing(
        name, about, (f"lm-eval {task}",), iterate_rows(name, about, task, read_documents(task, None, settings))
    )


def _describe(options: SourceOptions, language: str) -> Description:
    return Description(
        format="items",
        language=language,
        role=options.role,
        licence=options.licence,
        description=options.description,
        priority=options.priority,
        pii=options.pii,
    )
