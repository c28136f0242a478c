"""The data snapshot asked of a release, every answer measured by every metric that is meant for it."""

import time
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import Asking, Progress
from vllm_quality.eval.canary_run import canary_answers, canary_metrics, canary_sample, canary_text
from vllm_quality.eval.client import RetryPolicy, run_async
from vllm_quality.eval.deepeval_alone import alone_metrics, alone_samples, alone_text
from vllm_quality.eval.deepeval_measure import NO_JUDGE
from vllm_quality.eval.deepeval_results import (
    STEP,
    collect_metrics,
    overlap_metrics,
    problem_of,
    sample_rows,
    signal_samples,
    text_row,
)
from vllm_quality.eval.deepeval_run import DeepevalRun, Done, Work, sampling_of
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import Item, read_items
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.labelled import SUITE as CANARY
from vllm_quality.eval.metric_config import configure_metrics
from vllm_quality.eval.metric_registry import MetricClass, load_metrics
from vllm_quality.eval.result import SuiteResult, hash_of, not_judged, samples_frame, texts_frame
from vllm_quality.eval.suites import DEFAULT_PROBES, DEFAULT_TIME_LIMITS_S
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

ITEMS_PER_DATASET: Mapping[Profile, int | None] = {"smoke": 20, "standard": 200, "full": None}


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
    config: Path | None = None,
    overlapping: Collection[str] = (),
    time_limit_s: float | None = None,
    retry: RetryPolicy | None = None,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask the endpoint every item once over chat, and measure the answers.

    judge        None: judged metrics are reported as "no judge", without scores
    metrics_dir  folder of further metrics
    work_folder  where deepeval may keep files
    config       deepeval.json; None for the metrics of the folders alone
    overlapping  ids of the items that another data set holds as well
    time_limit_s seconds that asking may take, and again that judging may; None for the profile's own
    on_progress  called with what is done and what is to do, in items: each is asked, then measured
    Raises `MetricRegistryError`, `NothingToAskError` and `EndpointError` before anything is measured.
    """
    prepare_deepeval(work_folder)
    metrics = load_metrics([metrics_dir] if metrics_dir else [])
    metrics = configure_metrics(metrics, config) if config else metrics
    items = _items(snapshot, endpoint, profile)
    started, limit_s = time.monotonic(), time_limit_s or DEFAULT_TIME_LIMITS_S[profile]
    asking = Asking(
        endpoint, api_key, concurrency, timeout_s, retry or RetryPolicy(), on_progress, deadline=started + limit_s
    )
    probe = DEFAULT_PROBES[profile] if concurrency > 1 else 0  # of the smallest ids: the same for every release
    work = Work(items, metrics, probe, canary_answers(profile))
    done = run_async(DeepevalRun(work, asking, judge, limit_s).run)
    found = _metrics(work, done, overlapping)
    return SuiteResult(
        step=STEP,
        metrics=found,
        samples=_samples(done),
        texts=_texts(done),
        comparable=_comparable(items, metrics, judge, concurrency),
        problem=problem_of(metrics, done.graded, done.gave_up, limit_s),
        details={
            "profile": profile,
            **_details(done, metrics, judge),
            "time_limit_s": limit_s,
            "not judged": not_judged(found),
            "duration_s": round(time.monotonic() - started, 3),
        },
    )


def _items(snapshot: pl.DataFrame, endpoint: Endpoint, profile: Profile) -> list[Item]:
    """The items to ask. Raises where there are none, or the endpoint cannot be asked them."""
    items = read_items(snapshot, ITEMS_PER_DATASET[profile])
    if not items:
        raise NothingToAskError("The data snapshot has no items; register a data set with at least one row.")
    if "chat" not in endpoint.capabilities:
        raise EndpointError(
            f"{endpoint.base_url} offers no chat, which the data snapshot is asked through; serve a chat model."
        )
    return items


def _metrics(work: Work, done: Done, overlapping: Collection[str]) -> dict[str, float]:
    return (
        collect_metrics(work.metrics, done.graded)
        | overlap_metrics(work.metrics, done.graded, overlapping)
        | canary_metrics(STEP, done.canary)
        | alone_metrics(done.graded, done.alone)
    )


def _samples(done: Done) -> pl.DataFrame:
    rows = [row for entry in done.graded for row in (*sample_rows(entry), *signal_samples(entry))]
    rows += [canary_sample(CANARY, entry) for entry in done.canary]
    return samples_frame([*rows, *(row for entry in done.alone for row in alone_samples(entry))])


def _texts(done: Done) -> pl.DataFrame:
    canary = [canary_text(CANARY, entry) for entry in done.canary]
    return texts_frame([*map(text_row, done.graded), *canary, *map(alone_text, done.alone)])


def _details(done: Done, metrics: Sequence[MetricClass], judge: JudgeSettings | None) -> dict[str, Any]:
    canary = f"{len(done.canary)} answers" if done.canary else NO_JUDGE if judge is None else "nothing was judged"
    return {
        "deepeval": version("deepeval"),
        "judge": judge.model if judge else NO_JUDGE,
        "no judge": [metric.name for metric in metrics if metric.needs_judge and judge is None],
        **done.forms,
        "canary": canary,
        "null_contents": sum(entry.answer.error == "the answer's content is null" for entry in done.graded),
        "not_reached": sum(not entry.answer.reached for entry in done.graded),
    }


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
