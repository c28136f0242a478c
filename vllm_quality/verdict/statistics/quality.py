"""A suite's items, this release against those before it: the sharpest test that what is known allows."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vllm_quality.verdict.statistics.dispersion import Dispersion
from vllm_quality.verdict.statistics.effect import Churn, Effect
from vllm_quality.verdict.statistics.paired import paired
from vllm_quality.verdict.statistics.window import FEWEST_RUNS, against_window

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Right-or-wrong items that changed: with fewer a t-test against the shares of a window is too sure, and each item's usual
# answer stands for the window (McNemar's exact test).
_FEWEST_CHANGED = 12


def compare_items(
    window: "ArrayLike",
    current: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    dispersion: Dispersion | None = None,
) -> Effect | None:
    """This release's score of each item against earlier runs'; None where there is too little to compare.

    window      scores, one row per accepted run, the newest last; one column per item
    current     the release's score of each item
    clusters    for each item, which others it belongs to
    dispersion  of this suite's runs, as all suites and calibration show it; left out, the window speaks for itself

    Against three runs and more: the fixed-item test. It takes any change that the window never showed for news; but a
    release whose arithmetic changed flips items in both directions and is no worse. So the paired test goes along as
    `churn`, and `decide` asks for a little of it, too. Against fewer runs: the paired test, with the newest.
    """
    import numpy as np

    scores = np.asarray(window, dtype=float)
    if len(scores) == 0:
        return None
    fixed = against_window(scores, current, dispersion) if len(scores) >= FEWEST_RUNS else None
    if fixed is None:
        return paired(scores[-1].tolist(), current, clusters)
    usual = scores.mean(axis=0)
    if np.isin(scores, (0.0, 1.0)).all():
        most = np.where(usual == 0.5, scores[-1], usual.round())
        if int((most != np.asarray(current)).sum()) < _FEWEST_CHANGED:
            usual = most
    changed = paired(usual.tolist(), current, clusters)
    if changed is None:
        return None
    return replace(fixed, churn=Churn(changed.p_lower, changed.p_higher, changed.noise))
