"""A few generated items asked once more, one at a time: some regressions show only under load.

Batches of another size move a greedy answer, and a broken scheduler or attention kernel moves many (sglang issue 27194).
The requests are those of the suite's own run, to the byte; only nothing else is under way.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Protocol

from vllm_quality.eval.answers import Asking, Status
from vllm_quality.eval.lm_endpoint import Log, make_lm
from vllm_quality.eval.lm_samples import Outcome, ScoringGuard, key_of, read_outcomes
from vllm_quality.eval.result import in_short
from vllm_quality.eval.standard_errors import mean_stderr

Sample = Mapping[str, Any]


@dataclass(frozen=True)
class TaskRun:
    """One task as it was asked: its scoring, lm-eval's samples, and its requests by item."""

    task: Any
    guard: ScoringGuard
    samples: Sequence[Sample]
    requests: Mapping[int, Sequence[Any]]


def ask_alone(runs: Sequence[TaskRun], asking: Asking, count: int, *, chat: bool) -> list[Outcome]:
    """The `count` items with the smallest hashes of all generated ones, asked at concurrency 1 and scored as before."""
    items = [(key_of(own[0].doc), number, item) for number, run in enumerate(runs) for item, own in run.requests.items()
             if run.task.OUTPUT_TYPE == "generate_until"]  # fmt: skip
    # All copies live until the end: the log knows a request by its identity.
    copies: dict[int, dict[int, list[Any]]] = {}
    for _, number, item in sorted(items)[:count]:
        copies.setdefault(number, {})[item] = [_blank(request) for request in runs[number].requests[item]]
    log = Log()
    lm = make_lm(replace(asking, concurrency=1, on_progress=None), log, chat=chat)
    return [outcome for number, own in copies.items() for outcome in _repeat(runs[number], own, lm, log)]


def _repeat(run: TaskRun, requests: Mapping[int, Sequence[Any]], lm: Any, log: Log) -> list[Outcome]:
    every = [request for own in requests.values() for request in own]
    cloned = [request for request in every for _ in range(request.repeats or 1)]
    for request, text in zip(cloned, lm.generate_until(cloned), strict=True):
        request.resps.append(text)
    for ensemble in run.task._filters:
        ensemble.apply(every)
    errors: dict[str, str] = {}
    samples = [
        _scored(run, sample, requests[sample["doc_id"]], log, errors)
        for sample in run.samples
        if sample["doc_id"] in requests
    ]
    return read_outcomes(run.task, samples, requests, log, errors)


def _blank(request: Any) -> Any:
    fresh = copy(request)
    fresh.resps, fresh.filtered_resps = [], {}
    return fresh


def _scored(run: TaskRun, sample: Sample, requests: Sequence[Any], log: Log, errors: dict[str, str]) -> Sample:
    """lm-eval's sample of the first time, with this time's answers and scores."""
    scores: Mapping[str, Any] = {}
    if not any(log.failed(request) for request in requests):
        answers = [request.filtered_resps[sample["filter"]] for request in sorted(requests, key=lambda r: r.idx)]
        try:
            scores = run.guard.score_any(sample["doc"], answers)
        except Exception as error:  # a task's scoring is code of its own
            errors[key_of(sample["doc"])] = f"the task's scoring failed ({in_short(error)})"
    return {**sample, **scores, "metrics": list(scores), "resps": [request.resps for request in requests]}


def alone_suite(suite: str) -> str:
    """The name under which these items' samples and texts are kept, which no suite can have."""
    return f"{suite}@1"


def alone_rows(suite: str, outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
    """Rows of the `samples` table; suite and metrics have other names than those of the suite's own run."""
    renamed = [replace(o, scores={f"{name}_alone": score for name, score in o.scores.items()}) for o in outcomes]
    return [row for outcome in renamed for row in outcome.sample_rows(alone_suite(suite))]


class Scored(Protocol):
    """What a comparison needs of an item; a score is None where there is none."""

    @property
    def item_hash(self) -> str: ...
    @property
    def scores(self) -> Mapping[str, float | None]: ...
    @property
    def answer(self) -> str: ...
    @property
    def status(self) -> Status: ...


@dataclass(frozen=True)
class Compared:
    """An item for a comparison, where its own type has other names."""

    item_hash: str
    scores: Mapping[str, float | None]
    answer: str
    status: Status


def load_metrics(step: str, together: Sequence[Scored], alone: Sequence[Scored]) -> dict[str, float]:
    """How the answers under load differ from those alone: mean score difference (negative: worse under load) with its
    standard error, share of equal answers, and the number of items that were answered both times."""
    loaded = {outcome.item_hash: outcome for outcome in together}
    deltas, same = [], []
    for outcome in alone:
        other = loaded[outcome.item_hash]
        if "infra_error" in (outcome.status, other.status):
            continue
        same.append(float(outcome.answer == other.answer))
        pairs = [(other.scores.get(name), score) for name, score in outcome.scores.items()]
        known = [before - score for before, score in pairs if before is not None and score is not None]
        if known:
            deltas.append(fmean(known))
    metrics = {f"{step}/load_items_count": float(len(same))}
    for name, values in (("load_delta_score", deltas), ("load_same_ratio", same)):
        if values:
            metrics[f"{step}/{name}"] = fmean(values)
        stderr = mean_stderr(values, range(len(values)))
        if stderr is not None:
            metrics[f"{step}/{name}_stderr"] = stderr
    return metrics
