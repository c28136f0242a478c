"""One answer measured by one metric, and what counts as a measurement."""

import asyncio
import inspect
from asyncio import to_thread
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import Answer, Status
from vllm_quality.eval.items import Item
from vllm_quality.eval.judge import JudgeBlockedError
from vllm_quality.eval.metric_registry import MetricClass

NO_JUDGE = "no judge"
_BLOCKING: WeakSet[type[Any]] = WeakSet()  # metrics found to wait for the judge without `await`


@dataclass(frozen=True)
class Judged:
    """One answer measured by one metric; no score without a judgement. `reason` is the judge's, or the metric's own."""

    metric: MetricClass
    status: Status
    score: float | None = None
    passed: bool | None = None
    judge: str | None = None
    error: str | None = None
    reason: str | None = None

    @property
    def failed(self) -> bool:
        """Whether a judge was asked and brought no judgement."""
        return self.status == "judge_error" and self.judge != NO_JUDGE


async def measure(metric: MetricClass, item: Item, answer: Answer, model: Any) -> Judged:
    """Measure an answer; whatever fails in it is a status and no score.

    model  the judge as deepeval takes it; None for none
    Raises the `UserError`s of a metric that cannot be made and of a judge that nobody can ask.
    """
    judge = None if not metric.needs_judge else model.get_model_name() if model is not None else NO_JUDGE
    if answer.status == "infra_error":
        return Judged(metric, "infra_error", judge=judge, error=answer.error)
    if judge == NO_JUDGE:
        return Judged(metric, "judge_error", judge=judge, error=NO_JUDGE)
    if not answer.text.strip():  # no answer is a wrong one
        return Judged(metric, answer.status, 0.0, passed=False, judge=judge, reason="there is no answer")
    try:
        instance = await _measured(metric, item, answer.text, model)
        score = float(instance.score)
    except UserError:
        raise
    except Exception as error:  # a judge that fails, or a metric's own fault: either way there is no judgement
        return Judged(metric, "judge_error", judge=judge, error=f"{metric.name}: {error}"[:300])
    if not 0 <= score <= 1:  # also when it is no number
        wrong = f"{metric.name}: the score is {score}, not between 0 and 1"
        return Judged(metric, "judge_error", judge=judge, error=wrong)
    passed = instance.is_successful() if instance.threshold is not None else None
    reason = None if instance.reason is None else str(instance.reason)
    return Judged(metric, answer.status, score, passed, judge, reason=reason)


async def _measured(metric: MetricClass, item: Item, text: str, model: Any) -> Any:
    """The metric's instance after its measurement. One that blocks on the judge gets a thread with a loop of its own."""
    instance = metric.build(model)
    if metric.cls not in _BLOCKING:
        try:
            await _run(instance, metric.case_of(item, text))
        except JudgeBlockedError:  # some of deepeval's conversational metrics, and perhaps an operator's
            _BLOCKING.add(metric.cls)
            instance = metric.build(model)
        else:
            return instance
    await to_thread(asyncio.run, _run(instance, metric.case_of(item, text)))
    return instance


async def _run(instance: Any, case: Any) -> None:
    """deepeval's `evaluate()` keeps one test run per process; a metric on its own does not."""
    from deepeval.metrics import BaseConversationalMetric, BaseMetric

    if type(instance).a_measure in (BaseMetric.a_measure, BaseConversationalMetric.a_measure):
        await to_thread(instance.measure, case)
        return
    parameters = inspect.signature(instance.a_measure).parameters
    quiet = {"_show_indicator": False} if "_show_indicator" in parameters else {}
    await instance.a_measure(case, **quiet)
