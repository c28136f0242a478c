"""One recorded release against a window of others: judged as the pipeline judges, the PRD's rule beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.evidence import EarlierRun, Step, gather
from vllm_quality.verdict.judge import PastValues, is_judged
from vllm_quality.verdict.judge import judge as judge_release
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Finding, Verdict
from vllm_quality_tests.detection.runs import Run

SAME = "the same conditions"
PRD_SHARE = 0.10


@dataclass(frozen=True)
class Judged:
    """What became of a release. `by_rule`: the suites that the PRD's rule calls worse."""

    verdict: Verdict
    by_rule: tuple[str, ...]

    @property
    def worse(self) -> tuple[str, ...]:
        """The metrics and slices that are worse, without the "eval/" before them."""
        every: tuple[Finding, ...] = (*self.verdict.findings, *self.verdict.slices)
        return tuple(finding.metric.removeprefix("eval/") for finding in every if finding.status == "worse")

    @property
    def scores_worse(self) -> tuple[str, ...]:
        """Those of `worse` that are scores, and not the right answers' logprob."""
        return tuple(name for name in self.worse if "/gold_logprob" not in name)

    def mde(self, metric: str) -> float:
        """The smallest loss of a metric that would have shown."""
        found = next(finding.mde for finding in self.verdict.findings if finding.metric == metric)
        return float("nan") if found is None else found


def judge(window: Sequence[Run], current: Run, thresholds: Thresholds | None = None) -> Judged:
    """Hold a release against a window of runs, the newest last, by the packaged thresholds unless others are given."""
    limits = thresholds or Thresholds()
    past = [
        PastValues(f"run {at}", "pass", dict.fromkeys(_steps(run), SAME), run.metrics)
        for at, run in enumerate(reversed(window))
    ]
    measurements, steps = [], []
    for suite in current.scores:
        step = f"eval/{suite}"
        own = {metric: value for metric, value in current.metrics.items() if metric.startswith(f"{step}/")}
        measurements.append(Measurement(step, own, SAME))
        earlier = [
            EarlierRun(known.run_id, known.metrics, run.samples[suite])
            for known, run in zip(past, reversed(window), strict=True)
        ]
        steps.append(Step(own, current.samples[suite], None, earlier))
    judged = [metric for metric in current.metrics if is_judged(metric, limits)]
    verdict = judge_release(measurements, past, limits, evidence=gather(steps, judged))
    return Judged(verdict, tuple(_by_rule(window, current)))


def _steps(run: Run) -> Mapping[str, object]:
    return {f"eval/{suite}": None for suite in run.scores}


def _by_rule(window: Sequence[Run], current: Run) -> list[str]:
    mean = {suite: sum(run.primary(suite).mean() for run in window) / len(window) for suite in current.scores}
    return [suite for suite in current.scores if current.primary(suite).mean() < (1 - PRD_SHARE) * mean[suite]]
