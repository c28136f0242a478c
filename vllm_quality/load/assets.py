"""One asset per load scenario: the release's speed, with the endpoint to itself."""

from collections.abc import Sequence

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.load.measure import measure_scenario
from vllm_quality.load.scenario import played
from vllm_quality.partitions import model_tags
from vllm_quality.results.metadata import measurement_metadata
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.serving.target import read_target
from vllm_quality.settings import Settings, load_settings


def build_load_assets(settings: Settings, after: Sequence[dg.AssetsDefinition]) -> dict[str, dg.AssetsDefinition]:
    """Step -> asset for each scenario that evaluations play. They follow each other: one load at a time."""
    assets: dict[str, dg.AssetsDefinition] = {}
    for name in played(settings.config_file("scenarios.yaml"), settings.scenarios):
        assets[f"load/{name}"] = _build_load_asset(name, [*after, *assets.values()])
    return assets


def _build_load_asset(name: str, after: Sequence[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"load_{name}",
        partitions_def=model_tags,
        group_name="load",
        kinds={"vllm"},
        deps=list(after),
        pool="load",
        op_tags=step_tags("load"),
        description=f"The load scenario {name}: latency and throughput under it, every request kept.",
    )
    def load_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        measurement = folder.get_measurement(f"load/{name}")
        if measurement is None:
            measurement = measure_scenario(name, load_settings(), read_target(folder), folder, context.log.info)
        return dg.MaterializeResult(metadata=measurement_metadata(measurement, results.objects()))

    return load_asset
