"""More releases out of the recorded ones: histories, good runs drawn anew, and damage that is thinned out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np  # noqa: TID253

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

Run = Mapping[str, "Scores"]


def history(runs: Sequence[Run], size: int, random: np.random.Generator) -> list[Run]:
    """A window of accepted releases, drawn from good runs with replacement: on a CPU a repeated run is the same run."""
    return [runs[at] for at in random.integers(0, len(runs), size)]


def drawn(runs: Sequence[Run], random: np.random.Generator) -> Run:
    """A good run: each item as in one of the recorded runs."""
    found = {}
    for suite, first in runs[0].items():
        stacked = np.array([run[suite] for run in runs])
        found[suite] = stacked[random.integers(0, len(runs), len(first)), np.arange(len(first))]
    return found


def churned(good: Run, changed: float, random: np.random.Generator) -> Run:
    """A release that is as good and answers a share of the items differently, as after a change of arithmetic.

    As many items are lost as won, but for chance.
    """
    found = {}
    for suite, scores in good.items():
        new = scores.copy()
        for value in (0.0, 1.0):
            own = np.flatnonzero(scores == value)
            count = min(len(own), random.binomial(len(scores), changed / 2))
            new[random.choice(own, count, replace=False)] = 1 - value
        found[suite] = new
    return found


def thinned(
    good: Run, bad: Run, suite: str, clusters: Sequence[str], loss: float, random: np.random.Generator
) -> Run | None:
    """A release with the damage in only a share of a suite's clusters, so that the suite loses about `loss` (0.03 is 3 points).

    None where the whole damage is no larger. What flipped, flipped in a real model.
    """
    whole = float(good[suite].mean() - bad[suite].mean())
    if whole <= loss:
        return None
    names = np.array(clusters)
    hit = np.isin(names, [name for name in sorted(set(clusters)) if random.random() < loss / whole])
    return {**good, suite: np.where(hit, bad[suite], good[suite])}
