"""From a measured lm-eval suite to its result: metrics, samples, texts, and whether to trust them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from vllm_quality.eval.lm_alone import alone_rows, alone_suite, load_metrics
from vllm_quality.eval.lm_comparable import conditions_hash
from vllm_quality.eval.lm_endpoint import Log
from vllm_quality.eval.lm_metrics import collect_metrics
from vllm_quality.eval.lm_overlap import Overlap, overlap_metrics
from vllm_quality.eval.lm_samples import Outcome
from vllm_quality.eval.result import (
    SuiteResult,
    count_metrics,
    find_problem,
    not_judged,
    samples_frame,
    texts_frame,
)
from vllm_quality.eval.signals import signal_metrics
from vllm_quality.eval.suites import Mode, Suite
from vllm_quality.eval.task_loader import LoadedTasks
from vllm_quality.settings import Profile


@dataclass(frozen=True)
class Measured:
    """A suite, asked and scored.

    found        lm-eval's own results
    results      the figures of each task and group, with our standard errors
    alone        what the items asked at concurrency 1 gave; `alone_error` says why there are none
    """

    suite: Suite
    profile: Profile
    how: Mode
    concurrency: int
    loaded: LoadedTasks
    found: Mapping[str, Any]
    results: Mapping[str, Mapping[str, Any]]
    outcomes: Sequence[Outcome]
    alone: Sequence[Outcome]
    alone_error: str | None
    log: Log


def suite_result(measured: Measured, limit_s: float, overlap: Overlap) -> SuiteResult:
    """The suite's result.

    limit_s  seconds that its questions could take
    overlap  which of a task's items another data set holds as well
    """
    suite, outcomes = measured.suite, measured.outcomes
    metrics = _metrics(measured, overlap)
    rows = [r for outcome in outcomes for r in (*outcome.sample_rows(suite.name), *outcome.signal_rows(suite.name))]
    texts = [outcome.text_row(suite.name) for outcome in outcomes]
    texts += [outcome.text_row(alone_suite(suite.name)) for outcome in measured.alone]
    return SuiteResult(
        step=suite.step,
        metrics=metrics,
        samples=samples_frame([*rows, *alone_rows(suite.name, measured.alone)]),
        texts=texts_frame(texts),
        comparable=conditions_hash(
            suite, measured.loaded, measured.found, outcomes, how=measured.how, concurrency=measured.concurrency
        ),
        problem=problem_of(outcomes, measured.log.gave_up, limit_s),
        details={**_details(measured), "time_limit_s": limit_s, "not judged": not_judged(metrics), **_times(measured)},
    )


def _metrics(measured: Measured, overlap: Overlap) -> dict[str, float]:
    step, outcomes = measured.suite.step, measured.outcomes
    return (
        collect_metrics(step, measured.loaded, measured.results)
        | overlap_metrics(step, measured.loaded, measured.found["samples"], measured.suite.cluster, overlap)
        | count_metrics(step, [outcome.status for outcome in outcomes])
        | {f"{step}/not_reached_count": float(sum(not outcome.reached for outcome in outcomes))}
        | signal_metrics(step, [outcome.signal for outcome in outcomes])
        | (load_metrics(step, outcomes, measured.alone) if measured.alone else {})
    )


def _details(measured: Measured) -> dict[str, Any]:
    found, outcomes = measured.found, measured.outcomes
    return {
        "task": measured.suite.task,
        "mode": measured.how,
        "profile": measured.profile,
        "versions": {name: str(number) for name, number in found["versions"].items()},
        "num_fewshot": dict(found["n-shot"]),
        "lm_eval": version("lm_eval"),
        "data": dict(measured.loaded.data),
        "null_contents": sum(outcome.error == "the answer's content is null" for outcome in outcomes),
        "shortened_prompts": measured.log.shortened,
        "not_reached": sum(not outcome.reached for outcome in outcomes),
        "asked_alone": measured.alone_error or len(measured.alone),
    }


def _times(measured: Measured) -> dict[str, Any]:
    watch = measured.log.watch
    return {"seconds": watch.seconds(), "slowest": watch.slowest(), "duration_s": round(watch.total(), 3)}


def problem_of(outcomes: Sequence[Outcome], gave_up: str | None, limit_s: float) -> str | None:
    """Why the scores must not be compared, in one sentence; None when they can be."""
    statuses = [outcome.status for outcome in outcomes]
    late = sum(not outcome.reached for outcome in outcomes)
    without = [o for o in outcomes if o.reached and o.status in ("infra_error", "judge_error")]
    example = next((outcome.error for outcome in without if outcome.error), None)
    if late > len(without) and find_problem(statuses, None, None):
        return (
            f"{late} of {len(outcomes)} items were not reached within the {limit_s:g} s that this suite may take; raise "
            "its time_limit_s, or its limit of items must be lower."
        )
    return find_problem(statuses, gave_up, example)
