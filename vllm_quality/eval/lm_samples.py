"""What became of each item of an lm-eval suite."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_quality.eval.answers import Answer, Status
from vllm_quality.eval.lm_endpoint import Log
from vllm_quality.eval.lm_metrics import as_number, metric_name
from vllm_quality.eval.lm_stderrs import cluster_field
from vllm_quality.eval.result import hash_of, in_short
from vllm_quality.eval.signals import Signal, signal_of, signal_rows


@dataclass(frozen=True)
class Outcome:
    """One item of one task: how its requests went and what it scored.

    passage  hash of the passage that it shares with others; "" where it stands alone
    scores   metric name -> score; None where there is none
    signal   what its answer shows, right or wrong
    reached  False where the suite's time was over first
    """

    task: str
    item_hash: str
    passage: str
    prompt_hash: str
    target_hash: str
    status: Status
    scores: Mapping[str, float | None]
    finish_reason: str | None
    prompt_tokens: int | None
    output_tokens: int | None
    prompt: str
    answer: str
    expected: str
    error: str | None
    signal: Signal
    reached: bool

    def sample_rows(self, suite: str) -> Iterator[dict[str, object]]:
        """The item's rows of the `samples` table, one per metric."""
        for metric, score in self.scores.items():
            yield {**self._item(suite), "metric": metric, "score": score, "status": self.status, "judge": None}

    def signal_rows(self, suite: str) -> list[dict[str, object]]:
        """The item's rows of the `samples` table for its signals."""
        return signal_rows(self._item(suite), self.signal)

    def _item(self, suite: str) -> dict[str, object]:
        return {
            "suite": suite,
            "item_hash": self.item_hash,
            "prompt_hash": self.prompt_hash,
            "finish_reason": self.finish_reason,
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "cluster": self.passage,
            "slices": [] if self.task == suite else [f"task={self.task}"],
        }

    def text_row(self, suite: str) -> dict[str, object]:
        """The item's row of the texts."""
        return {
            "suite": suite,
            "item_hash": self.item_hash,
            "prompt": self.prompt,
            "answer": self.answer,
            "expected": self.expected,
            "error": self.error,
        }


class ScoringGuard:
    """Stands before a task's scoring: an item without answers, or one whose scoring breaks, gets no score at all.

    lm-eval then aggregates over the others by itself, whatever the metric. An item is known by its content, since lm-eval
    hands the scoring a fresh copy of it.

    errors     item -> why its scoring broke
    score_any  the task's own scoring
    """

    def __init__(self, task: Any, log: Log) -> None:
        self.errors: dict[str, str] = {}
        self.score_any: Callable[[Any, Any], Mapping[str, Any]] = task.process_results
        self._task, self._log = task, log
        self._failed: set[str] | None = None
        task.process_results = self.score

    def score(self, doc: Mapping[str, Any], results: Sequence[Any]) -> Mapping[str, Any]:
        """The task's own scores of an item; nothing where there can be none."""
        if self._failed is None:
            self._failed = {key_of(request.doc) for request in self._task.instances if self._log.failed(request)}
        if key_of(doc) in self._failed:
            return {}
        try:
            return self.score_any(doc, results)
        except Exception as error:  # a task's scoring is code of its own, and one odd answer must not end the suite
            self.errors[key_of(doc)] = f"the task's scoring failed ({in_short(error)})"
            return {}


def item_hash(task: str, doc_hash: str) -> str:
    """How an item of a task is called in the samples. `doc_hash`: lm-eval's own hash of the document."""
    return hash_of([task, doc_hash])


def key_of(doc: object) -> str:
    """An item's content as a hash."""
    return hash_of(doc)


def requests_of(task: Any, chosen: Sequence[int] | None) -> dict[int, list[Any]]:
    """A task's requests by the position of their item in the data set.

    chosen  the positions of the items that were asked; None when all were
    """
    requests: dict[int, list[Any]] = {}
    for request in task.instances:
        requests.setdefault(chosen[request.doc_id] if chosen else request.doc_id, []).append(request)
    return requests


def read_outcomes(
    task: Any,
    samples: Sequence[Mapping[str, Any]],
    requests: Mapping[int, Sequence[Any]],
    log: Log,
    errors: Mapping[str, str],
) -> list[Outcome]:
    """The items of a task in its order, from lm-eval's logged samples (one per item and filter) and our own log.

    requests  by item, as `requests_of` gives them
    errors    item -> why its scoring broke
    """
    by_item: dict[int, list[Mapping[str, Any]]] = {}
    for sample in samples:
        by_item.setdefault(sample["doc_id"], []).append(sample)
    names = _names(task, samples)
    return [
        _outcome(task, own, names, [answer for request in requests[item] for answer in log.of(request)], errors)
        for item, own in by_item.items()
    ]


def _names(task: Any, samples: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """The (metric, filter) pairs that have one number per item, and what they are called."""
    pairs: dict[tuple[str, str], None] = {}
    for sample in samples:
        for metric in sample["metrics"]:
            if as_number(sample[metric]) is not None:
                pairs[metric, sample["filter"]] = None
    if not pairs:
        pairs = {(metric, sample["filter"]): None for metric in task.aggregation() for sample in samples}
    filters = {metric: sum(other == metric for other, _ in pairs) for metric, _ in pairs}
    return {(metric, name): metric_name(metric, name, filters[metric]) for metric, name in pairs}


def _outcome(
    task: Any,
    samples: Sequence[Mapping[str, Any]],
    names: Mapping[tuple[str, str], str],
    answers: Sequence[Answer],
    errors: Mapping[str, str],
) -> Outcome:
    first = samples[0]
    broken = errors.get(key_of(first["doc"]))
    status = _status(answers, scored=any(sample["metrics"] for sample in samples), broken=broken is not None)
    found = {
        name: as_number(sample.get(metric))
        for sample in samples
        for (metric, filter_name), name in names.items()
        if sample["filter"] == filter_name and (status in ("infra_error", "judge_error") or metric in sample["metrics"])
    }
    return Outcome(
        task=task.task_name,
        item_hash=item_hash(task.task_name, first["doc_hash"]),
        passage=_passage(task, first["doc"]),
        prompt_hash=first["prompt_hash"],
        target_hash=first["target_hash"],
        status=status,
        scores=found,
        finish_reason=next((answer.finish_reason for answer in answers if answer.finish_reason), None),
        prompt_tokens=_total([answer.prompt_tokens for answer in answers]),
        output_tokens=_total([answer.output_tokens for answer in answers]),
        prompt=str(first["arguments"][0][0]),
        answer=_chosen(first) if task.OUTPUT_TYPE == "multiple_choice" else answers[0].text if answers else "",
        expected=_expected(first),
        error=broken or next((answer.error for answer in answers if answer.error), None),
        signal=Signal() if status == "infra_error" else _signal(task, first, answers),
        reached=all(answer.reached for answer in answers),
    )


def _passage(task: Any, doc: Any) -> str:
    field = cluster_field(task, None, [doc])
    shared = doc.get(field) if field else None
    return hash_of(shared)[:16] if shared else ""


def _signal(task: Any, sample: Mapping[str, Any], answers: Sequence[Answer]) -> Signal:
    if task.OUTPUT_TYPE == "generate_until":
        return signal_of(answers[0])
    gold = _gold(sample)
    if gold is None or task.OUTPUT_TYPE == "loglikelihood_rolling":
        return Signal()
    size = len(str(sample["arguments"][gold][1]).encode("utf-8", "replace"))
    return Signal(gold_logprob=float(sample["resps"][gold][0][0]) / size if size else None)


def _gold(sample: Mapping[str, Any]) -> int | None:
    """Which of an item's requests holds the right answer; None where that cannot be told."""
    target, arguments = sample["target"], sample["arguments"]
    if isinstance(target, str):
        same = (at for at, pair in enumerate(arguments) if len(pair) > 1 and str(pair[1]).strip() == target.strip())
        return next(same, None)
    return target if isinstance(target, int) and 0 <= target < len(arguments) else None


def _status(answers: Sequence[Answer], *, scored: bool, broken: bool) -> Status:
    statuses = {answer.status for answer in answers}
    if broken:
        return "judge_error"
    if not scored or "infra_error" in statuses:
        return "infra_error"
    return "truncated" if "truncated" in statuses else "model_error" if "model_error" in statuses else "ok"


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _chosen(sample: Mapping[str, Any]) -> str:
    scores = [responses[0][0] for responses in sample["resps"]]
    best = max(range(len(scores)), key=scores.__getitem__)
    return str(sample["arguments"][best][1]).strip()


def _expected(sample: Mapping[str, Any]) -> str:
    target, arguments = sample["target"], sample["arguments"]
    if isinstance(target, int) and 0 <= target < len(arguments) and len(arguments) > 1:
        return str(arguments[target][1]).strip()
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False, default=str)
