"""What a comparison found, in the metric's own unit: how far, how sure, and how little would have been seen."""

from dataclasses import dataclass

CONFIDENCE = 0.95  # of every interval that a person sees
POWER = 0.95  # a minimum detectable effect is what would be detected this often


@dataclass(frozen=True)
class Effect:
    """The difference of two releases on one metric: in the metric's unit for scores, relative (0.1 is 10 %) for load.

    n                  items, requests or runs that were compared
    baseline, current  in the metric's unit
    difference         of current from baseline; low, high: its 95 % interval
    stderr             of the difference
    p_lower            one-sided: how likely a difference this low, or lower, is between equal releases
    p_higher           the same for one this high
    noise              what a minimum detectable effect is computed from: `detectable` in `power.py`
    churn              the same difference by the items that changed, where the test itself knows nothing of them
    method             the test, in words
    """

    n: int
    baseline: float
    current: float
    difference: float
    stderr: float
    low: float
    high: float
    p_lower: float
    p_higher: float
    noise: "Noise"
    method: str
    churn: "Churn | None" = None


@dataclass(frozen=True)
class Churn:
    """A difference by the items that changed: as many in either direction are no loss, however many they are.

    p_lower, p_higher  one-sided
    noise              of a release that changes as many items as this one
    """

    p_lower: float
    p_higher: float
    noise: "Noise"


@dataclass(frozen=True)
class Noise:
    """How much two equal releases differ by chance.

    stderr      of the difference, where there is none
    discordant  for right-or-wrong items: the share that the releases answered differently; None for other scores
    n           items
    """

    stderr: float
    n: int
    discordant: float | None = None
