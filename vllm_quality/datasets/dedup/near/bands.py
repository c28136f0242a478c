"""Which texts share a band of their signatures? One band after the other, as sorted numbers; no table of buckets is held.

P. Indyk and R. Motwani, "Approximate Nearest Neighbors" (1998); sorted keys instead of buckets as in text-dedup and datatrove.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS = 2  # values in a band
_AT_ONCE = 1 << 16
_SPREAD = 0x9E3779B97F4A7C15


def rank_bits(texts: int) -> int:
    """Bits that hold a rank, or the number of texts."""
    return max(texts.bit_length(), 1)


def band_heads(found: "NDArray[np.uint32]", band: int, bits: int) -> "NDArray[np.uint64]":
    """A number per text for this band's values, equal where they are; the lowest `bits` are free.

    Of 64 - bits bits, so that one pair in 10^11 of unequal ones or fewer becomes a needless candidate.
    """
    import numpy as np

    heads: NDArray[np.uint64] = found[band * ROWS].astype(np.uint64) << np.uint64(32) | found[band * ROWS + 1]
    heads *= np.uint64(_SPREAD)
    return heads >> np.uint64(bits) << np.uint64(bits)


def sorted_band(found: "NDArray[np.uint32]", band: int, bits: int) -> "NDArray[np.uint64]":
    """Head and rank of every text, sorted: texts of one bucket lie side by side, by length."""
    import numpy as np

    keys = band_heads(found, band, bits)
    keys |= np.arange(len(keys), dtype=np.uint64)
    keys.sort()
    return keys


def enumerate_ranges(
    owners: "NDArray[np.int64]", start: "NDArray[np.int64]", end: "NDArray[np.int64]", at_once: int = _AT_ONCE
) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]":
    """Every (owner, position) with a position in the owner's range, about `at_once` at a time."""
    import numpy as np

    counts = end - start
    some = counts > 0
    owners, start, counts = owners[some], start[some], counts[some]
    total = np.cumsum(counts)
    done = at = 0
    while at < len(counts):
        last = max(at + 1, int(np.searchsorted(total, done + at_once, side="right")))
        sizes = counts[at:last]
        before = total[at:last] - sizes
        positions = np.arange(done, int(total[last - 1])) + np.repeat(start[at:last] - before, sizes)
        yield np.repeat(owners[at:last], sizes), positions
        done, at = int(total[last - 1]), last
