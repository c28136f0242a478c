"""The same items asked of two releases: did the later one answer worse?

Items differ in difficulty far more than releases do; differences per item take that out. On 1,000 items with 2 % of flips a
loss of 2 points stands out that two separate means cannot show (Miller, arXiv 2411.00640; Kuebler et al., arXiv 2602.10144).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vllm_quality.verdict.statistics.effect import CONFIDENCE, Effect, Noise

if TYPE_CHECKING:
    from numpy.typing import NDArray


def paired(
    baseline: Sequence[float], current: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> Effect | None:
    """Compare two releases' scores of the same items, in the same order; None for fewer than two items or clusters.

    clusters  for each item, which others it belongs to (items about one passage); each is its own where left out

    Right-or-wrong items on their own: McNemar's exact test and Bonett and Price's interval. Everything else: Student's t over
    the differences, summed by cluster; of right-or-wrong items in clusters, the less sure of the two.
    """
    import numpy as np

    before, after = np.asarray(baseline, dtype=float), np.asarray(current, dtype=float)
    if before.shape != after.shape:
        raise ValueError(f"{before.size} and {after.size} scores cannot be paired")
    own = clusters is None or len(set(clusters)) == len(before)
    if before.size < 2 or (clusters is not None and len(set(clusters)) < 2):
        return None
    binary = np.isin(before, (0.0, 1.0)).all() and np.isin(after, (0.0, 1.0)).all()
    if own or clusters is None:
        return _binary(before, after) if binary else _by_clusters(before, after, range(before.size))
    together = _by_clusters(before, after, clusters)
    if not binary:
        return together
    # A few changed items in many small clusters: Student's t is too sure of them, and McNemar is not.
    alone = _binary(before, after)
    p_lower, p_higher = max(alone.p_lower, together.p_lower), max(alone.p_higher, together.p_higher)
    return replace(alone if alone.stderr > together.stderr else together, p_lower=p_lower, p_higher=p_higher)


def _binary(before: "NDArray", after: "NDArray") -> Effect:  # type: ignore[type-arg]
    from scipy.stats import binom, norm

    n, lost, gained = before.size, int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum())
    changed = lost + gained
    # Bonett and Price (2012): an item added to each kind of change keeps the interval honest where there are few.
    down, up = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    half = float(norm.ppf(0.5 + CONFIDENCE / 2)) * math.sqrt((down + up - (up - down) ** 2) / (n + 2))
    share, difference = changed / n, (gained - lost) / n
    return Effect(
        n=n,
        baseline=float(before.mean()),
        current=float(after.mean()),
        difference=difference,
        stderr=math.sqrt((share - difference**2) / n),
        low=max(-1.0, up - down - half),
        high=min(1.0, up - down + half),
        p_lower=float(binom.sf(lost - 1, changed, 0.5)),
        p_higher=float(binom.sf(gained - 1, changed, 0.5)),
        noise=Noise(math.sqrt(share / n), n, share),
        method=f"McNemar, exact: {lost} lost, {gained} gained",
    )


def _by_clusters(before: "NDArray", after: "NDArray", clusters: Sequence[Hashable]) -> Effect:  # type: ignore[type-arg]
    import numpy as np
    from scipy.stats import t as student

    difference = after - before
    number: dict[Hashable, int] = {}
    member = np.array([number.setdefault(cluster, len(number)) for cluster in clusters])
    sums = np.bincount(member, weights=difference - difference.mean())
    groups, n = len(number), difference.size
    stderr = math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / n
    mean = float(difference.mean())
    half = float(student.ppf(0.5 + CONFIDENCE / 2, groups - 1)) * stderr
    if stderr > 0:
        lower = float(student.cdf(mean / stderr, groups - 1))
        higher = float(student.sf(mean / stderr, groups - 1))
    else:  # every item moved by the same amount, most often by none
        lower, higher = float(mean >= 0), float(mean <= 0)
        # No difference among n items leaves room for those that were not asked: the rule of three.
        half = _unseen(groups) * float(np.ptp(np.concatenate([before, after])) or 1.0)
    # Three equal differences are no certainty: half of the signs of so many are as likely to come out so.
    lower, higher = max(lower, 0.5**groups), max(higher, 0.5**groups)
    by = "" if groups == n else f" in {groups} clusters"
    return Effect(
        n=n,
        baseline=float(before.mean()),
        current=float(after.mean()),
        difference=mean,
        stderr=stderr,
        low=mean - half,
        high=mean + half,
        p_lower=lower,
        p_higher=higher,
        noise=Noise(stderr or half / 2, n),
        method=f"Student's t over {n} differences{by}",
    )


def _unseen(n: int) -> float:
    """The largest share of changed items that none among n does not rule out."""
    return float(1 - (1 - CONFIDENCE) ** (1 / n))
