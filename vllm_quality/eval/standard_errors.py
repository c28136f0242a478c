"""Standard errors of a suite's figures: closed form for means, a seeded bootstrap for the rest, both by clusters.

Items that share a passage are right or wrong together; counted as independent they make a score look surer than it is
(Miller, "Adding Error Bars to Evals", arXiv 2411.00640). Where each item is a cluster of its own, the formulas are the
ordinary ones.
"""

import math
import random
import warnings
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any

RESAMPLES = 200  # a standard error that is right to about 5 %
_SEED = 1234


def mean_stderr(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """The standard error of a mean: sqrt(C / (C - 1) * sum over clusters of (sum of deviations)^2) / n.

    clusters  for each value, which others it belongs to
    None for fewer than two clusters.
    """
    mean = math.fsum(values) / len(values) if values else 0.0
    sums = [math.fsum(value - mean for value in group) for group in _grouped(values, clusters)]
    if len(sums) < 2:
        return None
    return math.sqrt(len(sums) / (len(sums) - 1) * math.fsum(total * total for total in sums)) / len(values)


def bootstrap_stderr(
    statistic: Callable[[list[Any]], Any], values: Sequence[Any], clusters: Sequence[Hashable]
) -> float | None:
    """The standard error of any statistic: its spread over samples of clusters, drawn with replacement, always the same.

    None for fewer than two clusters, and where the statistic is no number for most of the samples.
    """
    groups = _grouped(values, clusters)
    if len(groups) < 2:
        return None
    generator, found = random.Random(_SEED), []  # noqa: S311  # statistics, not secrets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sample without one of the classes is odd, and rightly so
        for _ in range(RESAMPLES):
            try:
                value = float(statistic(list(chain.from_iterable(generator.choices(groups, k=len(groups))))))
            except (ArithmeticError, ValueError, TypeError):
                continue
            if math.isfinite(value):
                found.append(value)
    if len(found) < RESAMPLES / 2:
        return None
    mean = math.fsum(found) / len(found)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in found) / (len(found) - 1))


def weighted_stderr(weights: Sequence[float], stderrs: Sequence[float]) -> float:
    """The standard error of a weighted mean of independent figures; the weights need not add up to 1."""
    total = math.fsum(weights)
    return math.sqrt(math.fsum((w / total * s) ** 2 for w, s in zip(weights, stderrs, strict=True)))


def _grouped(values: Sequence[Any], clusters: Sequence[Hashable]) -> list[list[Any]]:
    groups: dict[Hashable, list[Any]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(cluster, []).append(value)
    return list(groups.values())
