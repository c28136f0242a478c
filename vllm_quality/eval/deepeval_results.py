"""From measured answers to the suite's metrics, samples and whether to trust them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from vllm_quality.eval.answers import Answer, Status
from vllm_quality.eval.items import Item
from vllm_quality.eval.metric_registry import MetricClass
from vllm_quality.eval.result import count_metrics, find_problem, hash_of

STEP, SUITE = "eval/deepeval", "deepeval"
NO_JUDGE = "no judge"
_MOST_JUDGE_ERRORS = 0.25  # of one metric's judgements; beyond that the judge fails at something in the answers


@dataclass(frozen=True)
class Judged:
    """One answer measured by one metric; no score without a judgement."""

    metric: MetricClass
    status: Status
    score: float | None = None
    passed: bool | None = None
    judge: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Graded:
    """An item, the release's answer and what the metrics made of it."""

    item: Item
    answer: Answer
    judged: Sequence[Judged]


def collect_metrics(metrics: Sequence[MetricClass], graded: Sequence[Graded]) -> dict[str, float]:
    """Mean score and share of passed answers of each metric, with their standard errors, and the counts."""
    found: dict[str, float] = {}
    for metric in metrics:
        own = [judged for entry in graded for judged in entry.judged if judged.metric is metric]
        if not own:
            continue
        scores = [judged.score for judged in own if judged.score is not None]
        passes = [float(judged.passed) for judged in own if judged.passed is not None]
        for name, values in ((f"{metric.name}_score", scores), (f"{metric.name}_pass_ratio", passes)):
            if values:
                found[f"{STEP}/{name}"] = fmean(values)
            if len(values) > 1:
                found[f"{STEP}/{name}_stderr"] = stdev(values) / math.sqrt(len(values))
        found[f"{STEP}/{metric.name}_scored_count"] = float(len(scores))
    # The judge's failures are those of judgements; an item counts here with the fate of its answer.
    counts = count_metrics(STEP, [entry.answer.status for entry in graded])
    errors = sum(judged.status == "judge_error" and judged.judge != NO_JUDGE for e in graded for judged in e.judged)
    return found | counts | {f"{STEP}/judge_errors_count": float(errors)}


def problem_of(metrics: Sequence[MetricClass], graded: Sequence[Graded], gave_up: str | None) -> str | None:
    """Why the scores must not be compared, in one sentence; None when they can be."""
    example = next((entry.answer.error for entry in graded if entry.answer.status == "infra_error"), None)
    unanswered = find_problem([entry.answer.status for entry in graded], gave_up, example)
    if unanswered is not None:
        return unanswered
    for metric in metrics:
        asked = [j for e in graded for j in e.judged if j.metric is metric and j.status != "infra_error"]
        failed = [judged for judged in asked if judged.status == "judge_error" and judged.judge != NO_JUDGE]
        if len(failed) > _MOST_JUDGE_ERRORS * len(asked):
            return f"{len(failed)} of {len(asked)} answers could not be judged ({failed[0].error})."
    return None


def sample_rows(entry: Graded) -> list[dict[str, object]]:
    """An item's rows of the `samples` table, one per metric that is meant for it."""
    return [
        {
            "suite": SUITE,
            "item_hash": entry.item.id,
            "prompt_hash": hash_of([dict(message) for message in entry.item.messages]),
            "metric": f"{judged.metric.name}_score",
            "score": judged.score,
            "status": judged.status,
            "finish_reason": entry.answer.finish_reason,
            "prompt_tokens": entry.answer.prompt_tokens,
            "output_tokens": entry.answer.output_tokens,
            "judge": judged.judge,
        }
        for judged in entry.judged
    ]


def text_row(entry: Graded) -> dict[str, object]:
    """An item's row of the texts."""
    errors = [judged.error for judged in entry.judged if judged.error and judged.judge != NO_JUDGE]
    return {
        "suite": SUITE,
        "item_hash": entry.item.id,
        "prompt": entry.item.input,
        "answer": entry.answer.text,
        "expected": entry.item.reference,
        "error": entry.answer.error or "; ".join(errors) or None,
    }
