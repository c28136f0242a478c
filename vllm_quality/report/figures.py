"""Which charts a report has, and what goes into each: from frames, measurements and history to SVG."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from vllm_quality.report.charts import Bar, Past, history_line, latency_distribution, latency_over_time, score_bars
from vllm_quality.report.data import ReportData
from vllm_quality.report.units import metric_label, metric_place, metric_title, scale_for
from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.types import Finding

_MOST_STAGES = 6
_MOST_BARS = 40
_MOST_HISTORIES = 9
_MOST_PAST = 12
_HEADLINES = ("ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "output_tokens_per_s")


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


def quality_chart(measurements: Sequence[Measurement], findings: Mapping[str, Finding]) -> str | None:
    """Bars of all scores between 0 and 1; None without any."""
    bars = []
    for measurement in measurements:
        for metric, value in measurement.metrics.items():
            definition = definition_of(metric)
            is_score = definition is not None and definition.area == "quality" and definition.higher_is_better
            if is_score and 0 <= value <= 1:
                finding = findings.get(metric)
                baseline = finding.baseline if finding is not None else None
                worse = finding is not None and finding.status == "worse"
                stderr = measurement.metrics.get(f"{metric}_stderr")
                bars.append(Bar(metric_label(metric), value, stderr, baseline, worse))
    return score_bars(bars[:_MOST_BARS], "Scores of this release beside their baselines") if bars else None


def history_charts(data: ReportData) -> list[str]:
    """The headline metrics over the last releases: first what is worse, then scores and speed."""
    if not data.history:
        return []
    past = list(reversed(data.history[:_MOST_PAST]))
    findings = {finding.metric: finding for finding in data.verdict.findings}
    charts = []
    for metric, measurement in list(_headlines(data))[:_MOST_HISTORIES]:
        definition, finding, value = definition_of(metric), findings.get(metric), measurement.metrics[metric]
        earlier = [
            Past(run.run.model_tag, run.metrics[metric], _is_alike(run.run.step_hashes, measurement))
            for run in past
            if metric in run.metrics
        ]
        limit_at = _limit_at(finding) if finding is not None else None
        scale = scale_for(metric, definition.unit if definition else "", [value, *(point.value for point in earlier)])
        now = Past(data.target.model_tag, value, True)
        worse = finding is not None and finding.status == "worse"
        charts.append(history_line(metric_title(metric), metric_place(metric), earlier, now, scale, limit_at, worse))
    return charts


def _is_alike(step_hashes: Mapping[str, str], measurement: Measurement) -> bool:
    return step_hashes.get(measurement.step) == measurement.comparable


def _headlines(data: ReportData) -> Iterator[tuple[str, Measurement]]:
    of_metric = {metric: measurement for measurement in data.measurements for metric in measurement.metrics}
    worse = [finding.metric for finding in data.verdict.worst if finding.status == "worse"]
    scores = [_first_score(measurement) for measurement in data.measurements]
    speed = [metric for metric in of_metric if metric.rpartition("/")[2] in _HEADLINES]
    for metric in dict.fromkeys([*worse, *filter(None, scores), *speed]):
        if metric in of_metric:
            yield metric, of_metric[metric]


def _first_score(measurement: Measurement) -> str | None:
    for metric in measurement.metrics:
        definition = definition_of(metric)
        if definition is not None and definition.area == "quality" and definition.higher_is_better is not None:
            return metric
    return None


def _limit_at(finding: Finding) -> float | None:
    if finding.baseline is None or finding.limit is None:
        return None
    bad = -1 if finding.higher_is_better else 1
    return finding.baseline + bad * finding.limit * abs(finding.baseline)
