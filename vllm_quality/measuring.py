"""What every measuring step is to Dagster: an asset that measures once in an evaluation, and how to measure once more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.metadata import measurement_metadata
from vllm_quality.results.repetition import Measure
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.settings import load_settings


@dataclass(frozen=True)
class MeasuringStep:
    """A step of an evaluation, such as "eval/gsm8k"."""

    step: str
    asset: dg.AssetsDefinition
    measure: Measure


def build_measuring_step(
    step: str,
    group: Literal["load", "eval"],
    description: str,
    after: Sequence[dg.AssetsDefinition],
    measure: Measure,
    *,
    name: str,
    pool: str | None = None,
) -> MeasuringStep:
    """The step with its asset `name`. What an earlier run of the same evaluation measured is not measured again."""

    @dg.asset(
        name=name,
        partitions_def=model_tags,
        group_name=group,
        kinds={"vllm"},
        deps=list(after),
        pool=pool,
        op_tags=step_tags(group),
        description=description,
    )
    def measuring_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        measurement = folder.get_measurement(step)
        if measurement is None:
            measurement = folder.put_measurement(measure(load_settings(), folder, context.log))
        return dg.MaterializeResult(metadata=measurement_metadata(measurement, results.objects()))

    return MeasuringStep(step, measuring_asset, measure)
