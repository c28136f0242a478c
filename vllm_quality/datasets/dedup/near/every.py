"""Every pair of texts of similar length, without computing most distances: near texts share many n-grams.

An edit spoils at most q of a text's q-grams, so that texts with k edits share at least L - q + 1 - qk of them, L being the
longer one's length (E. Ukkonen, "Approximate string-matching with q-grams and maximal matches", 1992). Shared grams are
counted by one matrix product per tile; grams that share a column can only add to the count, so that no near pair is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.bands import enumerate_ranges
from vllm_quality.datasets.dedup.near.collected import Bounds
from vllm_quality.datasets.dedup.near.grams import hash_grams
from vllm_quality.datasets.dedup.near.texts import Ranked
from vllm_quality.datasets.dedup.near.verify import near_ones
from vllm_quality.datasets.dedup.threshold import Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EVERY_VERSION = "shared n-grams, by matrix product / 1"
_ROWS, _COLUMNS = 512, 2048
_SLOTS = 20  # bits
_PIECE = 1 << 20
_FEW = 50_000  # pairs that are not worth a matrix


def gram_size(threshold: Threshold) -> int:
    """The size of grams that tell most at this threshold."""
    return 3 if threshold.num * 4 <= threshold.den else 2


@dataclass(frozen=True)
class Stratum:
    """Texts up to a length, and what it takes to compare them.

    columns  that grams are counted in: the longer the texts, the more
    """

    longest: int
    columns: int
    seconds_per_pair: float  # on one core of 2026, verification included


STRATA = (
    Stratum(64, 512, 5e-8),
    Stratum(256, 2048, 1.5e-7),
    Stratum(1024, 4096, 4e-7),
    Stratum(1 << 62, 4096, 8e-6),
)


def seconds_for_all(ranked: Ranked, ends: "NDArray[np.int64]", first: int = 0) -> float:
    """How long `compare_all` takes for the texts from rank `first`, roughly, on one core."""
    import numpy as np

    partners = np.cumsum(ends - np.arange(len(ranked)) - 1)
    seconds = 0.0
    for stratum, low, high in _strata(ranked, len(ranked)):
        before = max(low, first)
        if before < high:
            pairs = partners[high - 1] - (partners[before - 1] if before > 0 else 0)
            seconds += float(pairs) * stratum.seconds_per_pair
    return seconds


def _strata(ranked: Ranked, rows: int) -> Iterator[tuple[Stratum, int, int]]:
    low = 0
    for stratum in STRATA:
        high = min(int(ranked.lengths.searchsorted(stratum.longest, side="right")), rows)
        if low < high:
            yield stratum, low, high
        low = max(low, high)


def compare_all(
    ranked: Ranked, ends: "NDArray[np.int64]", rows: int, threshold: Threshold, workers: int, bounds: Bounds
) -> "Iterator[Compared]":
    """Near pairs with the first text's rank below `rows`, in pieces."""
    import numpy as np

    for stratum, low, high in _strata(ranked, rows):
        own = np.arange(low, high)
        if int((ends[low:high] - own).sum()) <= _FEW:
            one, other = next(enumerate_ranges(own, own + 1, ends[low:high], _FEW), (own[:0], own[:0]))
            yield Compared(high, near_ones(ranked, ranked, one, other, threshold, workers), False)
            continue
        counts = _Counts(ranked, low, int(ends[high - 1]), gram_size(threshold), stratum.columns)
        for top in range(low, high, _ROWS):
            bottom = min(top + _ROWS, high)
            enough = _likely(ranked, ends, top, bottom, counts, threshold)
            crowded = _thin_out(enough, ranked.places[top:], bounds)
            one, other = np.nonzero(enough)
            for at in range(0, max(len(one), 1), _PIECE):
                left, right = one[at : at + _PIECE] + top, other[at : at + _PIECE] + top
                yield Compared(bottom, near_ones(ranked, ranked, left, right, threshold, workers), crowded)


@dataclass(frozen=True, eq=False)
class Compared:
    """Near pairs (3 x pairs) up to a row, and whether texts of these rows were compared with a few of many only."""

    rows: int
    found: "NDArray[np.int64]"
    crowded: bool


def _likely(
    ranked: Ranked, ends: "NDArray[np.int64]", top: int, bottom: int, counts: "_Counts", threshold: Threshold
) -> "NDArray[np.bool_]":
    """Which texts share enough grams with those of some rows: rows x texts, both from rank `top` on."""
    import numpy as np

    size, last = gram_size(threshold), int(ends[bottom - 1])
    block = counts.tile(top, bottom)
    enough = np.empty((bottom - top, last - top), dtype=np.bool_)
    for left in range(top, last, _COLUMNS):
        right = min(left + _COLUMNS, last)
        longer = ranked.lengths[left:right]
        least = longer - (size - 1) - size * ((threshold.num * longer - 1) // threshold.den)
        shared = block @ counts.tile(left, right).T
        np.greater_equal(shared, least.astype(np.float32), out=enough[:, left - top : right - top])
    enough &= np.arange(top, last) < ends[top:bottom, None]
    enough[:, : bottom - top] &= np.arange(top, bottom) > np.arange(top, bottom)[:, None]
    return enough


def _thin_out(enough: "NDArray[np.bool_]", places: "NDArray[np.int64]", bounds: Bounds) -> bool:
    """Of a row with too many, leave those that are preferred most, unless it is one of them; whether there was such a row.

    Few rows are preferred to all behind them, as long as preference does not follow length.
    """
    import numpy as np

    crowds = np.flatnonzero(np.count_nonzero(enough, axis=1) > bounds.crowd)
    for row in crowds:
        others = np.flatnonzero(enough[row])
        theirs = places[others]
        bar = np.partition(theirs, bounds.pivots)[bounds.pivots]
        if places[row] > bar:
            enough[row, others[theirs >= bar]] = False
    return len(crowds) > 0


class _Counts:
    """How often each text has the grams of each column; columns are shared by rare grams only."""

    def __init__(self, ranked: Ranked, first: int, last: int, size: int, columns: int) -> None:
        import numpy as np

        self._first = first
        seen = np.zeros(1 << _SLOTS, dtype=np.int64)
        for start, end in ranked.chunks(first, last):
            np.add.at(seen, self._slots(ranked.part(start, end), size)[0], 1)
        own = columns // 2
        column = own + np.arange(1 << _SLOTS) % (columns - own)
        column[np.argpartition(seen, -own)[-own:]] = np.arange(own)
        self._counts = np.empty((last - first, columns), dtype=np.uint8)
        for start in range(first, last, _ROWS):
            end = min(start + _ROWS, last)
            slots, owner = self._slots(ranked.part(start, end), size)
            cells = np.bincount(owner * columns + column[slots], minlength=(end - start) * columns)
            self._counts[start - first : end - first] = np.minimum(cells, 255).reshape(end - start, columns)

    def _slots(self, texts: list[str], size: int) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
        """A slot for each gram and repetition of it in a text, and whose it is: common ones are counted apart."""
        import numpy as np

        grams = hash_grams(texts, size)
        ends = np.append(grams.starts[1:], len(grams.values))
        owner = np.repeat(np.arange(len(texts)), ends - grams.starts)
        keys = owner.astype(np.uint64) << np.uint64(32) | grams.values
        keys.sort()
        at = np.arange(len(keys))
        new = np.ones(len(keys), dtype=np.bool_)
        new[1:] = keys[1:] != keys[:-1]
        repeated = at - np.maximum.accumulate(np.where(new, at, 0))
        slots = keys.astype(np.uint32) * np.uint32(0x9E3779B1) + repeated.astype(np.uint32) * np.uint32(0x85EBCA6B)
        slots ^= slots >> np.uint32(15)
        slots *= np.uint32(0x2C1B3C6D)
        return (slots >> np.uint32(32 - _SLOTS)).astype(np.int64), (keys >> np.uint64(32)).astype(np.int64)

    def tile(self, first: int, last: int) -> "NDArray[np.float32]":
        """The counts of some texts, as the matrix product wants them."""
        import numpy as np

        return self._counts[first - self._first : last - self._first].astype(np.float32)
