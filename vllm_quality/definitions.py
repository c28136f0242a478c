"""The front door: everything Dagster knows about this project, in one place."""

import dagster as dg

from vllm_quality.alerts.sensors import announce_retag, run_finished_sensors
from vllm_quality.datasets.assets import evaluation_snapshot
from vllm_quality.datasets.checks import build_snapshot_checks
from vllm_quality.datasets.traffic.assets import service_queries
from vllm_quality.datasets.traffic.checks import traffic_checks
from vllm_quality.deployment import build_executor
from vllm_quality.eval.assets import build_deepeval_step, build_eval_steps, build_suite_steps
from vllm_quality.jobs import build_queries_schedule, evaluate_release, snapshot_service_queries
from vllm_quality.load.assets import build_load_steps
from vllm_quality.releases.resources import RegistryResource
from vllm_quality.releases.sensors import build_release_sensor
from vllm_quality.report.assets import build_report_asset
from vllm_quality.results.assets import build_results_asset
from vllm_quality.results.resources import ResultsResource
from vllm_quality.serving.assets import serving_endpoint
from vllm_quality.settings import load_settings
from vllm_quality.verdict.assets import build_confirmation_asset
from vllm_quality.verdict.checks import build_checks

settings = load_settings()

# Nothing else touches the endpoint while it is under load: the suites wait for the load scenarios. And the snapshot says
# which of a benchmark's items another data set holds.
load = build_load_steps(settings, after=[serving_endpoint])
loaded = [step.asset for step in load]
suites = build_suite_steps(settings, after=[evaluation_snapshot, *loaded])
evals = build_eval_steps(settings, after=loaded, taken={suite.step for suite in suites})
deepeval = build_deepeval_step(after=[evaluation_snapshot, *loaded])

measuring = [*load, *suites, *evals, deepeval]
steps, measured = [each.step for each in measuring], [each.asset for each in measuring]
confirmation = build_confirmation_asset(measuring, after=[evaluation_snapshot, *measured])
results = build_results_asset(steps, after=confirmation)
release_report = build_report_asset(steps, results)

defs = dg.Definitions(
    assets=[service_queries, serving_endpoint, evaluation_snapshot, *measured, confirmation, results, release_report],
    asset_checks=[build_snapshot_checks(evaluation_snapshot), build_checks(results, steps), *traffic_checks],
    jobs=[evaluate_release, snapshot_service_queries],
    schedules=[build_queries_schedule(settings)],
    sensors=[build_release_sensor(evaluate_release, announce_retag), *run_finished_sensors],
    resources={"results": ResultsResource(), "registry": RegistryResource()},
    executor=build_executor(settings),
)
