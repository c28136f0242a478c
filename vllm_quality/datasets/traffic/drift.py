"""How far one distribution is from another: the population stability index, and how much of it chance alone explains.

PSI = Σ (q − p) ln(q / p) over bins. Of two samples of n and m from one distribution it is about (1/n + 1/m) χ² with one degree
of freedom fewer than bins (Yurdakul 2018, "Statistical properties of population stability index"): with 30 items and ten bins
that alone is 0.3, above any usual limit. So a drift counts only where it is also beyond what chance gives once in a thousand.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

_MOST_BINS = 10
_PER_BIN = 5  # items that a bin should expect of the smaller sample
_SMOOTHING = 0.5  # added to each bin: an empty one would make the index infinite
_RARE = 0.02  # categories below this share of both samples together are counted as one
_CHANCE = 0.001
REST = "others"


@dataclass(frozen=True)
class Shift:
    """The index between a reference of n items and a current sample of m.

    psi    as measured
    noise  what it would be on average with no shift at all
    floor  what it would exceed once in a thousand times with no shift at all
    """

    psi: float
    noise: float
    floor: float
    bins: int
    n: int
    m: int

    def beyond(self, limit: float) -> bool:
        """Whether the shift is above the limit after what chance explains, and could not be chance."""
        return self.psi - self.noise > limit and self.psi > self.floor


def numeric_shift(reference: Sequence[int], current: Sequence[int]) -> Shift:
    """The shift of a number's distribution, in bins that hold equal shares of the reference. Both have items."""
    edges = _edges(sorted(reference), max(2, min(_MOST_BINS, min(len(reference), len(current)) // _PER_BIN)))
    return _shift(_binned(reference, edges), _binned(current, edges))


def category_shift(reference: Mapping[str, int], current: Mapping[str, int]) -> Shift:
    """The shift between two counts of categories. Both have items."""
    total = sum(reference.values()) + sum(current.values())
    names = sorted({*reference, *current})
    common = [name for name in names if reference.get(name, 0) + current.get(name, 0) >= _RARE * total]
    counts = [[side.get(name, 0) for name in common] for side in (reference, current)]
    if len(common) < len(names):
        for side, found in zip((reference, current), counts, strict=True):
            found.append(sum(side.values()) - sum(found))
    return _shift(*counts)


def _edges(ordered: Sequence[int], bins: int) -> list[int]:
    """The reference's quantiles. Equal ones fall together, as where half of all questions have one length."""
    return sorted({ordered[len(ordered) * place // bins] for place in range(1, bins)})


def _binned(values: Sequence[int], edges: Sequence[int]) -> list[int]:
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect.bisect_right(edges, value)] += 1
    return counts


def _shift(reference: Sequence[int], current: Sequence[int]) -> Shift:
    from numpy import array, log

    bins = [pair for pair in zip(reference, current, strict=True) if any(pair)]
    reference, current = [pair[0] for pair in bins], [pair[1] for pair in bins]
    n, m, freedom = sum(reference), sum(current), len(reference) - 1
    p, q = ((array(side) + _SMOOTHING) / (sum(side) + _SMOOTHING * len(side)) for side in (reference, current))
    chance = 1 / n + 1 / m
    return Shift(
        psi=float(((q - p) * log(q / p)).sum()),
        noise=chance * freedom,
        floor=chance * _chi_square(freedom),
        bins=len(reference),
        n=n,
        m=m,
    )


def _chi_square(freedom: int) -> float:
    """The value that χ² exceeds with probability `_CHANCE` (Wilson and Hilferty's approximation)."""
    if freedom == 0:
        return 0.0
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + NormalDist().inv_cdf(1 - _CHANCE) * spread**0.5) ** 3)
