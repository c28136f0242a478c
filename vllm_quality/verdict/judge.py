"""Is this release worse than the ones before it?

Every judged metric is held against its fixed limits; against earlier runs by the statistics of its items or requests
(`evidence.py`), all tests of the release together; and by the rule of F-06, a relative change from a rolling mean, which
decides alone only where there is nothing else. Pure: measurements, earlier values, evidence and thresholds go in, a `Verdict`
comes out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import get_args

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.evidence import Evidence
from vllm_quality.verdict.metrics import MetricDefinition, definition_of
from vllm_quality.verdict.repeats import repeat_remark
from vllm_quality.verdict.signals import moved
from vllm_quality.verdict.tested import decide_findings
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import (
    Finding,
    FindingArea,
    FindingStatus,
    Verdict,
    VerdictStatus,
    worst_first,
)

NOTHING = Verdict("no_baseline", (), (), "")


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
    evidence: Evidence | None = None,
) -> Verdict:
    """Judge every metric that thresholds.yaml names.

    past      runs of other tags, newest first. A run counts for a metric only when the metric's step was measured under
              equal conditions. Without any, the finding is "no_baseline": a warning, never a pass.
    barred    metric -> run -> why that run's value is nothing to compare with after all (the judge moved since); where that
              leaves none, the finding is "not_comparable" with the reason
    evidence  effects of the metrics that have items or requests, as `window` chose the runs for them
    """
    findings: list[Finding] = []
    used: dict[str, None] = {}
    for measurement in measurements:
        if measurement.problem is not None:
            findings += _invalid(measurement, thresholds)
            continue
        for metric, value in sorted(measurement.metrics.items()):
            own = window(measurement, metric, past, thresholds, barred)
            finding = _finding(metric, value, own, thresholds)
            if finding is None:
                continue
            reasons = (barred or {}).get(metric, {})
            alike = _comparable(measurement, past, thresholds)
            if finding.status == "no_baseline" and alike and not own:
                reason = f"{reasons[alike[0].run_id]}, so it is not compared."
                finding = replace(finding, status="not_comparable", reason=reason)
            findings.append(finding)
            used.update({run.run_id: None for run in own if finding.baseline is not None and metric in run.metrics})
    found = evidence or Evidence()
    findings, slices = decide_findings(findings, found, thresholds)
    order = [run.run_id for run in past if run.run_id in used]
    seen = moved(found.signals, found.flips, thresholds.alpha)
    return conclude(
        findings, slices, order, replace(NOTHING, flipped=found.flipped, moved=seen, alpha=thresholds.alpha)
    )


def conclude(findings: Sequence[Finding], slices: Sequence[Finding], order: Sequence[str], about: Verdict) -> Verdict:
    """The verdict on a whole release. `order`: the runs that it was held against; `about`: what else is known of it."""
    lost = [finding for finding in slices if finding.status == "worse"]
    status = _overall([*findings, *lost])
    summary = f"{_summary(status, findings, len(order), len(lost))} {repeat_remark([*findings, *slices])}".rstrip()
    return replace(
        about,
        status=status,
        findings=tuple(findings),
        baseline_runs=tuple(order),
        summary=summary,
        slices=worst_first(slices),
    )


def window(
    measurement: Measurement,
    metric: str,
    past: Sequence[PastValues],
    thresholds: Thresholds,
    barred: Mapping[str, Mapping[str, str]] | None = None,
) -> list[PastValues]:
    """The earlier runs that a metric is held against, newest first."""
    reasons = (barred or {}).get(metric, {})
    return [run for run in _comparable(measurement, past, thresholds) if run.run_id not in reasons]


def long_before(measurement: Measurement, past: Sequence[PastValues], thresholds: Thresholds) -> list[PastValues]:
    """The oldest of the accepted runs that count for drift, newest first; none while the window reaches back as far."""
    rule = thresholds.baseline
    return _accepted(measurement, past, thresholds)[rule.runs : rule.drift][-rule.runs :]


def is_judged(metric: str, thresholds: Thresholds) -> bool:
    """Whether a metric is compared with earlier runs at all."""
    definition = definition_of(metric)
    if definition is None or definition.higher_is_better is None:
        return False
    return _limit(metric, definition, thresholds) is not None


def _comparable(measurement: Measurement, past: Sequence[PastValues], thresholds: Thresholds) -> list[PastValues]:
    return _accepted(measurement, past, thresholds)[: thresholds.baseline.runs]


def _accepted(measurement: Measurement, past: Sequence[PastValues], thresholds: Thresholds) -> list[PastValues]:
    alike = [run for run in past if run.step_hashes.get(measurement.step) == measurement.comparable]
    return [run for run in alike if thresholds.baseline.include_worse or run.verdict != "worse"]


def _blank(metric: str, definition: MetricDefinition, area: FindingArea, value: float | None) -> Finding:
    return Finding(
        metric=metric,
        area=area,
        status="pass",
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
    if _limit(metric, definition, thresholds) is None and not bounded:
        return None
    return definition, definition.area


def _limit(metric: str, definition: MetricDefinition, thresholds: Thresholds) -> float | None:
    if not definition.compared or definition.area == "pipeline":
        return None
    if definition.signal and thresholds.signals == "remark":
        return None
    return thresholds.limit(metric, definition.area)


def _finding(metric: str, value: float, baseline: Sequence[PastValues], thresholds: Thresholds) -> Finding | None:
    judged = _judged(metric, thresholds)
    if judged is None:
        return None
    definition, area = judged
    blank = _blank(metric, definition, area, value)
    floor, ceiling = thresholds.floor(metric), thresholds.ceiling(metric)
    if floor is not None and value < floor:
        return replace(
            blank, status="worse", detector="limit", reason=f"{value:.4g} is under the floor of {floor:.4g}."
        )
    if ceiling is not None and value > ceiling:
        return replace(
            blank, status="worse", detector="limit", reason=f"{value:.4g} is over the ceiling of {ceiling:.4g}."
        )
    limit = _limit(metric, definition, thresholds)
    if limit is None:
        return replace(blank, detector="limit", reason="within its fixed limits; not compared with earlier runs.")
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
    compared = replace(compared, change=(value - mean) / abs(mean), detector="rule")
    # A limit of 10 % means that exactly 10 % is still fine, whatever the last bit of a division says.
    worse = compared.excess is not None and compared.excess > 1e-9
    reason = _reason(compared, len(values))
    return replace(compared, status="worse" if worse else "pass", rule_says_worse=worse, reason=reason)


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
    if "not_comparable" in statuses:
        return "not_comparable"
    # A new suite, or a noisy one, beside twenty others is no reason to say nothing; an area with nothing told is.
    areas = [[finding for finding in findings if finding.area == area] for area in get_args(FindingArea)]
    silent: tuple[VerdictStatus, ...] = ("no_baseline", "underpowered")
    for own in filter(None, areas):
        if all(finding.status in silent or finding.baseline is None for finding in own):
            return next((status for status in silent if status in {finding.status for finding in own}), "no_baseline")
    return "better" if "better" in statuses else "pass"


def _summary(status: VerdictStatus, findings: Sequence[Finding], runs: int, slices: int) -> str:
    count = {name: sum(finding.status == name for finding in findings) for name in get_args(FindingStatus)}
    against = f"{runs} earlier run{'s' if runs != 1 else ''}"
    judged = f"{len(findings)} judged metrics"
    open_ones = (("no_baseline", "had no baseline"), ("underpowered", "could only have shown a larger loss"))
    untold = "".join(f" {count[name]} of them {words}." for name, words in open_ones if count[name] and name != status)
    match status:
        case "worse":
            parts = f" and {slices} part{'s' if slices != 1 else ''} of suites" if slices else ""
            return f"Worse: {count['worse']} of {judged}{parts} are beyond chance or their limit, against {against}.{untold}"
        case "invalid" if not findings:
            return "Cannot tell: nothing that is judged was measured."
        case "invalid":
            return f"Cannot tell: {count['invalid']} of {judged} cannot be trusted.{untold}"
        case "no_baseline":
            return f"Cannot tell: {count['no_baseline']} of {judged} have no comparable earlier run."
        case "not_comparable":
            return f"Cannot tell: {count['not_comparable']} of {judged} cannot be compared any more.{untold}"
        case "underpowered":
            return f"Cannot tell: {count['underpowered']} of {judged} show no loss, but could only have shown a larger one."
        case "better":
            return f"Better: {count['better']} of {judged} are better beyond chance and none is worse, against {against}.{untold}"
        case "pass":
            return f"Not worse: {judged} show no loss, against {against}.{untold}"
