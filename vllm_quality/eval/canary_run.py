"""The frozen answers, judged again: with every run as a canary, and by `judge calibrate` against their labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from vllm_quality.eval.answers import Answer
from vllm_quality.eval.client import in_order
from vllm_quality.eval.deepeval_measure import Judged, measure
from vllm_quality.eval.deepeval_results import STEP
from vllm_quality.eval.labelled import SUITE, LabelledAnswer, first_questions, load_labels
from vllm_quality.eval.metric_registry import MetricClass, load_metrics
from vllm_quality.eval.result import hash_of
from vllm_quality.eval.standard_errors import mean_stderr
from vllm_quality.settings import Profile

QUESTIONS: Mapping[Profile, int | None] = {"smoke": 6, "standard": None, "full": None}
_METRIC = "rag_accuracy"  # of the packaged folder, whatever the configuration says: what watches must stay as it is


@dataclass(frozen=True)
class JudgedLabel:
    """A labelled answer and what the judge made of it."""

    labelled: LabelledAnswer
    judged: Judged

    @property
    def prompt_hash(self) -> str:
        """What the judge was asked, steps included: scores are compared only where it is equal."""
        return hash_of([self.labelled.item.id, self.judged.metric.fingerprint])


async def judge_labelled(labelled: Sequence[LabelledAnswer], model: Any, *, workers: int) -> list[JudgedLabel]:
    """Have the judge grade labelled answers, one request each; a judgement that fails has no score."""
    metric = accuracy_metric()

    async def grade(answer: LabelledAnswer) -> JudgedLabel:
        return JudgedLabel(answer, await measure(metric, answer.item, Answer(answer.answer, "ok"), model))

    return await in_order(labelled, grade, workers=workers)


def accuracy_metric() -> MetricClass:
    """The packaged metric that asks whether an answer is right."""
    return next(metric for metric in load_metrics([]) if metric.name == _METRIC)


def canary_answers(profile: Profile) -> list[LabelledAnswer]:
    """The packaged answers that a profile has judged."""
    return first_questions(load_labels(), QUESTIONS[profile])


def canary_metrics(canary: Sequence[JudgedLabel]) -> dict[str, float]:
    """The canary's mean score and agreement with the labels. They tell of the judge, and are never judged."""
    if not canary:
        return {}
    scored = [entry for entry in canary if entry.judged.score is not None]
    scores = [float(entry.judged.score or 0) for entry in scored]
    stderr = mean_stderr(scores, [entry.labelled.question for entry in scored])
    agree = [entry.judged.passed == entry.labelled.right for entry in scored]
    return {
        **({f"{STEP}/canary_score": fmean(scores), f"{STEP}/canary_agreement_ratio": fmean(agree)} if scored else {}),
        **({f"{STEP}/canary_score_stderr": stderr} if stderr is not None else {}),
        f"{STEP}/canary_scored_count": float(len(scored)),
        f"{STEP}/canary_judge_errors_count": float(len(canary) - len(scored)),
    }


def canary_sample(entry: JudgedLabel) -> dict[str, object]:
    """A row of the `samples` table, under a suite of its own: these are no answers of the release."""
    return {
        "suite": SUITE,
        "item_hash": entry.labelled.item.id,
        "prompt_hash": entry.prompt_hash,
        "metric": "canary_score",
        "score": entry.judged.score,
        "status": entry.judged.status,
        "finish_reason": None,
        "prompt_tokens": None,
        "output_tokens": None,
        "judge": entry.judged.judge,
    }


def canary_text(entry: JudgedLabel) -> dict[str, object]:
    """A row of the texts."""
    return {
        "suite": SUITE,
        "item_hash": entry.labelled.item.id,
        "prompt": entry.labelled.question,
        "answer": entry.labelled.answer,
        "expected": entry.labelled.reference,
        "reason": entry.judged.reason or "",
        "error": entry.judged.error,
    }
