"""What answers look like, told when it moved: their length, their language, how many were cut off or changed sides."""

from collections.abc import Mapping

from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.statistics.decide import Rule, Trial, decide
from vllm_quality.verdict.statistics.effect import Effect
from vllm_quality.verdict.statistics.family import holm
from vllm_quality.verdict.statistics.flips import Flips
from vllm_quality.verdict.types import Moved

# Less is not worth a line: of a ratio, and relative, of a logprob and of a length.
_LEAST_SHARE, _LEAST_LOGPROB, _LEAST_LENGTH = 0.01, 0.01, 0.05


def moved(signals: Mapping[str, Effect], flips: Mapping[str, Flips], alpha: float) -> tuple[Moved, ...]:
    """The signals that changed beyond chance, the surest first; half of alpha is theirs, the other that of flips."""
    found = [*_looks(signals, alpha / 2), *_flips(flips, alpha / 2)]
    return tuple(sorted(found, key=lambda each: (each.p_adjusted, each.metric)))


def _looks(signals: Mapping[str, Effect], alpha: float) -> list[Moved]:
    # "Worse" is here "less", "better" is "more": half of it for each.
    trials = [
        Trial(metric, effect, higher_is_better=True, rule=_rule(metric, effect, alpha / 2))
        for metric, effect in signals.items()
    ]
    return [
        Moved(
            decision.trial.name,
            _title(decision.trial.name),
            decision.trial.effect.baseline,
            decision.trial.effect.current,
            decision.trial.effect.low,
            decision.trial.effect.high,
            min(1.0, 2 * min(decision.p_adjusted, decision.p_better)),
            decision.trial.effect.n,
        )
        for decision in decide(trials)
        if decision.verdict in ("worse", "better")
    ]


def _rule(metric: str, effect: Effect, alpha: float) -> Rule:
    size = abs(effect.baseline) or 1.0
    relative = _LEAST_LOGPROB if metric.endswith("_logprob") else _LEAST_LENGTH
    least = _LEAST_SHARE if metric.endswith("_ratio") else relative * size
    return Rule(alpha, matters=2 * least, budget=least)


def _flips(flips: Mapping[str, Flips], alpha: float) -> list[Moved]:
    adjusted = holm([each.p_value for each in flips.values()])
    return [
        Moved(f"{metric}[flips]", "items that changed sides", each.before, each.now, None, None, p, each.n)
        for (metric, each), p in zip(flips.items(), adjusted, strict=True)
        if p <= alpha
    ]


def _title(metric: str) -> str:
    definition = definition_of(metric)
    return metric if definition is None else definition.title
