"""How well a judge agrees with people: figures with bootstrap intervals. Pure."""

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import TypeVar

_RESAMPLES = 2000
_SEED = 1234
_LEVEL = 0.95

Value = TypeVar("Value")


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; None where it has none."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return f"{self.value:.2f}" + (f" ({self.low:.2f} to {self.high:.2f})" if self.low is not None else "")


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Agreement of two raters beyond chance: 1 always, 0 as often as by chance (Cohen 1960). None where chance is certain."""
    if not pairs:
        return None
    agreed = fmean(left == right for left, right in pairs)
    left, right = fmean(one for one, _ in pairs), fmean(other for _, other in pairs)
    by_chance = left * right + (1 - left) * (1 - right)
    return None if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation; None where one side does not vary."""
    if len(pairs) < 2:
        return None
    x, y = fmean(one for one, _ in pairs), fmean(other for _, other in pairs)
    across = sum((one - x) * (other - y) for one, other in pairs)
    spread = sum((one - x) ** 2 for one, _ in pairs) * sum((other - y) ** 2 for _, other in pairs)
    return across / float(spread**0.5) if spread > 0 else None


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return fmean(values) if values else None


def estimate(
    statistic: Callable[[Sequence[Value]], float | None], values: Sequence[Value], clusters: Sequence[Hashable]
) -> Estimate:
    """A statistic and the percentile interval of its bootstrap over clusters, always the same for the same values.

    clusters  for each value, which others it belongs to: answers to one question are judged alike
    """
    groups: dict[Hashable, list[Value]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(cluster, []).append(value)
    found = statistic(values)
    if found is None or len(groups) < 2:
        return Estimate(found)
    generator, drawn = random.Random(_SEED), list[float]()  # noqa: S311  # statistics, not secrets
    own = list(groups.values())
    for _ in range(_RESAMPLES):
        again = statistic(list(chain.from_iterable(generator.choices(own, k=len(own)))))
        if again is not None:
            drawn.append(again)
    drawn.sort()
    outside = round(len(drawn) * (1 - _LEVEL) / 2)
    return Estimate(found, drawn[outside], drawn[-1 - outside]) if len(drawn) > _RESAMPLES / 2 else Estimate(found)
