"""From measured answers to the suite's metrics, samples and whether to trust them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from vllm_quality.eval.answers import Answer
from vllm_quality.eval.deepeval_measure import Judged
from vllm_quality.eval.items import Item
from vllm_quality.eval.metric_registry import MetricClass
from vllm_quality.eval.result import count_metrics, find_problem, hash_of, overlap_name
from vllm_quality.eval.signals import signal_metrics, signal_of, signal_rows
from vllm_quality.eval.standard_errors import mean_stderr

STEP, SUITE = "eval/deepeval", "deepeval"
_MOST_JUDGE_ERRORS = 0.25  # of one metric's judgements; beyond that the judge fails at something in the answers


@dataclass(frozen=True)
class Graded:
    """An item, the release's answer and what the metrics made of it."""

    item: Item
    answer: Answer
    judged: Sequence[Judged]

    @property
    def passage(self) -> str:
        """What the item stands on together with others: its passages, or only itself."""
        return hash_of(self.item.context) if self.item.context else self.item.id


def collect_metrics(metrics: Sequence[MetricClass], graded: Sequence[Graded]) -> dict[str, float]:
    """Mean score and share of passed answers of each metric, with their standard errors, and the counts.

    Items that share their passages are one cluster of the standard error.
    """
    found = _means(metrics, graded)
    for metric in metrics:
        own = [judged for entry in graded for judged in entry.judged if judged.metric is metric]
        if own:
            found[f"{STEP}/{metric.name}_scored_count"] = float(sum(judged.score is not None for judged in own))
    signals = signal_metrics(STEP, [signal_of(entry.answer) for entry in graded])
    # The judge's failures are those of judgements; an item counts here with the fate of its answer.
    counts = count_metrics(STEP, [entry.answer.status for entry in graded])
    errors = sum(judged.failed for entry in graded for judged in entry.judged)
    counts[f"{STEP}/not_reached_count"] = float(sum(not entry.answer.reached for entry in graded))
    return found | signals | counts | {f"{STEP}/judge_errors_count": float(errors)}


def overlap_metrics(
    metrics: Sequence[MetricClass], graded: Sequence[Graded], overlapping: Collection[str]
) -> dict[str, float]:
    """The means once more without the items that another data set holds, and how many those are; nothing without any.

    overlapping  ids of such items
    """
    left = [entry for entry in graded if entry.item.id not in overlapping]
    if len(left) == len(graded):
        return {}
    means = {overlap_name(path): value for path, value in _means(metrics, left).items()}
    return {**means, f"{STEP}/overlap_count": float(len(graded) - len(left))}


def _means(metrics: Sequence[MetricClass], graded: Sequence[Graded]) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in metrics:
        own = [(judged, entry.passage) for entry in graded for judged in entry.judged if judged.metric is metric]
        scores = [(judged.score, passage) for judged, passage in own if judged.score is not None]
        passes = [(float(judged.passed), passage) for judged, passage in own if judged.passed is not None]
        found |= _mean(f"{metric.name}_score", scores)
        if not metric.yes_no:
            found |= _mean(f"{metric.name}_pass_ratio", passes)
    return found


def _mean(name: str, values: Sequence[tuple[float, str]]) -> dict[str, float]:
    numbers, clusters = [value for value, _ in values], [cluster for _, cluster in values]
    stderr = mean_stderr(numbers, clusters)
    return {
        **({f"{STEP}/{name}": fmean(numbers)} if numbers else {}),
        **({f"{STEP}/{name}_stderr": stderr} if stderr is not None else {}),
    }


def problem_of(
    metrics: Sequence[MetricClass], graded: Sequence[Graded], gave_up: str | None, limit_s: float
) -> str | None:
    """Why the scores must not be compared, in one sentence; None when they can be.

    limit_s  seconds that asking could take
    """
    late = sum(not entry.answer.reached for entry in graded)
    example = next((entry.answer.error for entry in graded if entry.answer.status == "infra_error"), None)
    unanswered = find_problem([entry.answer.status for entry in graded], gave_up, example)
    if unanswered is not None:
        lost = sum(entry.answer.status == "infra_error" for entry in graded)
        if late > lost - late:
            return f"{late} of {len(graded)} items were not reached within the {limit_s:g} s that asking them may take."
        return unanswered
    for metric in metrics:
        asked = [j for e in graded for j in e.judged if j.metric is metric and j.status != "infra_error"]
        failed = [judged for judged in asked if judged.failed]
        if len(failed) > _MOST_JUDGE_ERRORS * len(asked):
            return f"{len(failed)} of {len(asked)} answers could not be judged ({failed[0].error})."
    return None


def sample_rows(entry: Graded) -> list[dict[str, object]]:
    """An item's rows of the `samples` table, one per metric that is meant for it."""
    own = _item_row(entry)
    return [
        {
            **own,
            "metric": f"{judged.metric.name}_score",
            "score": judged.score,
            "status": judged.status,
            "judge": judged.judge,
        }
        for judged in entry.judged
    ]


def signal_samples(entry: Graded) -> list[dict[str, object]]:
    """An item's rows of the `samples` table for its signals."""
    return signal_rows(_item_row(entry), signal_of(entry.answer))


def _item_row(entry: Graded) -> dict[str, object]:
    return {
        "suite": SUITE,
        "item_hash": entry.item.id,
        "prompt_hash": hash_of([dict(message) for message in entry.item.messages]),
        "finish_reason": entry.answer.finish_reason,
        "prompt_tokens": entry.answer.prompt_tokens,
        "output_tokens": entry.answer.output_tokens,
        "cluster": entry.passage[:16] if entry.item.context else "",
        "slices": slices_of(entry.item),
    }


def slices_of(item: Item) -> list[str]:
    """The parts of the suite that an item belongs to: its data set, its language, and its category where it has one."""
    category = item.metadata.get("category")
    named = [f"category={category}"] if isinstance(category, str) and category else []
    return [f"dataset={item.dataset}", f"language={item.language}", *named]


def text_row(entry: Graded) -> dict[str, object]:
    """An item's row of the texts; its reason has a line for each metric that gave one."""
    errors = [judged.error for judged in entry.judged if judged.failed and judged.error]
    reasons = [
        f"{judged.metric.name} {judged.score:.2f}: {judged.reason}"
        for judged in entry.judged
        if judged.reason and judged.score is not None
    ]
    return {
        "suite": SUITE,
        "item_hash": entry.item.id,
        "prompt": entry.item.input,
        "answer": entry.answer.text,
        "expected": entry.item.reference,
        "reason": "\n".join(reasons),
        "error": entry.answer.error or "; ".join(errors) or None,
    }
