"""One asset per benchmark suite and per eval, and one for the deepeval metrics over the data snapshot: the release's quality."""

from collections.abc import Callable, Collection, Sequence
from functools import partial

import dagster as dg

from vllm_quality.datasets.overlap import overlapping_documents, overlapping_items
from vllm_quality.datasets.pin import pinned_snapshot, require_snapshot
from vllm_quality.datasets.snapshot import load_snapshot
from vllm_quality.deployment import step_tags
from vllm_quality.eval.answers import Progress
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
from vllm_quality.partitions import model_tags
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.metadata import measurement_metadata, progress_log
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import read_target
from vllm_quality.settings import Settings, load_settings

Measure = Callable[[Settings, RunFolder, Progress], SuiteResult]


def build_suite_assets(settings: Settings, after: Sequence[dg.AssetsDefinition]) -> dict[str, dg.AssetsDefinition]:
    """Step -> asset for each entry of `tasks` in evalchemy.json."""
    suites = load_suites(settings.config_file("evalchemy.json"))
    return {suite.step: _build_suite_asset(suite, after) for suite in suites}


def _build_suite_asset(suite: Suite, after: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    description = f"The benchmark {suite.task}, through {suite.runner}, every item kept."
    return _build_asset(suite.asset_name, suite.step, description, after, partial(_run_suite, suite))


def _build_asset(
    name: str, step: str, description: str, after: Sequence[dg.AssetsDefinition], measure: Measure
) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        partitions_def=model_tags,
        group_name="eval",
        kinds={"vllm"},
        deps=list(after),
        op_tags=step_tags("eval"),
        description=description,
    )
    def eval_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        measurement = folder.get_measurement(step)
        if measurement is None:
            outcome = measure(load_settings(), folder, progress_log(context.log))
            measurement = _keep(folder, outcome)
        return dg.MaterializeResult(metadata=measurement_metadata(measurement, results.objects()))

    return eval_asset


def _run_suite(suite: Suite, settings: Settings, folder: RunFolder, on_progress: Progress) -> SuiteResult:
    """The suite by the runner that it names."""
    target, snapshot, work_folder = read_target(folder), pinned_snapshot(folder), settings.home / "work"
    if suite.runner == "evalchemy":
        return run_evalchemy(
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
    return run_suite(
        suite,
        target.endpoint,
        settings.endpoint_key,
        profile=target.profile,
        concurrency=settings.eval_concurrency,
        timeout_s=settings.request_timeout_s,
        work_folder=work_folder,
        data=open_task_data(settings),
        overlap=partial(overlapping_documents, folder.objects, snapshot) if snapshot else no_overlap,
        on_progress=on_progress,
    )


def build_eval_assets(
    settings: Settings, after: Sequence[dg.AssetsDefinition], taken: Collection[str]
) -> dict[str, dg.AssetsDefinition]:
    """Step -> asset for each eval that is part of an evaluation. `taken`: the steps that others have. Raises `EvalError`."""
    entries = chosen_evals(settings)
    for entry in entries:
        if entry.step in taken:
            raise EvalError(f"{entry.path} has the name of a suite in evalchemy.json; rename the file.")
    return {entry.step: _build_eval_asset(entry, after) for entry in entries}


def _build_eval_asset(entry: CatalogEntry, after: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    description = f"The eval {entry.path.name}: its rows asked of the release, every answer graded."
    return _build_asset(entry.asset_name, entry.step, description, after, partial(_run_eval, entry))


def _run_eval(entry: CatalogEntry, settings: Settings, folder: RunFolder, on_progress: Progress) -> SuiteResult:
    target = read_target(folder)
    return run_eval(
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
        on_progress=on_progress,
    )


def build_deepeval_asset(after: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """The asset of deepeval's metrics over the data snapshot."""

    @dg.asset(partitions_def=model_tags, group_name="eval", kinds={"vllm"}, deps=list(after), op_tags=step_tags("eval"))
    def eval_deepeval(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        """The data snapshot asked of the release, every answer measured by each metric of the registry."""
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        measurement = folder.get_measurement("eval/deepeval")
        if measurement is None:
            settings, target, snapshot = load_settings(), read_target(folder), require_snapshot(folder)
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
                on_progress=progress_log(context.log),
            )
            measurement = _keep(folder, outcome)
        return dg.MaterializeResult(metadata=measurement_metadata(measurement, results.objects()))

    return eval_deepeval


def _keep(folder: RunFolder, outcome: SuiteResult) -> Measurement:
    """Store a suite's frames, then its measurement, which says that all of it is there."""
    files = {
        "samples": folder.put_frame(f"{outcome.step}/samples", outcome.samples),
        "texts": folder.put_frame(f"{outcome.step}/texts", outcome.texts),
    }
    return folder.put_measurement(
        Measurement(outcome.step, outcome.metrics, outcome.comparable, outcome.problem, files, outcome.details)
    )
