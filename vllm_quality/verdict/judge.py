"""Is this release worse than the ones before it? The rule of F-06: a relative change from a rolling mean.

Pure: measurements, earlier values and thresholds go in, a `Verdict` comes out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import get_args

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.metrics import MetricDefinition, definition_of
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Finding, FindingArea, FindingStatus, Verdict, VerdictStatus


@dataclass(frozen=True)
class PastValues:
    """An earlier run: what it measured, and under which conditions (step -> `Measurement.comparable`)."""

    run_id: str
    verdict: str
    step_hashes: Mapping[str, str]
    metrics: Mapping[str, float]


def judge(
    measurements: Sequence[Measurement],
    past: Sequence[PastValues],
    thresholds: Thresholds,
    barred: Mapping[str, Mapping[str, str]] | None = None,
) -> Verdict:
    """Hold every judged metric against its limits and against the mean of the last N comparable runs.

    past    runs of other tags, newest first. A run counts for a metric only when the metric's step was measured under
            equal conditions. Without any, the finding is "no_baseline": a warning, never a pass.
    barred  metric -> run -> why that run's value is nothing to compare with after all (the judge moved since); where that
            leaves none, the finding is "invalid" with the reason
    """
    findings: list[Finding] = []
    used: dict[str, None] = {}
    for measurement in measurements:
        if measurement.problem is not None:
            findings += _invalid(measurement, thresholds)
            continue
        baseline = _comparable(measurement, past, thresholds)
        for metric, value in sorted(measurement.metrics.items()):
            reasons = (barred or {}).get(metric, {})
            own = [run for run in baseline if run.run_id not in reasons]
            finding = _finding(metric, value, own, thresholds)
            if finding is not None and finding.status == "no_baseline" and baseline and not own:
                reason = f"{reasons[baseline[0].run_id]}, so it is not compared."
                finding = replace(finding, status="invalid", reason=reason)
            if finding is not None:
                findings.append(finding)
                used.update({run.run_id: None for run in own if finding.baseline is not None and metric in run.metrics})
    order = [run.run_id for run in past if run.run_id in used]
    status = _overall(findings)
    return Verdict(status, tuple(findings), tuple(order), _summary(status, findings, len(order)))


def _comparable(measurement: Measurement, past: Sequence[PastValues], thresholds: Thresholds) -> list[PastValues]:
    rule = thresholds.baseline
    alike = [run for run in past if run.step_hashes.get(measurement.step) == measurement.comparable]
    return [run for run in alike if rule.include_worse or run.verdict != "worse"][: rule.runs]


def _blank(metric: str, definition: MetricDefinition, area: FindingArea, value: float | None) -> Finding:
    return Finding(
        metric=metric,
        area=area,
        status="ok",
        current=value,
        baseline=None,
        change=None,
        limit=None,
        higher_is_better=bool(definition.higher_is_better),
        unit=definition.unit,
        reason="",
    )


def _judged(metric: str, thresholds: Thresholds) -> tuple[MetricDefinition, FindingArea] | None:
    definition = definition_of(metric)
    if definition is None or definition.higher_is_better is None or definition.area == "pipeline":
        return None
    bounded = thresholds.floor(metric) is not None or thresholds.ceiling(metric) is not None
    if thresholds.limit(metric, definition.area) is None and not bounded:
        return None
    return definition, definition.area


def _finding(metric: str, value: float, baseline: Sequence[PastValues], thresholds: Thresholds) -> Finding | None:
    judged = _judged(metric, thresholds)
    if judged is None:
        return None
    definition, area = judged
    blank = _blank(metric, definition, area, value)
    floor, ceiling = thresholds.floor(metric), thresholds.ceiling(metric)
    if floor is not None and value < floor:
        return replace(blank, status="worse", reason=f"{value:.4g} is under the floor of {floor:.4g}.")
    if ceiling is not None and value > ceiling:
        return replace(blank, status="worse", reason=f"{value:.4g} is over the ceiling of {ceiling:.4g}.")
    limit = thresholds.limit(metric, area)
    if limit is None:
        return replace(blank, reason="within its fixed limits; not compared with earlier runs.")
    values = [run.metrics[metric] for run in baseline if metric in run.metrics]
    if not values:
        return replace(blank, status="no_baseline", limit=limit, reason="no earlier run is comparable.")
    mean = fmean(values)
    compared = replace(blank, baseline=mean, limit=limit)
    if mean == 0:
        # A relative change from 0 has no size, but it has a direction.
        if value == 0 or (value > 0) == definition.higher_is_better:
            return replace(compared, reason="not worse than a baseline of 0.")
        return replace(compared, status="no_baseline", reason="the baseline is 0, so a relative change has no size.")
    compared = replace(compared, change=(value - mean) / abs(mean))
    return replace(compared, status=_status(compared), reason=_reason(compared, len(values)))


def _status(finding: Finding) -> FindingStatus:
    # A limit of 10 % means that exactly 10 % is still fine, whatever the last bit of a division says.
    return "worse" if finding.excess is not None and finding.excess > 1e-9 else "ok"


def _reason(finding: Finding, runs: int) -> str:
    change, limit = finding.change or 0.0, finding.limit or 0.0
    return (
        f"{change:+.1%} against the mean of {runs} comparable run{'s' if runs > 1 else ''}; the limit is {limit:.0%}."
    )


def _invalid(measurement: Measurement, thresholds: Thresholds) -> Iterable[Finding]:
    reason = f"{measurement.step} cannot be trusted: {measurement.problem}"
    found = False
    for metric, value in sorted(measurement.metrics.items()):
        judged = _judged(metric, thresholds)
        if judged is not None:
            found = True
            yield replace(_blank(metric, judged[0], judged[1], value), status="invalid", reason=reason)
    if not found:
        area: FindingArea = "performance" if measurement.step.startswith("load/") else "quality"
        nothing = MetricDefinition("", area, True, "", "")
        yield replace(_blank(measurement.step, nothing, area, None), status="invalid", reason=reason)


def _overall(findings: Sequence[Finding]) -> VerdictStatus:
    statuses = {finding.status for finding in findings}
    if "worse" in statuses:
        return "worse"
    if "invalid" in statuses or not findings:
        return "invalid"
    # A new suite beside twenty compared ones is no reason to say nothing; an area with nothing compared is.
    for area in get_args(FindingArea):
        own = [finding for finding in findings if finding.area == area]
        if own and all(finding.baseline is None for finding in own):
            return "no_baseline"
    return "pass"


def _summary(status: VerdictStatus, findings: Sequence[Finding], runs: int) -> str:
    count = {name: sum(finding.status == name for finding in findings) for name in get_args(FindingStatus)}
    against = f"{runs} earlier run{'s' if runs != 1 else ''}"
    untold = f" {count['no_baseline']} of them had no baseline." if count["no_baseline"] else ""
    match status:
        case "worse":
            return f"Worse: {count['worse']} of {len(findings)} judged metrics are beyond their limit, against {against}.{untold}"
        case "invalid" if not findings:
            return "Cannot tell: nothing that is judged was measured."
        case "invalid":
            return f"Cannot tell: {count['invalid']} of {len(findings)} judged metrics cannot be trusted.{untold}"
        case "no_baseline":
            return (
                f"Cannot tell: {count['no_baseline']} of {len(findings)} judged metrics have no comparable earlier run."
            )
        case "pass":
            return f"Not worse: {len(findings)} judged metrics are within their limits, against {against}.{untold}"
