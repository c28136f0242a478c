"""The charts of a scenario's stages: from its requests to SVG."""

from dataclasses import dataclass

import polars as pl

from vllm_quality.report.charts import latency_distribution, latency_over_time

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
    # A request's clocks run from when it was due; where nothing was due (closed loop), from its sending.
    first, last, tokens = pl.col("first_token_s"), pl.col("last_token_s"), pl.col("output_tokens").cast(pl.Float64)
    requests = stage.with_columns(origin=pl.coalesce("due_s", "sent_s")).drop_nulls("origin").sort("origin")
    clocks = requests.filter(pl.col("outcome") == "ok").select(
        "origin",
        ttft=first - pl.col("origin"),
        e2e=pl.coalesce(last, "end_s") - pl.col("origin"),
        tpot=pl.when((tokens > 1) & (last > first)).then((last - first) / (tokens - 1)),
    )
    failed = requests.filter(pl.col("outcome") != "ok")["origin"]
    place = f"{scenario}/{name}"
    return StageCharts(
        scenario,
        name,
        latency_over_time(
            list(clocks.select("origin", "ttft").drop_nulls().iter_rows()),
            failed.to_list(),
            f"Time to first token of each request over the time of {place}",
        ),
        latency_distribution(
            [(title, clocks[name].drop_nulls().to_list()) for name, title in _CURVES],
            f"Cumulative distribution of latencies of {place}",
        ),
    )


_CURVES = (("tpot", "per output token"), ("ttft", "first token"), ("e2e", "whole request"))
