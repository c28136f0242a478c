"""The frozen answers judged through deepeval: with every run as a canary, and by `judge calibrate` against their labels."""

from collections.abc import Sequence
from typing import Any

from vllm_quality.eval.answers import Answer
from vllm_quality.eval.canary_run import JudgedLabel
from vllm_quality.eval.client import in_order
from vllm_quality.eval.deepeval_measure import measure
from vllm_quality.eval.labelled import LabelledAnswer
from vllm_quality.eval.metric_registry import MetricClass, load_metrics

_METRIC = "rag_accuracy"  # of the packaged folder, whatever the configuration says: what watches must stay as it is


async def judge_labelled(labelled: Sequence[LabelledAnswer], model: Any, *, workers: int) -> list[JudgedLabel]:
    """Have the judge grade labelled answers, one request each; a judgement that fails has no score.

    model  the judge as deepeval takes it
    """
    metric = accuracy_metric()

    async def grade(answer: LabelledAnswer) -> JudgedLabel:
        judged = await measure(metric, answer.item, Answer(answer.answer, "ok"), model)
        return JudgedLabel(
            labelled=answer,
            asked=metric.fingerprint,
            judge=judged.judge,
            status=judged.status,
            score=judged.score,
            passed=judged.passed,
            reason=judged.reason or "",
            error=judged.error,
        )

    return await in_order(labelled, grade, workers=workers)


def accuracy_metric() -> MetricClass:
    """The packaged metric that asks whether an answer is right."""
    return next(metric for metric in load_metrics([]) if metric.name == _METRIC)
