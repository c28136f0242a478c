"""The documents of an lm-eval task as rows: so that deduplication finds what golden sets and traffic share with a benchmark."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vllm_quality.datasets.dialogue import Dialogue
from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.schema import Message
from vllm_quality.settings import Settings


@dataclass(frozen=True)
class Document:
    """One item of a task. `metadata`: the task's name and lm-eval's `doc_hash`, of which the samples' `item_hash` is made."""

    question: str
    choices: tuple[str, ...]
    reference: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_documents(task: str, folder: Path | None, settings: Settings) -> Iterator[tuple[int, Document | RowError]]:
    """The documents of a task (or of the tasks of a group) with their numbers, in the order of their data set.

    folder  of the data set, where it is a local one: a task file in its folder `tasks` wins over lm-eval's own
    Raises `TaskError` and `MirrorError` where the task or its data cannot be loaded.
    """
    from vllm_quality.eval.environment import prepare_lm_eval
    from vllm_quality.eval.suites import Suite
    from vllm_quality.eval.task_data import open_task_data
    from vllm_quality.eval.task_loader import load_tasks

    work_folder = settings.home / "work"
    prepare_lm_eval(work_folder)
    # Not the folder itself: lm-eval would take the dataset.yaml, which has a `task`, for a task file.
    own = None if folder is None else folder / "tasks"
    suite = Suite(name=task, include_path=own if own is not None and own.is_dir() else None)
    loaded = load_tasks(suite, open_task_data(settings), work_folder=work_folder)
    number = 0
    for name, entry in loaded.tasks.items():
        for doc in entry.eval_docs:
            number += 1
            yield number, _document(name, entry, doc)


def read_document(row: object) -> Dialogue:
    """A document as a dialogue. Raises `RowError`."""
    if not isinstance(row, Document):
        raise RowError("is no document of an lm-eval task; leave `files` out of the dataset.yaml")
    return Dialogue((Message("user", row.question),), row.reference, row.choices, row.metadata)


def document_hash(doc: Any) -> str:
    """lm-eval's own hash of a document, as its logged samples have it (lm_eval/evaluator.py, `doc_hash`)."""
    from lm_eval.utils import handle_non_serializable, hash_string

    return str(hash_string(json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)))


def _document(name: str, task: Any, doc: Any) -> Document | RowError:
    try:
        metadata = {"task": name, "doc_hash": document_hash(doc)}
        choices, asked, target = _choices(task, doc), task.doc_to_text(doc), task.doc_to_target(doc)
        if isinstance(asked, int) and choices:
            # The choices are beginnings, of which `doc_to_text` is the number of the right one (Winogrande).
            return Document(f"{' / '.join(choices)} {target}", choices, _reference(asked, choices), metadata)
        return Document(str(asked), choices, _reference(target, choices), metadata)
    except Exception as error:  # a task's functions are code of its own
        return RowError(f"cannot be put as task {name!r} has it ({type(error).__name__})")


def _choices(task: Any, doc: Any) -> tuple[str, ...]:
    config = getattr(task, "config", None)
    if config is not None and config.doc_to_choice is not None:
        return tuple(str(choice) for choice in task.doc_to_choice(doc))
    return ()


def _reference(target: Any, choices: Sequence[str]) -> str | None:
    if isinstance(target, int) and 0 <= target < len(choices):
        return choices[target].strip() or None
    if isinstance(target, list | tuple):
        target = target[0] if target else ""
        return _reference(target, choices)
    return str(target).strip() or None
