"""Two releases, metric by metric and slice by slice: what is worse, and which items show it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vllm_quality.verdict.compare.scores import Scores
from vllm_quality.verdict.statistics.decide import Decision, Rule, Trial, decide
from vllm_quality.verdict.statistics.paired import paired

Outcome = Literal["pass", "worse", "better", "underpowered", "not_comparable"]

LEAST_COMMON = 0.95  # of either side's items, for the rest to be left out of a comparison
_MOST_FLIPPED = 20
_SMALLEST_SLICE = 10  # items; fewer are in the whole only


@dataclass(frozen=True)
class Compared:
    """One metric, or one slice of it. Differences are current - baseline, in the metric's unit; None where none was found.

    n         items that both releases have a score of
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


@dataclass(frozen=True)
class Flipped:
    """An item whose score changed; `loss` is how much worse it got, negative for better."""

    metric: str
    item: str
    baseline: float
    current: float
    loss: float


@dataclass(frozen=True)
class Comparison:
    """The whole: `verdict` is worse when any metric or slice is, and "pass" only where every metric could be told.

    flipped  those that lost most, then by name
    """

    verdict: Outcome
    metrics: tuple[Compared, ...]
    slices: tuple[Compared, ...]
    flipped: tuple[Flipped, ...]

    @property
    def exit_code(self) -> int:
        """0 not worse, 1 worse, 2 could not tell."""
        return {"pass": 0, "better": 0, "worse": 1}.get(self.verdict, 2)


def compare(baseline: Sequence[Scores], candidate: Sequence[Scores], rule: Rule | None = None) -> Comparison:
    """Compare two releases on every metric that either of them has.

    The chance of any false alarm is `rule.alpha`: all of it for the metrics, or half for them and half for the slices.
    """
    before, after = {each.name: each for each in baseline}, {each.name: each for each in candidate}
    rule = rule or Rule()
    untold, trials, slices, flipped = list[Compared](), list[Trial](), list[Trial](), list[Flipped]()
    for name in sorted(before.keys() | after.keys()):
        why = _incomparable(before.get(name), after.get(name))
        if why is not None:
            untold.append(Compared(name, "not_comparable", why))
            continue
        trial = _trial(
            name, before[name], after[name], sorted(before[name].items.keys() & after[name].items.keys()), rule
        )
        if trial is None:
            untold.append(Compared(name, "not_comparable", "fewer than two items or clusters have a score of both."))
            continue
        trials.append(trial)
        slices += _slices(before[name], after[name], rule)
        flipped += _flipped(before[name], after[name])
    halved = (
        [replace(trial, rule=replace(trial.rule, alpha=rule.alpha / 2)) for trial in (*trials, *slices)]
        if slices
        else trials
    )
    told = [_compared(decision, bool(slices)) for decision in decide(halved[: len(trials)])]
    parts = [_compared(decision, bool(slices)) for decision in decide(halved[len(trials) :])]
    metrics = tuple(sorted([*told, *untold], key=lambda each: each.name))
    return Comparison(_overall(metrics, parts), metrics, tuple(sorted(parts, key=_worst)), tuple(_worst_flips(flipped)))


def _incomparable(before: Scores | None, after: Scores | None) -> str | None:
    if before is None or after is None:
        return f"only the {'candidate' if before is None else 'baseline'} has it."
    for name in sorted(before.conditions.keys() | after.conditions.keys()):
        own, other = before.conditions.get(name), after.conditions.get(name)
        if own != other:
            return f"{name} differs ({own or 'none'} before, {other or 'none'} now)."
    common = len(before.items.keys() & after.items.keys())
    most = max(len(before.items), len(after.items))
    if common < LEAST_COMMON * most:
        return f"only {common:,} items have a score in both, of {len(before.items):,} and {len(after.items):,}."
    return None


def _trial(name: str, before: Scores, after: Scores, items: Sequence[str], rule: Rule) -> Trial | None:
    clusters = [before.items[item].cluster or f"item {item}" for item in items]
    effect = paired([before.items[item].score for item in items], [after.items[item].score for item in items], clusters)
    return None if effect is None else Trial(name, effect, before.higher_is_better, rule)


def _slices(before: Scores, after: Scores, rule: Rule) -> list[Trial]:
    by_slice: dict[str, list[str]] = {}
    for item in sorted(before.items.keys() & after.items.keys()):
        if label := before.items[item].slice:
            by_slice.setdefault(label, []).append(item)
    if len(by_slice) < 2:
        return []
    found = [
        _trial(f"{before.name}[{label}]", before, after, items, rule)
        for label, items in sorted(by_slice.items())
        if len(items) >= _SMALLEST_SLICE
    ]
    return [trial for trial in found if trial is not None]


def _flipped(before: Scores, after: Scores) -> list[Flipped]:
    sign = 1 if before.higher_is_better else -1
    common = sorted(before.items.keys() & after.items.keys())
    pairs = [(item, before.items[item].score, after.items[item].score) for item in common]
    return [Flipped(before.name, item, was, now, sign * (was - now)) for item, was, now in pairs if was != now]


def _worst_flips(flipped: Sequence[Flipped]) -> list[Flipped]:
    return sorted(flipped, key=lambda each: (-each.loss, each.metric, each.item))[:_MOST_FLIPPED]


def _compared(decision: Decision, halved: bool) -> Compared:
    trial, effect = decision.trial, decision.trial.effect
    return Compared(
        name=trial.name,
        verdict=decision.verdict,
        reason=decision.reason,
        n=effect.n,
        baseline=effect.baseline,
        current=effect.current,
        effect=effect.difference,
        ci_low=effect.low,
        ci_high=effect.high,
        p_value=trial.p_worse,
        # In terms of the whole alpha, of which this family has half.
        p_adjusted=min(1.0, decision.p_adjusted * (2 if halved else 1)),
        mde=decision.mde,
        method=effect.method,
    )


def _overall(metrics: Sequence[Compared], slices: Sequence[Compared]) -> Outcome:
    outcomes: set[Outcome] = {each.verdict for each in metrics}
    if any(each.verdict == "worse" for each in (*metrics, *slices)):
        return "worse"
    order: tuple[Outcome, ...] = ("not_comparable", "underpowered", "better")
    return next((outcome for outcome in order if outcome in outcomes), "pass" if outcomes else "not_comparable")


def _worst(each: Compared) -> tuple[Any, ...]:
    return (each.verdict != "worse", each.p_value if each.p_value is not None else 1.0, each.name)
