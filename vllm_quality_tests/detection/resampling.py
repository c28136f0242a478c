"""More releases out of the recorded ones: histories, good runs drawn anew, and damage that is thinned out."""

from collections.abc import Sequence

import numpy as np  # noqa: TID253

from vllm_quality_tests.detection.runs import Run


def history(runs: Sequence[Run], size: int, random: np.random.Generator) -> list[Run]:
    """A window of accepted releases, drawn from good runs with replacement: on a CPU a repeated run is the same run."""
    return [runs[at] for at in random.integers(0, len(runs), size)]


def drawn(runs: Sequence[Run], random: np.random.Generator) -> Run:
    """A good run: each item as in one of the recorded runs."""
    found = {}
    for suite, first in runs[0].scores.items():
        count = len(runs[0].items[suite].names)
        chosen = random.integers(0, len(runs), count)
        found[suite] = {
            metric: np.array([run.scores[suite][metric] for run in runs])[chosen, np.arange(count)] for metric in first
        }
    return Run(runs[0].items, found)


def churned(good: Run, changed: float, random: np.random.Generator) -> Run:
    """A release that is as good and answers a share of the items differently, as after a change of arithmetic.

    As many items are lost as won, but for chance.
    """
    found = {}
    for suite, metrics in good.scores.items():
        scores = good.primary(suite)
        new = scores.copy()
        for value in (0.0, 1.0):
            own = np.flatnonzero(scores == value)
            count = min(len(own), random.binomial(len(scores), changed / 2))
            new[random.choice(own, count, replace=False)] = 1 - value
        found[suite] = {**metrics, good.items[suite].metric: new}
    return Run(good.items, found)


def thinned(good: Run, bad: Run, suite: str, loss: float, random: np.random.Generator) -> Run | None:
    """A release with the damage in only a share of a suite's clusters, so that the suite loses about `loss` (0.03 is 3 points).

    None where the whole damage is no larger. What flipped, flipped in a real model.
    """
    whole = float(good.primary(suite).mean() - bad.primary(suite).mean())
    if whole <= loss:
        return None
    names = np.array(good.items[suite].clusters)
    hit = np.isin(names, [name for name in sorted(set(names.tolist())) if random.random() < loss / whole])
    mixed = {
        metric: np.where(hit, bad.scores[suite].get(metric, values), values)
        for metric, values in good.scores[suite].items()
    }
    return Run(good.items, {**good.scores, suite: mixed})
