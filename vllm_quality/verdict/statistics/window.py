"""The same items asked of several accepted releases and of a new one: is the new one below what they scatter by?

A benchmark's items are fixed; what varies from run to run is the answer to an item. That scatter, measured over the window
itself, is much smaller than what sampling the items adds, so a smaller loss stands out than between two runs.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vllm_quality.verdict.statistics.dispersion import Dispersion, item_noise, observed, shared
from vllm_quality.verdict.statistics.effect import CONFIDENCE, Effect, Noise

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEWEST_RUNS = 3  # of a window: two say next to nothing about the scatter


def against_window(
    window: "ArrayLike", current: Sequence[float], dispersion: Dispersion | None = None
) -> Effect | None:
    """Compare a release's scores with those of a window of runs; None for a window of fewer than three.

    window      scores, one row per run, one column per item
    current     the release's score of each item
    dispersion  of this suite, as all suites and calibration show it; what the window shows alone, where left out
    """
    import numpy as np
    from scipy.special import stdtr, stdtrit

    scores, new = np.asarray(window, dtype=float), np.asarray(current, dtype=float)
    count, n = scores.shape
    if count < FEWEST_RUNS or n < 2:
        return None
    dispersion = dispersion or shared({"": observed(scores)})[""]
    stderr = math.sqrt(item_noise(scores) * dispersion.phi * (1 + 1 / count))
    before, after = float(scores.mean()), float(new.mean())
    difference = after - before
    half = float(stdtrit(dispersion.freedom, 0.5 + CONFIDENCE / 2)) * stderr
    return Effect(
        n=n,
        baseline=before,
        current=after,
        difference=difference,
        stderr=stderr,
        low=difference - half,
        high=difference + half,
        p_lower=float(stdtr(dispersion.freedom, difference / stderr)),
        p_higher=float(stdtr(dispersion.freedom, -difference / stderr)),
        noise=Noise(stderr, n),
        method=f"fixed items against {count} runs, phi {dispersion.phi:.2g}",
    )
