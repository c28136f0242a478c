"""The headline metrics over the last releases, each with what was said of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vllm_quality.report.comparison import in_order
from vllm_quality.report.data import ReportData
from vllm_quality.report.svg import Axis, Plot, Point
from vllm_quality.report.units import NONE, Scale, metric_place, metric_title, scale_for, shortened
from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.metrics import definition_of, is_signal
from vllm_quality.verdict.types import Finding

_MOST_CHARTS = 9
_MOST_PAST = 12
_HEADLINES = ("ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "output_tokens_per_s")


@dataclass(frozen=True)
class Past:
    """One release in a metric's history.

    alike    whether it was measured under the same conditions as this release
    verdict  on the whole of that release; "" where there is none
    """

    tag: str
    value: float
    alike: bool
    verdict: str


@dataclass(frozen=True)
class History:
    """Charts, and the same as a table: a row per release (tag, verdict, values), oldest first."""

    charts: Sequence[str]
    titles: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]


def history(data: ReportData) -> History | None:
    """The last releases of what is worse, of scores and of speed; None without an earlier run."""
    if not data.history:
        return None
    past = list(reversed(data.history[:_MOST_PAST]))
    findings = {finding.metric: finding for finding in data.verdict.findings}
    charts: list[str] = []
    columns: list[tuple[str, Mapping[str, float], Scale]] = []
    for metric, measurement in list(_headlines(data))[:_MOST_CHARTS]:
        definition, finding, value = definition_of(metric), findings.get(metric), measurement.metrics[metric]
        values = {run.run.run_id: run.metrics[metric] for run in past if metric in run.metrics}
        earlier = [
            Past(run.run.model_tag, run.metrics[metric], _is_alike(run.run.step_hashes, measurement), run.run.verdict)
            for run in past
            if metric in run.metrics
        ]
        scale = scale_for(metric, definition.unit if definition else "", [value, *values.values()])
        now = Past(data.target.model_tag, value, True, finding.status if finding is not None else "")
        line = history_line(metric, earlier, now, scale, _worse_from(finding) if finding is not None else None)
        charts.append(line)
        columns.append((f"{metric_title(metric)}, {metric_place(metric)}", values | {"": value}, scale))
    runs = [(run.run.model_tag, run.run.verdict, run.run.run_id) for run in past]
    runs.append((data.target.model_tag, data.verdict.status, ""))
    rows = [
        (tag, verdict.replace("_", " ") or NONE, [scale.text(values.get(run_id)) for _, values, scale in columns])
        for tag, verdict, run_id in runs
    ]
    return History(charts, [title for title, _, _ in columns], rows)


def _is_alike(step_hashes: Mapping[str, str], measurement: Measurement) -> bool:
    return step_hashes.get(measurement.step) == measurement.comparable


def _headlines(data: ReportData) -> Iterator[tuple[str, Measurement]]:
    of_metric = {metric: measurement for measurement in data.measurements for metric in measurement.metrics}
    worse = [finding.metric for finding in in_order(data.verdict.findings) if finding.status == "worse"]
    scores = [_first_score(measurement) for measurement in data.measurements]
    speed = [metric for metric in of_metric if metric.rpartition("/")[2] in _HEADLINES]
    for metric in dict.fromkeys([*worse, *filter(None, scores), *speed]):
        if metric in of_metric:
            yield metric, of_metric[metric]


def _first_score(measurement: Measurement) -> str | None:
    """How good the answers are, where a suite says it; else what they look like."""
    scores = [metric for metric in measurement.metrics if _is_score(metric)]
    return next((metric for metric in scores if not is_signal(metric)), scores[0] if scores else None)


def _is_score(metric: str) -> bool:
    definition = definition_of(metric)
    return definition is not None and definition.area == "quality" and definition.higher_is_better is not None


def _worse_from(finding: Finding) -> float | None:
    """The value from which on a loss matters; where nothing was tested, the plain rule's limit."""
    if finding.baseline is None:
        return None
    bad = -1 if finding.higher_is_better else 1
    if finding.matters is not None:
        size = finding.matters if finding.area == "quality" else finding.matters * abs(finding.baseline)
        return finding.baseline + bad * size
    return None if finding.limit is None else finding.baseline + bad * finding.limit * abs(finding.baseline)


def history_line(metric: str, past: Sequence[Past], now: Past, scale: Scale, worse_from: float | None) -> str:
    """A metric over the last releases, oldest first, this release last.

    A diamond is a release that was called worse, a dot any other; hollow ones were measured under other conditions. The
    dashed line is where a loss begins to matter.
    """
    title, place = metric_title(metric), metric_place(metric)
    everything = [*past, now]
    said = ", ".join(f"{point.tag} {scale.text(point.value)}" for point in everything)
    plot = Plot(250, 150, f"{title}, {place}, oldest release first: {said}")
    values = [point.value for point in everything] + ([worse_from] if worse_from is not None else [])
    low, high = min(values), max(values)
    room = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    y = Axis(low - room, high + room, 122, 42)
    x = Axis(0, max(1, len(everything) - 1), 12, 238)
    plot.text(2, 13, shortened(title, 36), "name")
    plot.text(2, 29, shortened(place, 40), "tick")
    if worse_from is not None:
        plot.line((4, y.at(worse_from)), (246, y.at(worse_from)), "limit")
    places = [(x.at(index), y.at(point.value)) for index, point in enumerate(everything)]
    plot.path(places, "history")
    for spot, point in zip(places[:-1], past, strict=True):
        _mark(plot, spot, point, scale, 3.5, "past" if point.alike else "past other")
    _mark(plot, places[-1], now, scale, 5, "now")
    worse = now.verdict == "worse"
    plot.text(248, 146, scale.text(now.value), "value bad-text" if worse else "value", "end")
    plot.text(2, 146, shortened(f"since {past[0].tag}", 26) if past else "no earlier run", "tick")
    return plot.render()


def _mark(plot: Plot, spot: Point, point: Past, scale: Scale, radius: float, css: str) -> None:
    said = f"{point.tag}: {scale.text(point.value)}" + (f", {point.verdict.replace('_', ' ')}" if point.verdict else "")
    if point.verdict == "worse":
        plot.diamond(spot, radius + 1.5, f"{css} bad-fill", said)
    else:
        plot.circle(spot, radius, css, said)
