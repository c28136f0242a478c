"""The figures of a run that become rows of `results`."""

from collections.abc import Sequence

from vllm_quality.load.figures.metrics import stage_metrics
from vllm_quality.load.result import Capacity, Plateau, StageResult


def result_metrics(
    step: str, stages: Sequence[StageResult], plateau: Plateau | None, capacity: Capacity | None
) -> dict[str, float]:
    """`load/<scenario>/<stage>/<name>` -> value. The probes of a capacity search are no stages: each run has others.

    A plateau that was not reached has no row, nor a capacity that was not found: what was measured instead is a lower
    bound, which says nothing when it differs.
    """
    metrics: dict[str, float] = {}
    for stage in stages:
        if not stage.probe:
            figures = stage_metrics(stage.whole, stage.steady)
            metrics |= {f"{step}/{stage.name}/{name}": value for name, value in figures.items()}
    if plateau is not None and plateau.reached:
        metrics[f"{step}/plateau/requests_per_s"] = plateau.requests_per_s
        metrics[f"{step}/plateau/output_tokens_per_s"] = plateau.output_tokens_per_s
    if capacity is not None and capacity.rate is not None and capacity.refused_rate is not None:
        metrics[f"{step}/capacity/rate_per_s"] = capacity.rate
    return metrics
