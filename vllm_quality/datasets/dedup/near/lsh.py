"""Candidates among long texts: those that share a band of their signatures, and whose sketches are alike enough."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.bands import ROWS, enumerate_ranges, rank_bits, sorted_band
from vllm_quality.datasets.dedup.near.collected import Bounds
from vllm_quality.datasets.dedup.near.grams import GRAM_VERSION, STOP_SHARE
from vllm_quality.datasets.dedup.near.signatures import SCHEME, SKETCH_BITS, unlike
from vllm_quality.datasets.dedup.threshold import Threshold
from vllm_quality.datasets.schema import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORT = 64  # code points; up to here, texts have too few grams for signatures to tell anything
_SLAB = 40_000_000  # candidates of similar length, before sketches are compared, that are worked on together
_MERGE = 8_000_000
_AT_ONCE = 1 << 13  # pairs whose sketches are in the cache together


@dataclass(frozen=True)
class Plan:
    """How signatures are made and banded for a threshold.

    least  pairs whose estimated Jaccard similarity is lower are not looked at
    """

    gram: int
    bands: int
    least: float
    seed: int

    @property
    def permutations(self) -> int:
        """Values in a signature."""
        return self.bands * ROWS

    @property
    def most_unlike(self) -> int:
        """How many of the sketch's values may differ."""
        chance = 2.0**-SKETCH_BITS
        return int(self.permutations * (1 - self.least) * (1 - chance))

    def describe(self) -> Mapping[str, object]:
        """For a manifest."""
        return {
            "gram": self.gram,
            "permutations": self.permutations,
            "bands": self.bands,
            "rows": ROWS,
            "scheme": SCHEME,
            "seed": self.seed,
            "gram_hash": GRAM_VERSION,
            "stop_gram_share": 1 / STOP_SHARE,
            "least_estimated_jaccard": self.least,
        }


def plan_for(threshold: Threshold, seed: int) -> Plan:
    """The parameters for a threshold. Raises `DatasetError` above 0.35, where shared grams say nothing."""
    # A scattered edit in every n-th character leaves (1 - d)^gram of the grams: of 4-grams .41 at 0.2, Jaccard .26.
    for most, plan in (
        ((1, 5), Plan(4, 128, 0.12, seed)),
        ((1, 4), Plan(3, 128, 0.10, seed)),
        ((3, 10), Plan(3, 256, 0.08, seed)),
        ((7, 20), Plan(3, 256, 0.06, seed)),
    ):
        if threshold.num * most[1] <= most[0] * threshold.den:
            return plan
    raise DatasetError(f"A threshold of {threshold} is too far apart to be searched for; the largest is 0.35.")


class Index:
    """Signatures of one corpus by rank, searched for pairs of it.

    ends     by rank, the first rank whose text is too long to be near
    crowded  whether a bucket was so full that its texts were compared with a few of it only
    """

    def __init__(
        self,
        found: "NDArray[np.uint32]",
        words: "NDArray[np.uint64]",
        ends: "NDArray[np.int64]",
        places: "NDArray[np.int64]",
        plan: Plan,
        bounds: Bounds,
    ) -> None:
        import numpy as np

        self._found, self._words, self._ends, self._places = found, words, ends, places
        self._plan, self._bounds = plan, bounds
        self._texts = found.shape[1]
        self._bits = rank_bits(self._texts)
        self._mask = np.uint64((1 << self._bits) - 1)
        self.crowded = False

    def candidates(self, told: Callable[[int], None]) -> "Iterator[NDArray[np.uint64]]":
        """Pairs as `first << 32 | second`, each once, sorted, in pieces; `told` hears how many bands are done."""
        slabs = self._slabs() if self._texts > 1 else []
        for number, (low, high) in enumerate(slabs):
            pieces: list[NDArray[np.uint64]] = []
            held = 0
            for band in range(self._plan.bands):
                for first, second in self._pairs(band, low, high):
                    pieces.append(alike(self._words, self._words, first, second, self._plan))
                    held += len(pieces[-1])
                if held > _MERGE or band + 1 == self._plan.bands:
                    pieces = [once(pieces)]
                    held = len(pieces[0])
                told((number * self._plan.bands + band + 1) // len(slabs))
            yield pieces[0]

    def _pairs(self, band: int, low: int, high: int) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]":
        """Pairs of ranks that share this band, the first between `low` and `high` and the second not too long for it."""
        import numpy as np

        keys = sorted_band(self._found, band, self._bits)
        at, stop = self._partners(keys)
        ranks = (keys & self._mask).astype(np.int64)
        most = self._bounds.in_bucket(band, self._texts)
        if len(at) and int((stop - at).max()) > most:
            self.crowded |= band < self._bounds.tried
            inside = np.zeros(len(keys), dtype=np.bool_)
            for first, last in self._crowds(keys, at[stop - at > most]):
                inside[first:last] = True
                yield from self._pivot_pairs(ranks[first:last], low, high)
            at, stop = at[~inside[at]], stop[~inside[at]]
        if low > 0 or high < self._texts:
            some = (ranks[at] >= low) & (ranks[at] < high)
            at, stop = at[some], stop[some]
        for owners, positions in enumerate_ranges(at, at + 1, stop):
            yield ranks[owners], ranks[positions]

    def _partners(self, keys: "NDArray[np.uint64]") -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
        """Positions in the sorted band that have a neighbour in their bucket, and up to where their partners reach."""
        import numpy as np

        at = np.flatnonzero((keys[1:] ^ keys[:-1]) >> np.uint64(self._bits) == 0)
        some = keys[at]
        last = self._ends[(some & self._mask).astype(np.int64)].astype(np.uint64)
        return at, np.searchsorted(keys, some & ~self._mask | last)

    def _crowds(self, keys: "NDArray[np.uint64]", at: "NDArray[np.int64]") -> list[tuple[int, int]]:
        """Where the buckets of these positions begin and end."""
        import numpy as np

        heads = np.unique(keys[at] & ~self._mask)
        return list(zip(np.searchsorted(keys, heads), np.searchsorted(keys, heads | self._mask, "right"), strict=True))

    def _pivot_pairs(
        self, ranks: "NDArray[np.int64]", low: int, high: int
    ) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]":
        """The texts of a crowded bucket with those of it that are preferred most."""
        import numpy as np

        pivots = self._bounds.pivots
        for pivot in ranks[np.argpartition(self._places[ranks], pivots)[:pivots]]:
            first, second = np.minimum(ranks, pivot), np.maximum(ranks, pivot)
            some = (first < second) & (second < self._ends[first]) & (first >= low) & (first < high)
            yield first[some], second[some]

    def _slabs(self) -> list[tuple[int, int]]:
        """Ranges of ranks with about equally many candidates, told from a few bands."""
        import numpy as np

        counts = np.zeros(self._texts, dtype=np.int64)
        looked = range(0, self._plan.bands, max(1, self._plan.bands // 4))
        for band in looked:
            keys = sorted_band(self._found, band, self._bits)
            at, stop = self._partners(keys)
            counts[(keys[at] & self._mask).astype(np.int64)] += np.minimum(
                stop - at, self._bounds.in_bucket(band, self._texts)
            )
        total = np.cumsum(counts) * (self._plan.bands // len(looked))
        slabs = 1 + int(total[-1]) // _SLAB
        cuts = np.searchsorted(total, np.arange(1, slabs) * (int(total[-1]) // slabs))
        bounds = sorted({0, *(int(cut) for cut in cuts), self._texts})
        return list(pairwise(bounds))


def once(pieces: "list[NDArray[np.uint64]]") -> "NDArray[np.uint64]":
    """The pairs of all pieces, sorted, each once."""
    import numpy as np

    codes = np.concatenate([np.empty(0, dtype=np.uint64), *pieces])
    codes.sort()
    new = np.ones(len(codes), dtype=np.bool_)
    new[1:] = codes[1:] != codes[:-1]
    return codes[new]


def alike(
    one: "NDArray[np.uint64]",
    other: "NDArray[np.uint64]",
    first: "NDArray[np.int64]",
    second: "NDArray[np.int64]",
    plan: Plan,
) -> "NDArray[np.uint64]":
    """The pairs whose sketches are alike enough, as `first << 32 | second`."""
    import numpy as np

    pieces = [np.empty(0, dtype=np.uint64)]
    for at in range(0, len(first), _AT_ONCE):
        left, right = first[at : at + _AT_ONCE], second[at : at + _AT_ONCE]
        differ = np.zeros(len(left), dtype=np.uint64)
        for part in range(len(one)):
            differ += unlike(one[part].take(left, axis=0), other[part].take(right, axis=0))
            # A part of the values tells less than all: there is room for chance.
            most = plan.most_unlike * (part + 1) // len(one) + (13 if part + 1 < len(one) else 0)
            some = np.flatnonzero(differ <= most)
            left, right, differ = left[some], right[some], differ[some]
        pieces.append(left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64))
    return np.concatenate(pieces)
