"""One asset per benchmark suite, and one for the deepeval metrics over the data snapshot: the release's quality."""

from collections.abc import Sequence

import dagster as dg

from vllm_quality.datasets.pin import require_snapshot
from vllm_quality.datasets.snapshot import load_snapshot
from vllm_quality.deployment import step_tags
from vllm_quality.eval.deepeval_suite import run_deepeval
from vllm_quality.eval.judge import judge_settings
from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite, load_suites
from vllm_quality.partitions import model_tags
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.metadata import measurement_metadata, progress_log
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import read_target
from vllm_quality.settings import Settings, load_settings


def build_suite_assets(settings: Settings, after: Sequence[dg.AssetsDefinition]) -> dict[str, dg.AssetsDefinition]:
    """Step -> asset for each entry of `tasks` in evalchemy.json."""
    suites = load_suites(settings.config_file("evalchemy.json"))
    return {suite.step: _build_suite_asset(suite, after) for suite in suites}


def _build_suite_asset(suite: Suite, after: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    @dg.asset(
        name=suite.asset_name,
        partitions_def=model_tags,
        group_name="eval",
        kinds={"vllm"},
        deps=list(after),
        op_tags=step_tags("eval"),
        description=f"The benchmark {suite.task}, through lm-eval, every item kept.",
    )
    def suite_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        measurement = folder.get_measurement(suite.step)
        if measurement is None:
            settings, target = load_settings(), read_target(folder)
            outcome = run_suite(
                suite,
                target.endpoint,
                settings.endpoint_key,
                profile=target.profile,
                concurrency=settings.eval_concurrency,
                timeout_s=settings.request_timeout_s,
                work_folder=settings.home / "work",
                on_progress=progress_log(context.log),
            )
            measurement = _keep(folder, outcome)
        return dg.MaterializeResult(metadata=measurement_metadata(measurement, results.objects()))

    return suite_asset


def build_deepeval_asset(after: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """The asset of deepeval's metrics over the data snapshot."""

    @dg.asset(partitions_def=model_tags, group_name="eval", kinds={"vllm"}, deps=list(after), op_tags=step_tags("eval"))
    def eval_deepeval(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        """The data snapshot asked of the release, every answer measured by each metric of the registry."""
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        measurement = folder.get_measurement("eval/deepeval")
        if measurement is None:
            settings, target = load_settings(), read_target(folder)
            outcome = run_deepeval(
                load_snapshot(folder.objects, require_snapshot(folder)),
                target.endpoint,
                settings.endpoint_key,
                judge=judge_settings(settings),
                metrics_dir=settings.metrics_dir,
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
