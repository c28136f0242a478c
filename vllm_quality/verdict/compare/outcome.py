"""What a comparison says: a row for each metric and slice, and the whole made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from vllm_quality.verdict.types import Finding, FlippedItem, Moved

Outcome = Literal["pass", "worse", "better", "underpowered", "not_comparable"]


@dataclass(frozen=True)
class Compared:
    """One metric, or one slice of it; None where nothing was found. Differences are current - baseline: in the metric's unit
    for scores, relative to the baseline (0.1 is 10 %) for load.

    n         items or requests that both releases have, or runs
    p_value   one-sided, for worse; p_adjusted allows for everything that was tested beside it
    mde       the smallest loss that would have been found 95 % of the time
    reason    one sentence
    """

    name: str
    verdict: Outcome
    reason: str
    n: int = 0
    baseline: float | None = None
    current: float | None = None
    effect: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    mde: float | None = None
    method: str = ""

    @property
    def relative(self) -> bool:
        """Whether the effect is a share of the baseline."""
        return self.name.startswith("load/")


@dataclass(frozen=True)
class Comparison:
    """The whole: `verdict` is worse when any metric or slice is, and "pass" only where every metric could be told.

    flipped  those that lost most, then by name
    moved    what answers look like has changed: nothing is worse for it
    """

    baseline: str
    candidate: str
    verdict: Outcome
    metrics: tuple[Compared, ...]
    slices: tuple[Compared, ...]
    flipped: tuple[FlippedItem, ...]
    moved: tuple[Moved, ...]

    @property
    def exit_code(self) -> int:
        """0 not worse, 1 worse, 2 could not tell."""
        return {"pass": 0, "better": 0, "worse": 1}.get(self.verdict, 2)


def compared(finding: Finding, before: float | None) -> Compared:
    """The row of a finding; `before` stands where the finding was held against nothing but its limits."""
    relative, status = finding.area == "performance", finding.status
    return Compared(
        name=finding.metric,
        verdict="not_comparable" if status == "invalid" or status == "no_baseline" else status,
        reason=finding.reason,
        n=finding.n or 0,
        baseline=before if finding.baseline is None else finding.baseline,
        current=finding.current,
        effect=finding.change if finding.effect is None and relative else finding.effect,
        ci_low=finding.low,
        ci_high=finding.high,
        p_value=finding.p_value,
        p_adjusted=finding.p_adjusted,
        mde=finding.mde,
        method=finding.method,
    )


def overall(metrics: Sequence[Compared], slices: Iterable[Compared]) -> Outcome:
    """The verdict on all of them."""
    outcomes: set[Outcome] = {each.verdict for each in metrics}
    if any(each.verdict == "worse" for each in (*metrics, *slices)):
        return "worse"
    order: tuple[Outcome, ...] = ("not_comparable", "underpowered", "better")
    return next((outcome for outcome in order if outcome in outcomes), "pass" if outcomes else "not_comparable")


def worst(each: Compared) -> tuple[bool, float, str]:
    """A key that sorts the worst, then the least likely by chance, first."""
    return (each.verdict != "worse", each.p_value if each.p_value is not None else 1.0, each.name)
