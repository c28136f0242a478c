"""A text against all others, by force: no hash, no chance, nothing that the search itself uses.

Two bounds spare most distances and lose no pair: the difference in length, and the q-gram lemma (Ukkonen 1992): an edit spoils
at most three 3-grams, so of texts k edits apart at most 3 k different 3-grams of the one are missing in the other. 3-grams are
bits of a hash; where two share a bit, fewer seem to be missing, which is safe.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.threshold import Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_BITS, _MEMORY = 4096, 256 * 2**20  # per text; bytes for all texts
_SHORT = 64  # characters; such are compared faster than their bits
_MOST_SHORTS = 500_000  # such held in memory
_BLOCK, _BLOCK_POINTS = 2_000, 1 << 20  # texts whose bits are made at a time, at most, and code points
_MULTIPLIERS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_USUAL_LENGTH = 850  # code points; above it a comparison costs more than a short one


class Everything:
    """All texts of a corpus, by length."""

    def __init__(self, texts: Sequence[str], threshold: Threshold) -> None:
        import numpy as np

        self._texts, self._threshold = texts, threshold
        lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
        self._order = np.argsort(lengths, kind="stable")
        self._lengths = lengths[self._order]
        self._place = np.empty(len(texts), dtype=np.int64)
        self._place[self._order] = np.arange(len(texts))
        shortest = lengths * (threshold.den - threshold.num) // threshold.den + 1
        longest = np.where(lengths > 0, (threshold.den * lengths - 1) // (threshold.den - threshold.num), 0)
        self._first = np.searchsorted(self._lengths, shortest)
        self._last = np.maximum(self._first, np.searchsorted(self._lengths, longest + 1))
        shorts = int(np.searchsorted(self._lengths, threshold.longest_near(_SHORT), side="right"))
        self._shorts = [texts[at] for at in self._order[: min(shorts, _MOST_SHORTS)].tolist()]
        self._bits = self._all_bits()
        self._counts = np.bitwise_count(self._bits).sum(axis=1, dtype=np.int32)

    def window_sizes(self) -> "NDArray[np.int64]":
        """Per text, how many others its length alone does not rule out to be near."""
        return self._last - self._first

    def costs(self) -> "NDArray[np.float64]":
        """Per text, what its comparisons cost, in comparisons of two texts of up to the usual length.

        Bit-parallel Levenshtein takes time with length × most edits; rapidfuzz stops early on most pairs of long texts.
        """
        import numpy as np

        lengths = np.empty(len(self._place), dtype=np.float64)
        lengths[self._order] = self._lengths.astype(np.float64)
        return np.asarray(self.window_sizes() * np.maximum(1.0, (lengths / _USUAL_LENGTH) ** 2), dtype=np.float64)

    def near(self, at: int) -> "NDArray[np.int64]":
        """Positions of all texts that are near text `at`, without itself."""
        import numpy as np
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        place, first, last = int(self._place[at]), int(self._first[at]), int(self._last[at])
        longer = np.maximum(self._lengths[first:last], self._lengths[place])
        allowed = (self._threshold.num * longer - 1) // self._threshold.den
        possible = np.ones(last - first, dtype=bool)
        if self._lengths[place] > _SHORT:
            shared = np.bitwise_count(self._bits[first:last] & self._bits[place]).sum(axis=1, dtype=np.int32)
            most = np.maximum(self._counts[first:last], self._counts[place])
            possible = most - shared <= 3 * allowed
        if first <= place < last:
            possible[place - first] = False
        left = np.flatnonzero(possible)
        if not len(left):
            return np.empty(0, dtype=np.int64)
        distances = cdist(
            [self._texts[at]],
            self._at(first + left),
            scorer=Levenshtein.distance,
            score_cutoff=int(allowed[left].max()),
            dtype=np.int32,
        )[0]
        others = self._order[first + left]
        near: NDArray[np.int64] = others[distances <= allowed[left]]
        return near

    def _at(self, places: "NDArray[np.int64]") -> list[str]:
        """The texts at some places by length, which ascend."""
        if int(places[-1]) < len(self._shorts):
            return [self._shorts[place] for place in places.tolist()]
        return [self._texts[at] for at in self._order[places].tolist()]

    def _all_bits(self) -> "NDArray[np.uint64]":
        import numpy as np

        width = _MOST_BITS
        while width > 64 and width // 8 * len(self._texts) > _MEMORY:
            width //= 2
        bits = np.zeros((len(self._texts), width // 64), dtype=np.uint64)
        points, start = np.concatenate(([0], np.cumsum(self._lengths))), 0
        while start < len(self._texts):
            # Whole texts, up to so many code points: each is held as several numbers meanwhile.
            end = int(np.searchsorted(points, points[start] + _BLOCK_POINTS, side="right")) - 1
            end = min(max(end, start + 1), start + _BLOCK, len(self._texts))
            bits[start:end] = _gram_bits([self._texts[at] for at in self._order[start:end].tolist()], width)
            start = end
        return bits


def _gram_bits(texts: list[str], width: int) -> "NDArray[np.uint64]":
    """Which 3-grams each text has: one bit of `width` for each, by a hash."""
    import numpy as np

    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    one, two, three = (points[at : len(points) - 2 + at] * np.uint32(by) for at, by in enumerate(_MULTIPLIERS))
    mixed = one ^ (two >> np.uint32(3)) ^ (three << np.uint32(5))
    mixed = (mixed * np.uint32(_MULTIPLIERS[0])) >> np.uint32(32 - width.bit_length() + 1)
    inside = owner[2:] == owner[: len(owner) - 2] if len(owner) > 2 else np.empty(0, dtype=bool)
    grid = np.zeros((len(texts), width), dtype=bool)
    grid[owner[2:][inside], mixed[inside]] = True
    return np.packbits(grid, axis=1).view(np.uint64)
