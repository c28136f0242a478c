"""A suspicion is measured again before it is an alarm: which ones, and what the second measurement makes of the verdict.

The second measurement decides alone, by the same test, but only about what was suspected: a first look that was unlucky or
disturbed is not evidence twice, and with so few tests left nothing real is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.judge import conclude
from vllm_quality.verdict.thresholds import ConfirmationRule
from vllm_quality.verdict.types import Finding, Verdict

_MEASURED = ("items", "means", "requests", "runs", "drift", "rule")


def step_of(metric: str) -> str:
    """The step that a metric, or a slice of one, was measured by: "eval/gsm8k" of "eval/gsm8k/exact_match[task=x]"."""
    return "/".join(metric.partition("[")[0].split("/")[:2])


def suspicions(verdict: Verdict, rule: ConfirmationRule) -> list[Finding]:
    """What is called worse by a measurement that chance or a disturbance may have made, the surest first.

    None where a second measurement is not wanted, or where the release is worse for certain.
    """
    worse = [f for f in (*verdict.findings, *verdict.slices) if f.status == "worse" and f.detector in _MEASURED]
    if rule.time_s == 0 or any(_certain(finding, rule) for finding in worse):
        return []
    return sorted(
        worse, key=lambda finding: (1.0 if finding.p_adjusted is None else finding.p_adjusted, finding.metric)
    )


def narrowed(measurement: Measurement, suspected: Sequence[Finding]) -> Measurement:
    """A second measurement with the suspected metrics alone, and their standard errors."""
    wanted = {finding.metric.partition("[")[0] for finding in suspected}
    metrics = {name: value for name, value in measurement.metrics.items() if name.removesuffix("_stderr") in wanted}
    return replace(measurement, metrics=metrics)


def settle(first: Verdict, second: Verdict, suspected: Sequence[Finding], failed: Mapping[str, str]) -> Verdict:
    """The verdict after what was suspected has been measured again.

    second  on the `narrowed` second measurements
    failed  step -> why its second measurement says nothing; then the suspicion stands
    """
    names = {finding.metric for finding in suspected}
    found = {finding.metric: finding for finding in (*second.findings, *second.slices)}

    def settled(finding: Finding) -> Finding:
        if finding.metric not in names:
            return finding
        if (why := failed.get(step_of(finding.metric))) is not None:
            return replace(
                finding, repeat="failed", reason=f"{finding.reason} A second measurement says nothing: {why}"
            )
        again = found.get(finding.metric)
        return finding if again is None else _settled(finding, again)

    findings, slices = [settled(each) for each in first.findings], [settled(each) for each in first.slices]
    return conclude(findings, slices, first.baseline_runs, first)


def _settled(suspected: Finding, again: Finding) -> Finding:
    if again.status == "worse":
        return replace(again, repeat="confirmed", first=suspected.reason)
    # Less of a loss than suspected is what happens to chance; that a suspicion turns into a gain is no news either.
    status = "pass" if again.status == "better" else again.status
    return replace(again, status=status, repeat="refuted", first=suspected.reason)


def _certain(finding: Finding, rule: ConfirmationRule) -> bool:
    known = finding.area == "quality" and finding.p_adjusted is not None and finding.detector != "rule"
    return known and (finding.p_adjusted or 0.0) < rule.certain
