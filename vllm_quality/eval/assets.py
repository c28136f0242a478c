"""One asset per benchmark suite and per eval, and one for the deepeval metrics over the data snapshot: the release's quality."""

import logging
from collections.abc import Collection, Sequence
from functools import partial

import dagster as dg

from vllm_quality.datasets.overlap import overlapping_documents, overlapping_items
from vllm_quality.datasets.pin import pinned_snapshot, require_snapshot
from vllm_quality.datasets.snapshot import load_snapshot
from vllm_quality.eval.canary_run import canary_answers
from vllm_quality.eval.deepeval_suite import run_deepeval
from vllm_quality.eval.evalchemy import run_evalchemy
from vllm_quality.eval.evalchemy_checkout import find_checkout
from vllm_quality.eval.evals.catalog import CatalogEntry, chosen_evals
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.eval.evals.run import run_eval
from vllm_quality.eval.judge import judge_settings
from vllm_quality.eval.lm_overlap import no_overlap
from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite, load_suites
from vllm_quality.eval.task_data import open_task_data
from vllm_quality.measuring import MeasuringStep, build_measuring_step
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.metadata import progress_log
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import read_target
from vllm_quality.settings import Settings


def build_suite_steps(settings: Settings, after: Sequence[dg.AssetsDefinition]) -> list[MeasuringStep]:
    """A step for each entry of `tasks` in evalchemy.json."""
    return [_suite_step(suite, after) for suite in load_suites(settings.config_file("evalchemy.json"))]


def _suite_step(suite: Suite, after: Sequence[dg.AssetsDefinition]) -> MeasuringStep:
    description = f"The benchmark {suite.task}, through {suite.runner}, every item kept."
    measure = partial(_run_suite, suite)
    return build_measuring_step(suite.step, "eval", description, after, measure, name=suite.asset_name)


def _run_suite(suite: Suite, settings: Settings, folder: RunFolder, log: logging.Logger) -> Measurement:
    """The suite by the runner that it names."""
    target, snapshot, work_folder = read_target(folder), pinned_snapshot(folder), settings.home / "work"
    if suite.runner == "evalchemy":
        outcome = run_evalchemy(
            suite,
            target.endpoint,
            settings.endpoint_key,
            checkout=find_checkout(settings),
            profile=target.profile,
            concurrency=settings.eval_concurrency,
            timeout_s=settings.request_timeout_s,
            work_folder=work_folder,
            judge=judge_settings(settings),
        )
        return _stored(folder, outcome)
    outcome = run_suite(
        suite,
        target.endpoint,
        settings.endpoint_key,
        profile=target.profile,
        concurrency=settings.eval_concurrency,
        timeout_s=settings.request_timeout_s,
        work_folder=work_folder,
        data=open_task_data(settings),
        overlap=partial(overlapping_documents, folder.objects, snapshot) if snapshot else no_overlap,
        on_progress=progress_log(log),
    )
    return _stored(folder, outcome)


def build_eval_steps(
    settings: Settings, after: Sequence[dg.AssetsDefinition], taken: Collection[str]
) -> list[MeasuringStep]:
    """A step for each eval that is part of an evaluation. `taken`: the steps that others have. Raises `EvalError`."""
    entries = chosen_evals(settings)
    for entry in entries:
        if entry.step in taken:
            raise EvalError(f"{entry.path} has the name of a suite in evalchemy.json; rename the file.")
    return [_eval_step(entry, after) for entry in entries]


def _eval_step(entry: CatalogEntry, after: Sequence[dg.AssetsDefinition]) -> MeasuringStep:
    description = f"The eval {entry.path.name}: its rows asked of the release, every answer graded."
    return build_measuring_step(
        entry.step, "eval", description, after, partial(_run_eval, entry), name=entry.asset_name
    )


def _run_eval(entry: CatalogEntry, settings: Settings, folder: RunFolder, log: logging.Logger) -> Measurement:
    target = read_target(folder)
    outcome = run_eval(
        entry.path,
        None,
        target.endpoint,
        settings.endpoint_key,
        judge=judge_settings(settings),
        embedding_model=settings.embedding_model,
        profile=target.profile,
        concurrency=settings.eval_concurrency,
        timeout_s=settings.request_timeout_s,
        frozen=canary_answers(target.profile),
        on_progress=progress_log(log),
    )
    return _stored(folder, outcome)


def build_deepeval_step(after: Sequence[dg.AssetsDefinition]) -> MeasuringStep:
    """The step of deepeval's metrics over the data snapshot."""
    description = "The data snapshot asked of the release, every answer measured by each metric of the registry."
    return build_measuring_step("eval/deepeval", "eval", description, after, _run_deepeval, name="eval_deepeval")


def _run_deepeval(settings: Settings, folder: RunFolder, log: logging.Logger) -> Measurement:
    target, snapshot = read_target(folder), require_snapshot(folder)
    outcome = run_deepeval(
        load_snapshot(folder.objects, snapshot),
        target.endpoint,
        settings.endpoint_key,
        judge=judge_settings(settings),
        metrics_dir=settings.metrics_dir,
        config=settings.config_file("deepeval.json"),
        overlapping=overlapping_items(folder.objects, snapshot),
        profile=target.profile,
        concurrency=settings.eval_concurrency,
        timeout_s=settings.request_timeout_s,
        work_folder=settings.home / "work",
        on_progress=progress_log(log),
    )
    return _stored(folder, outcome)


def _stored(folder: RunFolder, outcome: SuiteResult) -> Measurement:
    """A suite's frames in the run's folder, and the measurement that names them."""
    files = {
        "samples": folder.put_frame(f"{outcome.step}/samples", outcome.samples),
        "texts": folder.put_frame(f"{outcome.step}/texts", outcome.texts),
    }
    return Measurement(outcome.step, outcome.metrics, outcome.comparable, outcome.problem, files, outcome.details)
