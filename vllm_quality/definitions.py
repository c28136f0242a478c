"""The front door: everything Dagster knows about this project, in one place."""

import dagster as dg

from vllm_quality.alerts.sensors import announce_retag, run_finished_sensors
from vllm_quality.datasets.assets import evaluation_snapshot
from vllm_quality.datasets.checks import build_snapshot_checks
from vllm_quality.datasets.traffic.assets import service_queries
from vllm_quality.datasets.traffic.checks import traffic_checks
from vllm_quality.deployment import build_executor
from vllm_quality.eval.assets import build_deepeval_asset, build_eval_assets, build_suite_assets
from vllm_quality.jobs import build_queries_schedule, evaluate_release, snapshot_service_queries
from vllm_quality.load.assets import build_load_assets
from vllm_quality.releases.resources import RegistryResource
from vllm_quality.releases.sensors import build_release_sensor
from vllm_quality.report.assets import build_report_asset
from vllm_quality.results.assets import build_results_asset
from vllm_quality.results.resources import ResultsResource
from vllm_quality.serving.assets import serving_endpoint
from vllm_quality.settings import load_settings
from vllm_quality.verdict.checks import build_checks

settings = load_settings()

# Nothing else touches the endpoint while it is under load: the suites wait for the load scenarios. And the snapshot says
# which of a benchmark's items another data set holds.
load_assets = build_load_assets(settings, after=[serving_endpoint])
suite_assets = build_suite_assets(settings, after=[evaluation_snapshot, *load_assets.values()])
eval_assets = build_eval_assets(settings, after=list(load_assets.values()), taken=suite_assets)
deepeval = build_deepeval_asset(after=[evaluation_snapshot, *load_assets.values()])

measured = {**load_assets, **suite_assets, **eval_assets, "eval/deepeval": deepeval}
results = build_results_asset(list(measured), [evaluation_snapshot, *measured.values()])
release_report = build_report_asset(list(measured), results)

defs = dg.Definitions(
    assets=[service_queries, serving_endpoint, evaluation_snapshot, *measured.values(), results, release_report],
    asset_checks=[build_snapshot_checks(evaluation_snapshot), build_checks(results, list(measured)), *traffic_checks],
    jobs=[evaluate_release, snapshot_service_queries],
    schedules=[build_queries_schedule(settings)],
    sensors=[build_release_sensor(evaluate_release, announce_retag), *run_finished_sensors],
    resources={"results": ResultsResource(), "registry": RegistryResource()},
    executor=build_executor(settings),
)
