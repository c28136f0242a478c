"""Throughput against latency, load by load: this release's curve among those of the releases it is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vllm_quality.load.output.charts import latency_axis, number_tick
from vllm_quality.report.charts import time_tick
from vllm_quality.report.data import ReportData
from vllm_quality.report.svg import Axis, Plot
from vllm_quality.report.units import human, human_change
from vllm_quality.results.measurement import Measurement

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 270, 62, 508, 36, 222
_FEWEST_STAGES = 2
_MOST_RUNS = 5
_LATENCIES = (("ttft_p99_s", "TTFT p99"), ("ttft_p50_s", "TTFT p50"), ("tpot_p50_s", "TPOT p50"))


@dataclass(frozen=True)
class Point:
    """One stage: its name, output tokens/s, and a latency in seconds."""

    stage: str
    tokens_per_s: float
    latency_s: float


@dataclass(frozen=True)
class Curve:
    """One release under a rising load."""

    tag: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class StageRow:
    """A stage in words: each figure now, before (the mean of the window), and the change."""

    stage: str
    figures: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Ladder:
    """A scenario of several stages: pictures with their captions, and the same as a table.

    against  tags of the earlier releases drawn, newest first
    """

    scenario: str
    against: tuple[str, ...]
    charts: tuple[tuple[str, str], ...]
    titles: tuple[str, ...]
    rows: tuple[StageRow, ...]


def ladders(data: ReportData) -> list[Ladder]:
    """The scenarios that were played at several loads, each with its curves."""
    found = []
    for measurement in data.measurements:
        stages = _stages(measurement)
        if len(stages) >= _FEWEST_STAGES:
            found.append(_ladder(data, measurement, stages))
    return found


def _stages(measurement: Measurement) -> list[str]:
    """Paths of the stages in the order played, such as "load/sweep/c8"."""
    ending = "/output_tokens_per_s"
    return [
        stage
        for metric in measurement.metrics
        if metric.endswith(ending)
        and any(f"{(stage := metric.removesuffix(ending))}/{name}" in measurement.metrics for name, _ in _LATENCIES)
    ]


def _ladder(data: ReportData, measurement: Measurement, stages: Sequence[str]) -> Ladder:
    scenario = measurement.step.partition("/")[2]
    alike = [run for run in data.history if run.run.step_hashes.get(measurement.step) == measurement.comparable]
    window = [run for run in alike if run.run.run_id in data.verdict.baseline_runs] or alike
    window = window[:_MOST_RUNS]
    known = [(name, title) for name, title in _LATENCIES if _curve("", measurement.metrics, stages, name).points]
    # A percentile of the tail says most; where a stage has too few requests for it, the median stands in.
    drawn = [each for each in known if each[0] != "ttft_p50_s" or "ttft_p99_s" not in dict(known)]
    names = ["output_tokens_per_s", *(name for name, _ in drawn)]
    charts = []
    for name, title in drawn:
        now = _curve(data.target.model_tag, measurement.metrics, stages, name)
        past = [_curve(run.run.model_tag, run.metrics, stages, name) for run in window]
        charts.append((title, curve_chart(now, past, f"{title} over output tokens per second of {scenario}")))
    return Ladder(
        scenario,
        tuple(dict.fromkeys(run.run.model_tag for run in window)),
        tuple(charts),
        ("output throughput", *(title for _, title in drawn)),
        tuple(_stage_row(stage, names, measurement.metrics, [run.metrics for run in window]) for stage in stages),
    )


def _curve(tag: str, metrics: Mapping[str, float], stages: Sequence[str], latency: str) -> Curve:
    points = [
        Point(stage.rpartition("/")[2], metrics[f"{stage}/output_tokens_per_s"], metrics[f"{stage}/{latency}"])
        for stage in stages
        if f"{stage}/output_tokens_per_s" in metrics and f"{stage}/{latency}" in metrics
    ]
    return Curve(tag, tuple(points))


def _stage_row(
    stage: str, names: Sequence[str], now: Mapping[str, float], window: Sequence[Mapping[str, float]]
) -> StageRow:
    figures = []
    for name in names:
        metric, unit = f"{stage}/{name}", "1/s" if name.endswith("per_s") else "s"
        before = [metrics[metric] for metrics in window if metric in metrics]
        mean, value = fmean(before) if before else None, now.get(metric)
        change = (value - mean) / mean if value is not None and mean else None
        figures.append((human(metric, unit, value), human(metric, unit, mean), human_change(change)))
    return StageRow(stage.rpartition("/")[2], tuple(figures))


def curve_chart(now: Curve, past: Sequence[Curve], label: str) -> str:
    """Latency over output tokens/s, a point per stage; earlier releases thin behind this one. Up and left is worse."""
    said = "; ".join(f"{p.stage}: {p.tokens_per_s:,.0f} tok/s at {time_tick(p.latency_s)}" for p in now.points)
    plot = Plot(_WIDTH, _HEIGHT, f"{label}. {now.tag}: {said}.")
    points = [point for curve in (now, *past) for point in curve.points]
    x = Axis(0, max((point.tokens_per_s for point in points), default=0.0) * 1.08 or 1.0, _LEFT, _RIGHT)
    y = latency_axis([point.latency_s for point in points], _BOTTOM, _TOP)
    plot.grid(x, y, number_tick, time_tick)
    for curve in past:
        plot.path(((x.at(point.tokens_per_s), y.at(point.latency_s)) for point in curve.points), "curve before")
        for point in curve.points:
            _node(plot, x, y, point, curve.tag, "node before", 2.5)
    plot.path(((x.at(point.tokens_per_s), y.at(point.latency_s)) for point in now.points), "curve accent")
    for point in now.points:
        _node(plot, x, y, point, now.tag, "node accent", 4)
    _names(plot, [(x.at(point.tokens_per_s), y.at(point.latency_s), point.stage) for point in now.points])
    entries = [("accent", now.tag if len(now.tag) <= 24 else "this release")]
    if past:
        entries.append(("before", f"{len(past)} earlier run{'s' if len(past) != 1 else ''}"))
    plot.legend(_LEFT, 14, entries)
    plot.text((_LEFT + _RIGHT) / 2, _HEIGHT - 8, "output tokens/s", "tick", "middle")
    return plot.render()


def _node(plot: Plot, x: Axis, y: Axis, point: Point, tag: str, css: str, radius: float) -> None:
    said = f"{tag}, {point.stage}: {point.tokens_per_s:,.0f} tok/s, {time_tick(point.latency_s)}"
    plot.circle((x.at(point.tokens_per_s), y.at(point.latency_s)), radius, css, said)


def _names(plot: Plot, spots: Sequence[tuple[float, float, str]]) -> None:
    """The stages' names left above their points, as many as do not run into each other; the last one first."""
    placed: list[tuple[float, float, float]] = []
    for x, y, text in reversed(spots):
        right = max(x - 6, _LEFT + 6.4 * len(text) + 4)
        left = right - 6.4 * len(text)
        if all(abs(y - height) > 14 or right < start or left > end for start, end, height in placed):
            plot.text(right, y - 7, text, "tick halo", "end")
            placed.append((left, right, y))
