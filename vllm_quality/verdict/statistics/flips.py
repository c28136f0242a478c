"""How many items changed sides: more than between repeated runs, and the release computes or decodes differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_FEWEST_RUNS = 3


@dataclass(frozen=True)
class Flips:
    """The share of right-or-wrong items that changed: now against the newest earlier run, before between neighbouring runs.

    p_value  one-sided, for more than before (Fisher's exact test); items that never change make it a careful one
    """

    n: int
    before: float
    now: float
    p_value: float


def count_flips(window: "ArrayLike", current: Sequence[float]) -> Flips | None:
    """The flips of a release; None for fewer than three earlier runs, and for scores that are not 0 or 1.

    window  scores, one row per run, the newest last; one column per item
    """
    import numpy as np
    from scipy.stats import fisher_exact

    runs, new = np.asarray(window, dtype=float), np.asarray(current, dtype=float)
    if len(runs) < _FEWEST_RUNS or not np.isin(np.append(runs.ravel(), new), (0.0, 1.0)).all():
        return None
    pairs = (len(runs) - 1) * runs.shape[1]
    earlier, now = int((runs[1:] != runs[:-1]).sum()), int((runs[-1] != new).sum())
    table = [[now, len(new) - now], [earlier, pairs - earlier]]
    return Flips(len(new), earlier / pairs, now / len(new), float(fisher_exact(table, alternative="greater")[1]))
