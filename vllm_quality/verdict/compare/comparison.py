"""Two releases, metric by metric and slice by slice: what is worse, and which items show it.

The evidence and the decisions are those of the pipeline's verdict (`evidence.py`, `judge.py`), with one run before this one.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.compare.conditions import differing, few_common, judge_moved, untrusted
from vllm_quality.verdict.compare.outcome import Compared, Comparison, compared, overall, worst
from vllm_quality.verdict.compare.release import Release
from vllm_quality.verdict.compare.scores import SCORE
from vllm_quality.verdict.confirmation import step_of
from vllm_quality.verdict.evidence import EarlierRun, Evidence, Step, gather
from vllm_quality.verdict.judge import NOTHING, PastValues, conclude, is_judged, judge
from vllm_quality.verdict.tested import decide_findings
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Finding, Verdict

_MOST_FLIPPED = 20


def compare(baseline: Release, candidate: Release, thresholds: Thresholds) -> Comparison:
    """Compare two releases on every metric that these thresholds judge and either of them has."""
    steps = candidate.steps()
    apart = {step: why for step in steps if (why := _apart(baseline, candidate, step)) is not None}
    sound = [step for step in steps if step in candidate.conditions and step not in apart]
    barred = judge_moved(baseline, candidate)
    for step in sound:
        barred |= few_common(baseline, candidate, step)
    judged = [metric for metric in candidate.metrics if metric not in barred and _is_judged(metric, thresholds)]
    evidence = gather([_step(baseline, candidate, step, barred) for step in sound], judged)
    verdict = _verdict(baseline, candidate, thresholds, barred, evidence)
    metrics = [
        compared(_told(finding, baseline, apart), baseline.metrics.get(finding.metric)) for finding in verdict.findings
    ]
    known = {*candidate.metrics, *(each.name for each in metrics)}
    gone = [metric for metric in baseline.metrics if metric not in known and _is_judged(metric, thresholds)]
    metrics += [_gone(metric, baseline, candidate) for metric in gone]
    slices = [compared(finding, None) for finding in verdict.slices]
    return Comparison(
        baseline=baseline.label,
        candidate=candidate.label,
        verdict=overall(metrics, slices),
        metrics=tuple(sorted(metrics, key=lambda each: each.name)),
        slices=tuple(sorted(slices, key=worst)),
        flipped=verdict.flipped[:_MOST_FLIPPED],
        moved=verdict.moved,
    )


def _is_judged(metric: str, thresholds: Thresholds) -> bool:
    return metric == SCORE or is_judged(metric, thresholds)


def _apart(baseline: Release, candidate: Release, step: str) -> str | None:
    """Why a step is not compared although both have it."""
    if step not in baseline.steps():
        return None
    return untrusted(baseline, step) or differing(baseline, candidate, step)


def _step(baseline: Release, candidate: Release, step: str, barred: Mapping[str, str]) -> Step:
    now, then = (
        {name: value for name, value in release.steps().get(step, {}).items() if name not in barred}
        for release in (candidate, baseline)
    )
    before, after = baseline.samples_of(step), candidate.samples_of(step)
    earlier = EarlierRun(baseline.name, then, before, baseline.requests_of(step))
    return Step(now, _with_belongings(after, before), candidate.requests_of(step), [earlier])


def _with_belongings(samples: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The samples, with the clusters and slices that only the release before has of the same items."""
    other = before.select("metric", "item_hash", "cluster", "slices")
    both = samples.join(other, on=["metric", "item_hash"], how="left", suffix="_before", maintain_order="left")
    return both.with_columns(
        cluster=pl.when(pl.col("cluster") != "").then("cluster").otherwise(pl.col("cluster_before").fill_null("")),
        slices=pl.when(pl.col("slices").list.len() > 0).then("slices").otherwise("slices_before"),
    ).drop("cluster_before", "slices_before")


def _verdict(
    baseline: Release, candidate: Release, thresholds: Thresholds, barred: Mapping[str, str], evidence: Evidence
) -> Verdict:
    if SCORE in candidate.metrics:
        findings, slices = decide_findings([_of_file(baseline, candidate, barred, evidence)], evidence, thresholds)
        return conclude(findings, slices, [baseline.name], replace(NOTHING, flipped=evidence.flipped))
    measurements = [
        Measurement(step, metrics, candidate.conditions.get(step, ""), untrusted(candidate, step))
        for step, metrics in candidate.steps().items()
    ]
    # However it was judged itself: it is what was asked to be compared with.
    past = PastValues(baseline.name, "pass", baseline.conditions, baseline.metrics)
    reasons = {metric: {baseline.name: why} for metric, why in barred.items()}
    return judge(measurements, [past], thresholds, reasons, evidence)


def _of_file(baseline: Release, candidate: Release, barred: Mapping[str, str], evidence: Evidence) -> Finding:
    """The finding on a file's score, which no registry knows, before it is decided."""
    why = barred.get(SCORE, "fewer than two items or clusters have a score of both")
    told = SCORE in evidence.effects
    return Finding(
        metric=SCORE,
        area="quality",
        status="pass" if told else "not_comparable" if SCORE in barred else "no_baseline",
        current=candidate.metrics[SCORE],
        baseline=baseline.metrics.get(SCORE),
        change=None,
        limit=None,
        higher_is_better=True,
        unit="",
        reason="" if told else f"{why}.",
    )


def _told(finding: Finding, baseline: Release, apart: Mapping[str, str]) -> Finding:
    """The finding, saying what there is nothing to compare with for."""
    if finding.status != "no_baseline":
        return finding
    if finding.metric not in baseline.metrics:
        return replace(finding, reason="only the candidate has it.")
    return replace(finding, reason=apart.get(step_of(finding.metric), finding.reason))


def _gone(metric: str, baseline: Release, candidate: Release) -> Compared:
    step = step_of(metric)
    why = untrusted(candidate, step) if step in candidate.steps() else None
    reason = why or "only the baseline has it."
    return Compared(metric, "not_comparable", reason, baseline=baseline.metrics[metric])
