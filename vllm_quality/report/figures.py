"""The charts of a scenario's stages: from its requests to SVG."""

from dataclasses import dataclass

import polars as pl

from vllm_quality.report.charts import latency_distribution, latency_over_time
from vllm_quality.verdict.load_evidence import clocks

_MOST_STAGES = 6


@dataclass(frozen=True)
class StageCharts:
    """The two pictures of one stage of one scenario."""

    scenario: str
    stage: str
    over_time: str
    distribution: str


def stage_charts(requests: pl.DataFrame) -> list[StageCharts]:
    """Pictures of the first stages in a requests frame."""
    stages = requests.partition_by("scenario", "stage", maintain_order=True)
    return [_of_stage(stage) for stage in stages[:_MOST_STAGES] if not stage.is_empty()]


def _of_stage(stage: pl.DataFrame) -> StageCharts:
    scenario, name = stage.row(0, named=True)["scenario"], stage.row(0, named=True)["stage"]
    requests = stage.with_columns(origin=pl.coalesce("due_s", "sent_s")).drop_nulls("origin").sort("origin")
    measured = clocks(requests)
    failed = requests.filter(pl.col("outcome") != "ok")["origin"]
    place = f"{scenario}/{name}"
    return StageCharts(
        scenario,
        name,
        latency_over_time(
            list(measured.select("origin", "ttft").drop_nulls().iter_rows()),
            failed.to_list(),
            f"Time to first token of each request over the time of {place}",
        ),
        latency_distribution(
            [(title, measured[name].drop_nulls().to_list()) for name, title in _CURVES],
            f"Cumulative distribution of latencies of {place}",
        ),
    )


_CURVES = (("tpot", "per output token"), ("ttft", "first token"), ("e2e", "whole request"))
