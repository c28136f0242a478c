"""How many of the near pairs were found: a random sample of texts, compared with all others by force.

Recall is found / true pairs among those of the sample. The interval is Clopper and Pearson's with the effective sample size of
Korn and Graubard (1998): pairs of one text are found or missed together, at worst, so the texts are what is counted, and a
text with many pairs does not count as many. Stopping as soon as the interval decides would make it too narrow; each look
therefore gets its share of the error (Bonferroni).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vllm_quality.datasets.dedup.force import Everything
from vllm_quality.datasets.dedup.near.search import Progress
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Decision = Literal["pass", "fail", "undecided"]

REQUIRED, CONFIDENCE = 0.99, 0.95
MOST_COMPARISONS = 30_000_000
_CHEAP = 3_000_000  # comparisons for all texts, which are then simply made
_OVERDRAWN = 4  # times `MOST_COMPARISONS` that the first look may cost
_FIRST_LOOK = 128  # texts; then twice as many, and so on
_ENOUGH = 8  # listed pairs with earlier texts
_METHOD = "Clopper-Pearson on texts (Korn-Graubard effective size), Bonferroni over looks"


@dataclass(frozen=True)
class Certificate:
    """What a random sample of texts tells about the recall of the near pairs.

    sampled      texts compared with all others, of so many different `texts`
    true_pairs   near pairs that they have, each counted once; `found`: those of them that the search had found
    recall       found / true_pairs; None where the sample has no pair
    low, high    its two-sided confidence interval; exact where all texts were compared
    verdict      "pass": low is at least `required`; "fail": high is below it; else "undecided"
    comparisons  pairs of texts that were decided by force
    """

    sampled: int
    texts: int
    true_pairs: int
    found: int
    recall: float | None
    low: float
    high: float
    confidence: float
    required: float
    method: str
    seed: int
    verdict: Decision
    comparisons: int

    @property
    def sentence(self) -> str:
        """The certificate for a person."""
        if self.true_pairs == 0:
            what = "have no near pair" if self.sampled == self.texts else "have no near pair, which tells little"
            return f"{self.sampled:,} of {self.texts:,} texts, compared with all others, {what}."
        return (
            f"Recall {self.recall:.4f} ({self.confidence:.0%} interval {self.low:.4f} to {self.high:.4f}): {self.found:,} of "
            f"{self.true_pairs:,} near pairs of {self.sampled:,} sampled texts were found; {self.required:.2f} is "
            f"{_SAID[self.verdict]}."
        )


_SAID = {"pass": "reached", "fail": "missed", "undecided": "neither shown nor ruled out"}


def certify(
    texts: Sequence[str],
    first: "NDArray[np.int64]",
    second: "NDArray[np.int64]",
    threshold: Threshold = USUAL,
    *,
    seed: int = 1,
    most_comparisons: int = MOST_COMPARISONS,
    among: "NDArray[np.bool_] | None" = None,
    bounded: bool = False,
    progress: Progress | None = None,
) -> Certificate:
    """Measure which share of the near pairs of different texts a search has found; the same for any order of the texts.

    first, second     what it found, as positions in `texts`
    most_comparisons  the sample grows until the interval decides about REQUIRED, or this is spent
    among             the texts whose pairs count (a day's, of a day and a bank); all where left out
    bounded           whether the search left out pairs of templates on purpose: then the second text of such a pair counts
                      as found when it has enough listed pairs with earlier texts
    """
    import numpy as np

    everything = Everything(texts, threshold)
    order = _sample_order(texts, seed, among)
    costs, comparisons = np.cumsum(everything.costs()[order]), np.cumsum(everything.window_sizes()[order])
    looks = _looks_at(costs, most_comparisons)
    error = (1 - CONFIDENCE) / len(looks)
    listed = _Listed(first, second, len(texts), bounded)
    seen = np.zeros(len(texts), dtype=bool)
    true, found = list[int](), list[int]()
    for look in looks:
        for at in order[len(true) : look].tolist():
            others = everything.near(at)
            others = others[~seen[others]]
            seen[at] = True
            true.append(len(others))
            found.append(listed.count(at, others))
            if progress is not None:
                progress("recall", int(costs[len(true) - 1]), int(costs[looks[-1] - 1]))
        low, high = recall_interval(true, found, error)
        complete = look == len(order)
        if complete:
            low = high = sum(found) / sum(true) if sum(true) else 1.0
        verdict: Decision = "pass" if low >= REQUIRED else "fail" if high < REQUIRED else "undecided"
        if verdict != "undecided":
            break
    return _certificate(
        true, found, (low, high), len(order), seed, verdict, int(comparisons[len(true) - 1]) if true else 0
    )


class _Listed:
    """The pairs that the search has listed."""

    def __init__(self, first: "NDArray[np.int64]", second: "NDArray[np.int64]", texts: int, bounded: bool) -> None:
        import numpy as np

        self._texts, self._bounded = texts, bounded
        self._codes = np.sort(np.maximum(first, second) * texts + np.minimum(first, second))

    def count(self, at: int, others: "NDArray[np.int64]") -> int:
        """How many of the pairs of a text with others are listed."""
        import numpy as np

        second = np.maximum(at, others) * self._texts
        codes = second + np.minimum(at, others)
        place, end = np.searchsorted(self._codes, codes), len(self._codes)
        listed = np.zeros(len(codes), dtype=bool)
        listed[place < end] = self._codes[place[place < end]] == codes[place < end]
        if self._bounded:
            listed |= place - np.searchsorted(self._codes, second) >= _ENOUGH
        return int(listed.sum())


def recall_interval(true: Sequence[int], found: Sequence[int], error: float) -> tuple[float, float]:
    """A two-sided interval of the recall that covers it but with probability `error`.

    true, found  per sampled text, its near pairs and those of them that were found
    """
    from scipy.stats import beta

    pairs = sum(true)
    if pairs == 0:
        return 0.0, 1.0
    # Kish's effective size, as if all pairs of a text were found or missed together.
    size = pairs**2 / sum(count**2 for count in true)
    hits = size * sum(found) / pairs
    low = float(beta.ppf(error / 2, hits, size - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - error / 2, hits + 1, size - hits)) if hits < size else 1.0
    return low, high


def _looks_at(costs: "NDArray[np.float64]", most: int) -> list[int]:
    """How many texts were compared when the interval is looked at; the last is what `most` affords.

    costs  of the first texts, for each number of them
    """
    import numpy as np

    if not len(costs) or costs[-1] <= min(_CHEAP, most):
        return [len(costs)]
    # Long texts can make a first look of the usual size too dear; one text is always looked at.
    dear = int(np.searchsorted(costs, _OVERDRAWN * most, side="right"))
    affordable = int(np.searchsorted(costs, most, side="right"))
    return _looks(min(len(costs), max(affordable, min(_FIRST_LOOK, dear), 1)))


def _looks(affordable: int) -> list[int]:
    steps = max(0, math.ceil(math.log2(max(1, affordable / _FIRST_LOOK))))
    return [*(_FIRST_LOOK << step for step in range(steps)), affordable]


def _sample_order(texts: Sequence[str], seed: int, among: "NDArray[np.bool_] | None") -> "NDArray[np.int64]":
    """The texts that are not empty, in an order that only they and the seed decide."""
    import numpy as np

    chosen = [at for at in range(len(texts)) if (among is None or among[at]) and texts[at]]
    key = str(seed).encode()
    drawn = [
        hashlib.blake2b(texts[at].encode("utf-8", "surrogatepass"), digest_size=16, key=key).digest() for at in chosen
    ]
    return np.array([at for _, at in sorted(zip(drawn, chosen, strict=True))], dtype=np.int64)


def _certificate(
    true: list[int],
    found: list[int],
    interval: tuple[float, float],
    texts: int,
    seed: int,
    verdict: Decision,
    comparisons: int,
) -> Certificate:
    return Certificate(
        sampled=len(true),
        texts=texts,
        true_pairs=sum(true),
        found=sum(found),
        recall=sum(found) / sum(true) if sum(true) else None,
        low=interval[0],
        high=interval[1],
        confidence=CONFIDENCE,
        required=REQUIRED,
        method="all texts compared" if len(true) == texts else _METHOD,
        seed=seed,
        verdict=verdict,
        comparisons=comparisons,
    )
