"""The data snapshot asked of a release, every answer measured by every metric that is meant for it."""

import inspect
import time
from asyncio import to_thread
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import Answer, Asking, Progress, Sampling, ask, check_ready
from vllm_quality.eval.client import RetryPolicy, in_order, run_async
from vllm_quality.eval.deepeval_results import (
    NO_JUDGE,
    STEP,
    Graded,
    Judged,
    collect_metrics,
    problem_of,
    sample_rows,
    text_row,
)
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import Item, read_items
from vllm_quality.eval.judge import Judge, JudgeSettings, make_deepeval_judge
from vllm_quality.eval.metric_registry import MetricClass, load_metrics
from vllm_quality.eval.result import SuiteResult, hash_of, not_judged, samples_frame, texts_frame
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

ITEMS_PER_DATASET: Mapping[Profile, int | None] = {"smoke": 20, "standard": 200, "full": None}
_MAX_TOKENS = 256


class NothingToAskError(UserError):
    """The snapshot has no items."""


def run_deepeval(
    snapshot: pl.DataFrame,
    endpoint: Endpoint,
    api_key: str | None,
    *,
    judge: JudgeSettings | None,
    metrics_dir: Path | None,
    profile: Profile,
    concurrency: int,
    timeout_s: float,
    work_folder: Path,
    retry: RetryPolicy | None = None,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask the endpoint every item once over chat, and measure the answers.

    judge        None: judged metrics are reported as "no judge", without scores
    metrics_dir  folder of further metrics
    work_folder  where deepeval may keep files
    on_progress  called with what is done and what is to do, in items: each is asked, then measured
    Raises `MetricRegistryError`, `NothingToAskError` and `EndpointError` before anything is measured.
    """
    prepare_deepeval(work_folder)
    metrics = load_metrics([metrics_dir] if metrics_dir else [])
    items = read_items(snapshot, ITEMS_PER_DATASET[profile])
    if not items:
        raise NothingToAskError("The data snapshot has no items; register a data set with at least one row.")
    if "chat" not in endpoint.capabilities:
        raise EndpointError(
            f"{endpoint.base_url} offers no chat, which the data snapshot is asked through; serve a chat model."
        )
    asking = Asking(endpoint, api_key, concurrency, timeout_s, retry or RetryPolicy(), on_progress)
    started = time.monotonic()
    graded, gave_up = run_async(lambda: _run(items, metrics, asking, judge))
    found = collect_metrics(metrics, graded)
    return SuiteResult(
        step=STEP,
        metrics=found,
        samples=samples_frame([row for entry in graded for row in sample_rows(entry)]),
        texts=texts_frame([text_row(entry) for entry in graded]),
        comparable=_comparable(items, metrics, judge, concurrency),
        problem=problem_of(metrics, graded, gave_up),
        details={
            "profile": profile,
            "deepeval": version("deepeval"),
            "judge": judge.model if judge else NO_JUDGE,
            "no judge": [metric.name for metric in metrics if metric.needs_judge and judge is None],
            "null_contents": sum(entry.answer.error == "the answer's content is null" for entry in graded),
            "not judged": not_judged(found),
            "duration_s": round(time.monotonic() - started, 3),
        },
    )


async def _run(
    items: Sequence[Item], metrics: Sequence[MetricClass], asking: Asking, judge: JudgeSettings | None
) -> tuple[list[Graded], str | None]:
    done, total = 0, 2 * len(items)

    def tick() -> None:
        nonlocal done
        done += 1
        if asking.on_progress is not None:
            asking.on_progress(done, total)

    async def answer(item: Item) -> Answer:
        found = await ask(client, asking.endpoint, item.messages, sampling_of(item))
        tick()
        return found

    async def grade(pair: tuple[Item, Answer]) -> Graded:
        item, found = pair
        case = item.test_case(found.text)
        judged = [await _measure(metric, case, found, model) for metric in metrics if metric.applies_to(case)]
        tick()
        return Graded(item, found, judged)

    async with AsyncExitStack() as stack:
        # The judge first: a wrong address must not cost a round of answers.
        model = None
        if judge is not None and any(metric.needs_judge for metric in metrics):
            caller = judge.client(concurrency=asking.concurrency, timeout_s=asking.timeout_s, retry=asking.retry)
            asked = Judge(await stack.enter_async_context(caller), judge.model)
            await asked.check_ready()
            model = make_deepeval_judge(asked)
        for metric in metrics:
            if model is not None or not metric.needs_judge:
                metric.build(model)
        client = await stack.enter_async_context(asking.client())
        await check_ready(client, asking.endpoint, Sampling(_MAX_TOKENS), chat=True)
        answers = await in_order(items, answer, workers=asking.concurrency)
        pairs = list(zip(items, answers, strict=True))
        return await in_order(pairs, grade, workers=asking.concurrency), client.gave_up


def sampling_of(item: Item) -> Sampling:
    """How an item is asked: greedily, with the length its metadata's `max_tokens` gives."""
    wanted = item.metadata.get("max_tokens")
    return Sampling(wanted if isinstance(wanted, int) and wanted > 0 else _MAX_TOKENS)


async def _measure(metric: MetricClass, case: Any, answer: Answer, model: Any) -> Judged:
    judge = None if not metric.needs_judge else model.get_model_name() if model is not None else NO_JUDGE
    if answer.status == "infra_error":
        return Judged(metric, "infra_error", judge=judge, error=answer.error)
    if judge == NO_JUDGE:
        return Judged(metric, "judge_error", judge=judge, error=NO_JUDGE)
    if not answer.text.strip():
        return Judged(metric, answer.status, 0.0, passed=False, judge=judge)  # no answer is a wrong one
    instance = metric.build(model)
    try:
        await _run_metric(instance, case)
        score = float(instance.score)
    except UserError:
        raise
    except Exception as error:  # a judge that fails, or a metric's own fault: either way there is no judgement
        return Judged(metric, "judge_error", judge=judge, error=f"{metric.name}: {error}"[:300])
    if not 0 <= score <= 1:  # also when it is no number
        return Judged(
            metric, "judge_error", judge=judge, error=f"{metric.name}: the score is {score}, not between 0 and 1"
        )
    passed = instance.is_successful() if instance.threshold is not None else None
    return Judged(metric, answer.status, score, passed, judge)


async def _run_metric(instance: Any, case: Any) -> None:
    """deepeval's `evaluate()` keeps one test run per process; a metric on its own does not."""
    from deepeval.metrics import BaseMetric

    if type(instance).a_measure is BaseMetric.a_measure:
        await to_thread(instance.measure, case)
        return
    parameters = inspect.signature(instance.a_measure).parameters
    quiet = {"_show_indicator": False} if "_show_indicator" in parameters else {}
    await instance.a_measure(case, **quiet)


def _comparable(
    items: Sequence[Item], metrics: Sequence[MetricClass], judge: JudgeSettings | None, concurrency: int
) -> str:
    """Everything but the release that shapes the scores."""
    return hash_of(
        {
            "items": [[item.id, sampling_of(item).max_tokens] for item in items],
            "metrics": {metric.name: metric.fingerprint for metric in metrics},
            "judge": judge.model if judge else None,
            "concurrency": concurrency,
            "deepeval": version("deepeval"),
        }
    )
