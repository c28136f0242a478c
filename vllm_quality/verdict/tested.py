"""Findings that have items or requests behind them, decided by these: all tests of a release together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vllm_quality.verdict.evidence import Evidence
from vllm_quality.verdict.statistics.decide import Decision, Trial, decide
from vllm_quality.verdict.statistics.effect import Effect
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import UNTOLD, Detector, Finding

_SCALES: Mapping[str, tuple[str, float]] = {"quality": ("points", 100.0), "performance": ("%", 100.0)}


def decide_findings(
    findings: Sequence[Finding], evidence: Evidence, thresholds: Thresholds
) -> tuple[list[Finding], list[Finding]]:
    """The findings, those with evidence decided by it, and what is found of slices: each family's tests together, so that
    many tests are not many false alarms. Where there are slices, the metrics have half of alpha and the slices the other.
    """
    tested = [f for f in findings if f.metric in evidence.effects and f.status not in UNTOLD and f.detector != "limit"]
    parts = [(f, name, effect) for f in tested for name, effect in evidence.slices.get(f.metric, {}).items()]
    share = 0.5 if parts else 1.0
    drifting = [finding for finding in tested if finding.metric in evidence.drift]
    trials = [_trial(finding, evidence.effects[finding.metric][0], thresholds, share) for finding in tested]
    trials += [_trial(finding, evidence.drift[finding.metric], thresholds, share) for finding in drifting]
    decisions = decide(trials)
    decided = {
        finding.metric: _decided(finding, decision, evidence.effects[finding.metric][1], thresholds, share)
        for finding, decision in zip(tested, decisions[: len(tested)], strict=True)
    }
    for finding, decision in zip(drifting, decisions[len(tested) :], strict=True):
        if decision.verdict == "worse" and decided[finding.metric].status != "worse":
            decided[finding.metric] = _drifted(finding, decision, thresholds, share)
    of_parts = decide([_trial(finding, effect, thresholds, share) for finding, _, effect in parts])
    slices = [
        _decided(_slice(finding, name, effect), decision, "items", thresholds, share)
        for (finding, name, effect), decision in zip(parts, of_parts, strict=True)
    ]
    return [decided.get(finding.metric, finding) for finding in findings], slices


def _trial(finding: Finding, effect: Effect, thresholds: Thresholds, share: float) -> Trial:
    rule, scale = thresholds.rule(finding.metric, finding.area), _SCALES[finding.area]
    if finding.area == "quality" and not _is_share(finding, effect):
        # Points mean nothing to a perplexity or to BLEU, which goes to 100: what matters is relative there.
        size = abs(effect.baseline) or 1.0
        rule, scale = replace(rule, matters=rule.matters * size, budget=rule.budget * size), ("%", 100.0 / size)
    return Trial(
        finding.metric,
        effect,
        finding.higher_is_better,
        replace(rule, alpha=rule.alpha * share),
        scale,
        items=finding.area == "quality",
    )


def _is_share(finding: Finding, effect: Effect) -> bool:
    return finding.higher_is_better and 0 <= effect.baseline <= 1 and 0 <= effect.current <= 1


def _slice(finding: Finding, name: str, effect: Effect) -> Finding:
    """A finding about a part of a suite, before it is decided; the plain rule has nothing to say of it."""
    return replace(
        _against(finding, effect), metric=f"{finding.metric}[{name}]", current=effect.current, rule_says_worse=None
    )


def _against(finding: Finding, effect: Effect) -> Finding:
    """The finding with the effect's baseline in place of its own."""
    change = effect.difference / abs(effect.baseline) if effect.baseline else None
    return replace(finding, baseline=effect.baseline, change=change)


def _drifted(finding: Finding, decision: Decision, thresholds: Thresholds, share: float) -> Finding:
    found = _decided(_against(finding, decision.trial.effect), decision, "drift", thresholds, share)
    reason = f"a loss in small steps: against the oldest of the last {thresholds.baseline.drift} accepted runs, {decision.reason}"
    return replace(found, reason=reason)


def _decided(finding: Finding, decision: Decision, detector: Detector, thresholds: Thresholds, share: float) -> Finding:
    effect, reason, status = decision.trial.effect, decision.reason, decision.verdict
    alarm = finding.rule_says_worse and status != "worse"
    if alarm:
        reason = f"{reason} The rule of {finding.limit:.0%} alone calls it worse."
    return replace(
        finding,
        status="worse" if alarm and thresholds.rule_alone == "alarm" else status,
        reason=reason,
        detector="rule" if alarm and thresholds.rule_alone == "alarm" else detector,
        effect=effect.difference,
        low=effect.low,
        high=effect.high,
        p_value=decision.trial.p_worse,
        p_adjusted=min(1.0, decision.p_adjusted / share),  # in terms of the whole alpha
        mde=decision.mde,
        matters=decision.trial.rule.matters,
        budget=decision.trial.rule.budget,
        n=effect.n,
        method=effect.method,
    )
