"""Near pairs as they are found: so many of them at most, and if there are more, those that a star needs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.texts import Ranked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Bounds:
    """What a search does at most where thousands of texts are near one another, as templates are.

    pairs   that are held
    crowd   texts that one may be likely to be near, before only `pivots` of them are compared with it
    bucket  texts in a bucket of LSH, before only `pivots` of them are compared with it; those of one that are near one
            another meet in many buckets, so that the first `tried` bands, whose limit is `crowd`, are enough for them
    """

    pairs: int = 5_000_000
    crowd: int = 2_000
    bucket: int = 512
    tried: int = 16
    pivots: int = 8

    def in_bucket(self, band: int, texts: int) -> int:
        """The limit of a bucket; in a large corpus, many may share an opening and nothing else."""
        return max(self.crowd if band < self.tried else self.bucket, texts // 64)


BOUNDS = Bounds()


class Collected:
    """Pairs of ranks with their edits, in any order, some perhaps twice.

    Above the bound, each text keeps those with the few texts that are preferred most, of those preferred to itself: so
    the centre of a star keeps all that lie around it, and what is kept does not depend on the order in which pairs come.
    """

    def __init__(self, ranked: Ranked, bounds: Bounds = BOUNDS) -> None:
        self._places, self._bounds, self._most = ranked.places, bounds, bounds.pairs
        self._each = max(1, self._most // max(len(ranked), 1))
        self._parts: list[NDArray[np.int64]] = []
        self._held = 0
        self._bars: NDArray[np.int64] | None = None
        self.crowded = False

    @property
    def incomplete(self) -> str | None:
        """What is missing, one sentence; None when nothing is."""
        if self._bars is not None:
            return (
                f"There are more than {self._most:,} near pairs; of each text, those with up to {self._each:,} others were "
                "kept: enough to remove duplicates, but not all to be listed."
            )
        if self.crowded:
            return (
                f"Some texts resemble more than {self._bounds.crowd:,} others, as templates do, and were compared with {self._bounds.pivots} of those: "
                "enough to remove duplicates, but not all near pairs are listed."
            )
        return None

    def add(self, found: "NDArray[np.int64]") -> None:
        """Add pairs: 3 x pairs."""
        if self._bars is not None:
            lesser, better = self._sides(found)
            found = found[:, better <= self._bars[lesser]]
        self._parts.append(found)
        self._held += found.shape[1]
        if self._held > 2 * self._most:
            self._thin()

    def _sides(self, found: "NDArray[np.int64]") -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
        """Of each pair, the place of the text that is preferred less, and of the other."""
        import numpy as np

        one, other = self._places[found[0]], self._places[found[1]]
        return np.maximum(one, other), np.minimum(one, other)

    def _thin(self) -> None:
        import numpy as np

        found = self._once()
        if found.shape[1] > self._most:
            lesser, better = self._sides(found)
            order = np.lexsort((better, lesser))
            lesser, better = lesser[order], better[order]
            number = np.arange(len(order)) - np.searchsorted(lesser, lesser, side="left")
            self._bars = np.full(len(self._places), len(self._places), dtype=np.int64)
            last = number == self._each - 1
            self._bars[lesser[last]] = better[last]
            found = found[:, order[number < self._each]]
        self._parts, self._held = [found], found.shape[1]

    def _once(self) -> "NDArray[np.int64]":
        import numpy as np

        found = np.concatenate([np.empty((3, 0), dtype=np.int64), *self._parts], axis=1)
        return found[:, np.unique(found[0] << 32 | found[1], return_index=True)[1]]

    def pairs(self) -> "NDArray[np.int64]":
        """What is kept: 3 x pairs, each once."""
        self._thin()
        return self._parts[0]
