"""The report's tables: measurements and findings as rows of text, ready to be printed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from vllm_quality.report.units import (
    NONE,
    human,
    human_change,
    human_effect,
    human_interval,
    human_limit,
    metric_label,
    metric_place,
    metric_title,
    scale_for,
)
from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.metrics import WITHOUT_OVERLAP, definition_of
from vllm_quality.verdict.types import UNTOLD, Finding, Verdict

_SAME_SAMPLES = re.compile(r"_(score|pass_ratio)$")
STATISTICS = ("mean", "p50", "p90", "p95", "p99")
CLOCKS = {
    "ttft": "TTFT, time to first token",
    "tpot": "TPOT, time per output token",
    "itl": "ITL, inter-token latency",
    "e2e": "E2E, whole request",
}
_STATUS_WORDS = {
    "pass": "not worse",
    "better": "better",
    "worse": "worse",
    "underpowered": "too few to tell",
    "not_comparable": "not comparable",
    "no_baseline": "no baseline",
    "invalid": "not trusted",
    "": "not judged",
}


@dataclass(frozen=True)
class FindingRow:
    """One metric against its baseline. `status` is a finding's, or "" for a metric that is not judged.

    effect  with its interval; p_adjusted, n and method as in `Finding`; "" where nothing was tested
    """

    metric: str
    title: str
    place: str
    now: str
    baseline: str
    change: str
    limit: str
    status: str
    status_words: str
    reason: str
    effect: str = ""
    p_adjusted: str = ""
    n: str = ""
    method: str = ""


@dataclass(frozen=True)
class QualityRow:
    """One score of one suite. `items` and what follows are "–" where no sample is known."""

    row: FindingRow
    stderr: str
    items: str
    infra_errors: str
    not_judged: str
    truncated: str


@dataclass(frozen=True)
class Cell:
    """One figure, and how it moved from its baseline ("" without one)."""

    text: str
    baseline: str
    change: str
    status: str


@dataclass(frozen=True)
class StageTable:
    """One stage of one scenario: clocks by statistic, and single figures."""

    scenario: str
    stage: str
    statistics: tuple[str, ...]
    clocks: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    figures: tuple[tuple[str, Cell], ...]


def finding_row(finding: Finding) -> FindingRow:
    """A finding in words."""
    scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
    place = metric_place(finding.metric)
    return FindingRow(
        metric=finding.metric,
        title=metric_title(finding.metric) if place else finding.metric,
        place=place,
        now=scale.text(finding.current),
        baseline=scale.text(finding.baseline),
        change=human_change(finding.change),
        limit=human_limit(finding.limit, finding.higher_is_better),
        status=finding.status,
        status_words=_STATUS_WORDS[finding.status],
        reason=finding.reason,
        effect=_effect(finding),
        p_adjusted="" if finding.p_adjusted is None else f"{finding.p_adjusted:.2g}",
        n="" if finding.n is None else f"{finding.n:,}",
        method=finding.method,
    )


def _effect(finding: Finding) -> str:
    if finding.effect is None:
        return ""
    interval = human_interval(finding)
    return f"{human_effect(finding)} ({interval})" if interval else human_effect(finding)


def untold_reasons(verdict: Verdict) -> list[tuple[str, str, list[str]]]:
    """What could not be judged: (status, why, metrics), one entry per reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for finding in verdict.worst:
        if finding.status in UNTOLD:
            reasons.setdefault((finding.status, finding.reason), []).append(metric_label(finding.metric))
    return [(_STATUS_WORDS[status], reason, metrics) for (status, reason), metrics in reasons.items()]


def quality_rows(
    measurement: Measurement, findings: Mapping[str, Finding], samples: pl.DataFrame | None
) -> list[QualityRow]:
    """The scores of one suite: every metric with a good direction, in the measurement's order.

    What a score is without overlap stands under the plain one.
    """
    rows, order = [], list(measurement.metrics)
    for metric in sorted(order, key=lambda name: (order.index(_plain(name, order)), name)):
        value = measurement.metrics[metric]
        definition = definition_of(metric)
        if definition is None or definition.higher_is_better is None:
            continue
        stderr = measurement.metrics.get(f"{metric}_stderr")
        finding = findings.get(metric)
        row = finding_row(finding) if finding is not None else _unjudged(metric, value)
        error = f"± {scale_for(metric, definition.unit, (value,)).text(stderr)}" if stderr is not None else ""
        rows.append(QualityRow(row, error, *_sample_counts(metric, samples)))
    return rows


def _plain(metric: str, known: Sequence[str]) -> str:
    """The score that one without overlap stands beside, where that is known; else the metric itself."""
    plain = metric.removesuffix(WITHOUT_OVERLAP)
    return plain if plain in known else metric


def every_figure(measurements: Sequence[Measurement], findings: Mapping[str, Finding]) -> list[tuple[FindingRow, str]]:
    """All metrics as they are stored: in words, and raw to six significant digits."""
    return [
        (finding_row(findings[metric]) if metric in findings else _unjudged(metric, value), f"{value:.6g}")
        for measurement in measurements
        for metric, value in measurement.metrics.items()
    ]


def _unjudged(metric: str, value: float) -> FindingRow:
    definition = definition_of(metric)
    now = human(metric, definition.unit, value) if definition is not None else f"{value:.6g}"
    return FindingRow(
        metric, metric_title(metric), metric_place(metric), now, NONE, NONE, NONE, "", _STATUS_WORDS[""], ""
    )


def _sample_counts(metric: str, samples: pl.DataFrame | None) -> tuple[str, ...]:
    """Items, infrastructure errors, not judged, cut off: of the metric's own samples, else of the whole suite's."""
    if samples is None or samples.is_empty() or metric.endswith(WITHOUT_OVERLAP):
        return NONE, NONE, NONE, NONE
    # A judged metric has samples of its scores, and a share that passed which is made of the same ones.
    base = _SAME_SAMPLES.sub("", metric.rpartition("/")[2])
    own = samples.filter(pl.col("metric").str.replace(_SAME_SAMPLES.pattern, "") == base)
    counted = own if own.height else samples
    items = {status: frame["item_hash"].n_unique() for (status,), frame in counted.group_by("status")}
    return (
        f"{counted['item_hash'].n_unique():,}",
        *(f"{items.get(status, 0):,}" for status in ("infra_error", "judge_error", "truncated")),
    )


def stage_tables(measurement: Measurement, findings: Mapping[str, Finding]) -> list[StageTable]:
    """The performance figures of one scenario, a table per stage."""
    stages: dict[str, list[str]] = {}
    for metric in measurement.metrics:
        parts = metric.split("/")
        if len(parts) == 4:
            stages.setdefault(parts[2], []).append(metric)
    return [_stage_table(stage, metrics, measurement, findings) for stage, metrics in stages.items()]


def _stage_table(
    stage: str, metrics: Sequence[str], measurement: Measurement, findings: Mapping[str, Finding]
) -> StageTable:
    prefix = metrics[0].rpartition("/")[0]
    statistics = tuple(
        name for name in STATISTICS if any(f"{prefix}/{clock}_{name}_s" in measurement.metrics for clock in CLOCKS)
    )
    clocks, shown = [], set()
    for clock, title in CLOCKS.items():
        paths = [f"{prefix}/{clock}_{name}_s" for name in statistics]
        if any(path in measurement.metrics for path in paths):
            shown.update(paths)
            clocks.append((title, tuple(_cell(path, measurement, findings) for path in paths)))
    figures = [
        (metric_title(metric) if not metric.endswith("_count") else _last(metric), cell)
        for metric in metrics
        if metric not in shown and not (metric.endswith("_count") and measurement.metrics[metric] == 0)
        if (cell := _cell(metric, measurement, findings)) is not None
    ]
    scenario = measurement.step.partition("/")[2]
    return StageTable(scenario, stage, statistics, tuple(clocks), tuple(figures))


def _last(metric: str) -> str:
    return metric.rpartition("/")[2].removesuffix("_count").replace("_", " ")


def _cell(metric: str, measurement: Measurement, findings: Mapping[str, Finding]) -> Cell | None:
    if metric not in measurement.metrics:
        return None
    value, definition, finding = measurement.metrics[metric], definition_of(metric), findings.get(metric)
    text = human(metric, definition.unit, value) if definition is not None else f"{value:.6g}"
    if finding is None:
        return Cell(text, "", "", "")
    if finding.change is None:
        return Cell(text, "", "", finding.status)
    return Cell(text, finding_row(finding).baseline, human_change(finding.change), finding.status)
