"""How much more whole runs scatter than their items do on their own (phi): few runs say little of it, so suites share.

Items of a run move together: a batch's numerics, a server's neighbours, a judge's mood. A test that takes them as independent
raises false alarms on a fifth to a third of good releases. Five runs of one suite give four degrees of freedom, which would
cost most of the power; what all suites show, and what equal runs on average show (1), is borrowed, as limma does for genes
(Smyth, 2004).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_PRIOR = 8.0  # degrees of freedom that "items are independent" is worth before any run was seen
_SHARED = 24.0  # at most so many degrees of freedom does a suite borrow from the others
_COIN = 0.5  # the standard deviation of an item that is right as often as wrong


@dataclass(frozen=True)
class Dispersion:
    """An estimate of phi and the degrees of freedom behind it."""

    phi: float
    freedom: float


def item_noise(runs: "ArrayLike") -> float:
    """The variance of a run's mean if its items varied on their own.

    runs  scores, one row per run of models that count as equal, one column per item; two rows or more
    Runs that never differed may yet: one item that a coin decides is the least that is assumed.
    """
    import numpy as np

    scores = np.asarray(runs, dtype=float)
    least = (_COIN * float(np.ptp(scores) or 1.0)) ** 2
    return max(float(scores.var(axis=0, ddof=1).sum()), least) / int(scores.shape[1]) ** 2


def observed(runs: "ArrayLike") -> Dispersion:
    """What the runs of one suite show by themselves; below 1 where they happened to agree."""
    import numpy as np

    scores = np.asarray(runs, dtype=float)
    return Dispersion(float(scores.mean(axis=1).var(ddof=1)) / item_noise(scores), len(scores) - 1)


def shared(suites: Mapping[str, Dispersion]) -> dict[str, Dispersion]:
    """Each suite's phi, drawn towards what all of them show, at least 1; for every name that came in."""
    total = _PRIOR + sum(each.freedom for each in suites.values())
    common = (_PRIOR + sum(each.phi * each.freedom for each in suites.values())) / total
    borrowed = min(total, _SHARED)
    return {
        name: Dispersion(
            max(1.0, (borrowed * common + own.phi * own.freedom) / (borrowed + own.freedom)), borrowed + own.freedom
        )
        for name, own in suites.items()
    }
