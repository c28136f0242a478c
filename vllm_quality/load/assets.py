"""One asset per load scenario: the release's speed, with the endpoint to itself."""

import logging
from collections.abc import Sequence
from functools import partial

import dagster as dg

from vllm_quality.load.measure import measure_scenario
from vllm_quality.load.scenario import played
from vllm_quality.measuring import MeasuringStep, build_measuring_step
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import read_target
from vllm_quality.settings import Settings


def build_load_steps(settings: Settings, after: Sequence[dg.AssetsDefinition]) -> list[MeasuringStep]:
    """A step for each scenario that evaluations play. They follow each other: one load at a time."""
    steps: list[MeasuringStep] = []
    for name in played(settings.config_file("scenarios.yaml"), settings.scenarios):
        description = f"The load scenario {name}: latency and throughput under it, every request kept."
        earlier = [*after, *(step.asset for step in steps)]
        measure = partial(_measure, name)
        steps.append(
            build_measuring_step(
                f"load/{name}", "load", description, earlier, measure, name=f"load_{name}", pool="load"
            )
        )
    return steps


def _measure(name: str, settings: Settings, folder: RunFolder, log: logging.Logger) -> Measurement:
    return measure_scenario(name, settings, read_target(folder), folder, log.info)
