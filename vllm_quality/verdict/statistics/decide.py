"""From effects to verdicts: one rule for all of a release's tests, which are judged together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vllm_quality.verdict.statistics.effect import Effect
from vllm_quality.verdict.statistics.family import holm
from vllm_quality.verdict.statistics.power import detectable, items_needed

# Times alpha: the chance of a false alarm, over all tests of a release, where its arithmetic changed and it is as good as before.
GATE = 5.0
Judgement = Literal["pass", "worse", "better", "underpowered"]


@dataclass(frozen=True)
class Rule:
    """When a difference counts.

    alpha    the chance of any false alarm on a release that is as good as the one before, over all its tests together
    matters  the smallest loss that must not go unseen, in the metric's unit: "pass" is said only where it was detectable
    budget   a loss of up to this much is accepted, however certain it is, and a gain of no more is none
    """

    alpha: float = 0.01
    matters: float = 0.02
    budget: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5 or self.matters <= 0 or not 0 <= self.budget < self.matters:
            raise ValueError("alpha must lie between 0 and 0.5, matters above 0, budget from 0 to below matters")


@dataclass(frozen=True)
class Trial:
    """One comparison to be judged.

    scale  turns the effect into what a person reads: ("points", 100) for scores, ("%", 100) for what is relative
    items  whether more items would show a smaller loss; of load, only more runs would
    """

    name: str
    effect: Effect
    higher_is_better: bool
    rule: Rule = Rule()
    scale: tuple[str, float] = ("points", 100.0)
    items: bool = True

    @property
    def loss(self) -> float:
        """How much worse it got; negative is better."""
        return -self.effect.difference if self.higher_is_better else self.effect.difference

    @property
    def p_worse(self) -> float:
        """One-sided, for worse."""
        return self.effect.p_lower if self.higher_is_better else self.effect.p_higher

    @property
    def p_better(self) -> float:
        """One-sided, for better."""
        return self.effect.p_higher if self.higher_is_better else self.effect.p_lower

    @property
    def churn_worse(self) -> float:
        """One-sided, for worse, by the items that changed; 0 where the test needs no second opinion."""
        churn = self.effect.churn
        return 0.0 if churn is None else churn.p_lower if self.higher_is_better else churn.p_higher

    @property
    def churn_better(self) -> float:
        """The same for better."""
        churn = self.effect.churn
        return 0.0 if churn is None else churn.p_higher if self.higher_is_better else churn.p_lower


@dataclass(frozen=True)
class Decision:
    """What became of a trial.

    p_adjusted  of "worse", by Holm over the family; that of the items that changed, where these are what speaks against it
    p_better    the same of "better"
    mde         the smallest loss that this trial would have found 95 % of the time, as one of its family
    reason      one sentence
    """

    trial: Trial
    p_adjusted: float
    p_better: float
    mde: float
    verdict: Judgement
    reason: str


def decide(trials: Sequence[Trial]) -> list[Decision]:
    """Judge the trials of one release together, in the same order."""
    gates = [_gate(trial.rule) for trial in trials]
    worse = _adjusted([trial.p_worse for trial in trials], [trial.churn_worse for trial in trials], gates)
    better = _adjusted([trial.p_better for trial in trials], [trial.churn_better for trial in trials], gates)
    return [_decide(trial, p, q, len(trials)) for trial, p, q in zip(trials, worse, better, strict=True)]


def _gate(rule: Rule) -> float:
    return min(0.5, GATE * rule.alpha)


def _adjusted(p_values: Sequence[float], churn: Sequence[float], gates: Sequence[float]) -> list[float]:
    """Holm's, of both; the items that changed have a say only where they are beyond their gate."""
    pairs = zip(holm(p_values), holm(churn), gates, strict=True)
    return [max(own, other) if other > gate else own for own, other, gate in pairs]


def _decide(trial: Trial, p_worse: float, p_better: float, family: int) -> Decision:
    rule, effect = trial.rule, trial.effect
    mde = detectable(effect.noise, rule.alpha / family)
    if effect.churn is not None:
        mde = max(mde, detectable(effect.churn.noise, _gate(rule) / family))
    if p_worse <= rule.alpha and trial.loss > rule.budget:
        verdict: Judgement = "worse"
        reason = f"{_moved(trial)}; by chance that happens less than once in {once_in(p_worse)} such releases."
    elif p_better <= rule.alpha and -trial.loss > rule.budget:
        verdict, reason = "better", f"{_moved(trial)}, which is more than chance."
    elif mde <= rule.matters:
        verdict = "pass"
        reason = f"{_moved(trial)}, within chance; a loss of {_size(trial, mde)} would have shown."
        if p_worse <= rule.alpha:
            reason = f"{_moved(trial)}, within the budget of {_size(trial, rule.budget)}."
    else:
        verdict = "underpowered"
        needed = items_needed(effect.noise, rule.alpha / family, rule.matters)
        more = f"about {needed:,} items instead of {effect.n:,}" if trial.items else "more runs, or steadier ones"
        reason = (
            f"{_moved(trial)}, within chance, but only a loss of {_size(trial, mde)} would have shown; "
            f"to see {_size(trial, rule.matters)} it takes {more}."
        )
    return Decision(trial, p_worse, p_better, mde, verdict, reason)


def _moved(trial: Trial) -> str:
    if trial.effect.difference == 0:
        return "no change"
    sign = "+" if trial.effect.difference > 0 else ""
    return f"{sign}{_size(trial, trial.effect.difference)}"


def _size(trial: Trial, value: float) -> str:
    unit, scale = trial.scale
    shown = value * scale
    return f"{shown:,.0f} {unit}" if abs(shown) >= 100 else f"{shown:.2g} {unit}"


def once_in(p_value: float) -> str:
    """The releases that chance takes for one such: 0.0005 gives "2,000"; "1,000,000" is the most that is said."""
    times = 1 / max(p_value, 1e-6)
    return f"{round(times, 1 - len(str(int(times)))):,.0f}"
