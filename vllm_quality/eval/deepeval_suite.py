"""The data snapshot asked of a release, every answer measured by every metric that is meant for it."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import Answer, Asking, Progress, Sampling, ask, check_ready
from vllm_quality.eval.canary_run import (
    JudgedLabel,
    canary_answers,
    canary_metrics,
    canary_sample,
    canary_text,
    judge_labelled,
)
from vllm_quality.eval.client import RetryPolicy, in_order, run_async
from vllm_quality.eval.deepeval_alone import alone_metrics, alone_samples, alone_text, grade_alone
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.deepeval_measure import NO_JUDGE, measure
from vllm_quality.eval.deepeval_results import STEP, Graded, collect_metrics, problem_of, sample_rows, text_row
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import Item, read_items
from vllm_quality.eval.judge import Judge, JudgeSettings
from vllm_quality.eval.labelled import LabelledAnswer
from vllm_quality.eval.metric_config import configure_metrics
from vllm_quality.eval.metric_registry import MetricClass, load_metrics
from vllm_quality.eval.result import SuiteResult, hash_of, not_judged, samples_frame, texts_frame
from vllm_quality.eval.suites import DEFAULT_PROBES, DEFAULT_TIME_LIMITS_S
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

ITEMS_PER_DATASET: Mapping[Profile, int | None] = {"smoke": 20, "standard": 200, "full": None}
_MAX_TOKENS = 256


class NothingToAskError(UserError):
    """The snapshot has no items."""


@dataclass
class _Outcome:
    """What came of it all; `forms` is how the judge was held to JSON and whether it gave logprobs."""

    graded: list[Graded] = field(default_factory=list)
    canary: list[JudgedLabel] = field(default_factory=list)
    alone: list[Graded] = field(default_factory=list)
    gave_up: str | None = None
    forms: Mapping[str, Any] = field(default_factory=dict)


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
    config: Path | None = None,
    time_limit_s: float | None = None,
    retry: RetryPolicy | None = None,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask the endpoint every item once over chat, and measure the answers.

    judge        None: judged metrics are reported as "no judge", without scores
    metrics_dir  folder of further metrics
    work_folder  where deepeval may keep files
    config       deepeval.json; None for the metrics of the folders alone
    time_limit_s seconds that asking may take, and again that judging may; None for the profile's own
    on_progress  called with what is done and what is to do, in items: each is asked, then measured
    Raises `MetricRegistryError`, `NothingToAskError` and `EndpointError` before anything is measured.
    """
    prepare_deepeval(work_folder)
    metrics = load_metrics([metrics_dir] if metrics_dir else [])
    metrics = configure_metrics(metrics, config) if config else metrics
    items = read_items(snapshot, ITEMS_PER_DATASET[profile])
    if not items:
        raise NothingToAskError("The data snapshot has no items; register a data set with at least one row.")
    if "chat" not in endpoint.capabilities:
        raise EndpointError(
            f"{endpoint.base_url} offers no chat, which the data snapshot is asked through; serve a chat model."
        )
    started, limit_s = time.monotonic(), time_limit_s or DEFAULT_TIME_LIMITS_S[profile]
    asking = Asking(
        endpoint, api_key, concurrency, timeout_s, retry or RetryPolicy(), on_progress, deadline=started + limit_s
    )
    frozen, probe = canary_answers(profile), DEFAULT_PROBES[profile] if concurrency > 1 else 0
    outcome = run_async(lambda: _run(items, metrics, asking, judge, frozen, probe, limit_s))
    graded, canary, alone = outcome.graded, outcome.canary, outcome.alone
    found = collect_metrics(metrics, graded) | canary_metrics(canary) | alone_metrics(graded, alone)
    rows = [row for entry in graded for row in sample_rows(entry)]
    rows += [*map(canary_sample, canary), *(row for entry in alone for row in alone_samples(entry))]
    return SuiteResult(
        step=STEP,
        metrics=found,
        samples=samples_frame(rows),
        texts=texts_frame([*map(text_row, graded), *map(canary_text, canary), *map(alone_text, alone)]),
        comparable=_comparable(items, metrics, judge, concurrency),
        problem=problem_of(metrics, graded, outcome.gave_up, limit_s),
        details={
            "profile": profile,
            "deepeval": version("deepeval"),
            "judge": judge.model if judge else NO_JUDGE,
            "no judge": [metric.name for metric in metrics if metric.needs_judge and judge is None],
            **outcome.forms,
            "canary": f"{len(canary)} answers" if canary else NO_JUDGE if judge is None else "nothing was judged",
            "null_contents": sum(entry.answer.error == "the answer's content is null" for entry in graded),
            "not_reached": sum(not entry.answer.reached for entry in graded),
            "time_limit_s": limit_s,
            "not judged": not_judged(found),
            "duration_s": round(time.monotonic() - started, 3),
        },
    )


async def _run(
    items: Sequence[Item],
    metrics: Sequence[MetricClass],
    asking: Asking,
    judge: JudgeSettings | None,
    frozen: Sequence[LabelledAnswer],
    probe: int,
    limit_s: float,
) -> _Outcome:
    """Ask, measure, judge the canary again, and ask the first `probe` items once more alone."""
    meant = {item.id: [metric for metric in metrics if metric.applies_to(item)] for item in items}
    judgements = sum(metric.needs_judge for found in meant.values() for metric in found)
    frozen = frozen if judge is not None and judgements else []
    done, total = 0, 2 * len(items) + len(frozen)
    outcome = _Outcome()

    def tick(count: int = 1) -> None:
        nonlocal done
        done += count
        if asking.on_progress is not None:
            asking.on_progress(done, total)

    async def answer(item: Item) -> Answer:
        found = await ask(client, asking.endpoint, item.messages, sampling_of(item))
        tick()
        return found

    async def grade(pair: tuple[Item, Answer]) -> Graded:
        item, found = pair
        judged = [await measure(metric, item, found, model) for metric in meant[item.id]]
        tick()
        return Graded(item, found, judged)

    async with AsyncExitStack() as stack:
        # The judge first: a wrong address must not cost a round of answers.
        model = asked = None
        if judge is not None and judgements:
            caller = judge.client(
                concurrency=asking.concurrency,
                timeout_s=asking.timeout_s,
                retry=asking.retry,
                deadline=None if asking.deadline is None else asking.deadline + limit_s,
            )
            # A judge that always breaks its JSON costs twice its judgements, not three times.
            spare = judgements + len(frozen)
            asked = Judge(await stack.enter_async_context(caller), judge.model, spare_asks=spare)
            await asked.check_ready()
            model = make_deepeval_judge(asked)
        for metric in metrics:
            if model is not None or not metric.needs_judge:
                metric.build(model)
        client = await stack.enter_async_context(asking.client())
        await check_ready(client, asking.endpoint, Sampling(_MAX_TOKENS), chat=True)
        answers = await in_order(items, answer, workers=asking.concurrency)
        pairs = list(zip(items, answers, strict=True))
        outcome.graded = await in_order(pairs, grade, workers=asking.concurrency)
        outcome.gave_up = client.gave_up
        if client.gave_up is None:
            drawn = [
                (item, sampling_of(item)) for item in items[:probe]
            ]  # of the smallest ids: the same for every release
            outcome.alone = await grade_alone(asking, drawn, meant)
        if asked is not None:
            outcome.canary = await judge_labelled(frozen, model, workers=asking.concurrency)
            tick(len(frozen))
            outcome.forms = {"judge_form": asked.form, "judge_logprobs": asked.has_logprobs}
    return outcome


def sampling_of(item: Item) -> Sampling:
    """How an item is asked: greedily, with the length its metadata's `max_tokens` gives."""
    wanted = item.metadata.get("max_tokens")
    return Sampling(wanted if isinstance(wanted, int) and wanted > 0 else _MAX_TOKENS)


def _comparable(
    items: Sequence[Item],
    metrics: Sequence[MetricClass],
    judge: JudgeSettings | None,
    concurrency: int,
) -> str:
    """Everything but the release that shapes the scores. Whether the judge is still the same is told by its canary."""
    return hash_of(
        {
            "items": [[item.id, sampling_of(item).max_tokens] for item in items],
            "metrics": {metric.name: [metric.fingerprint, metric.datasets, metric.languages] for metric in metrics},
            "judge": judge.model if judge else None,
            "concurrency": concurrency,
            "deepeval": version("deepeval"),
        }
    )
