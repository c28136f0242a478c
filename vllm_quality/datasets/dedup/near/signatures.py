"""MinHash signatures of a whole corpus at once, bit for bit those of datasketch 2 (scheme affine32), and sketches of them.

A. Broder, "On the resemblance and containment of documents" (1997); sketches of four bits: P. Li and A. König, "b-Bit
Minwise Hashing" (2010).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.grams import Grams, GramTable, hash_grams
from vllm_quality.datasets.dedup.near.texts import Ranked

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

SCHEME = "affine32"
_TOKENS, _AT_ONCE = 32_768, 8  # a block of them is a megabyte, and stays in the cache
SKETCH_BITS = 4
_PER_WORD, _WORDS = 64 // SKETCH_BITS, 8


def permutations(count: int, seed: int) -> "NDArray[np.uint32]":
    """Factors and addends, 2 x count, drawn as datasketch draws them for this seed."""
    import numpy as np

    draw = np.random.RandomState(seed)
    factors = draw.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return np.stack([factors, draw.randint(0, 1 << 32, count, dtype=np.uint32)])


@dataclass(frozen=True, eq=False)
class Signatures:
    """Signatures of some texts of a corpus, in columns, and sketches of them.

    ranks   whose they are, ascending
    found   permutations x texts
    words   parts x texts x 8, see `sketch`
    framed  of the texts, those that consist of a template or a shared prompt to a good part
    """

    ranks: "NDArray[np.int64]"
    found: "NDArray[np.uint32]"
    words: "NDArray[np.uint64]"
    framed: "NDArray[np.bool_]"


def signatures(
    ranked: Ranked,
    ranks: "NDArray[np.int64]",
    table: GramTable | None,
    size: int,
    count: int,
    seed: int,
    told: "Callable[[int], None] | None" = None,
) -> Signatures:
    """Signatures of the texts at these ranks, without stop-grams where a table is given; `told` hears how many are done."""
    import numpy as np

    some = ranked.some(ranks)
    found = np.empty((count, len(some)), dtype=np.uint32)
    framed = np.zeros(len(some), dtype=np.bool_)
    drawn, stops = permutations(count, seed), None if table is None else table.stops()
    for start, end in some.chunks(0, len(some)):
        grams = hash_grams(some.part(start, end), size)
        if table is not None and stops is not None:
            grams, framed[start:end] = table.telling(grams, stops)
        _fill(grams, drawn, found[:, start:end])
        if told is not None:
            told(end)
    return Signatures(ranks, found, sketch(found), framed)


def _fill(grams: Grams, drawn: "NDArray[np.uint32]", found: "NDArray[np.uint32]") -> None:
    """The signatures of these texts into the columns of `found`."""
    import numpy as np

    ends = np.append(grams.starts[1:], len(grams.values))
    widest = max(_TOKENS, int((ends - grams.starts).max()))
    room = np.empty((_AT_ONCE, widest), dtype=np.uint32)
    text = 0
    while text < len(ends):
        last = max(text + 1, int(np.searchsorted(ends, grams.starts[text] + widest, side="right")))
        values = grams.values[grams.starts[text] : ends[last - 1]]
        starts = grams.starts[text:last] - grams.starts[text]
        for row in range(0, len(found), _AT_ONCE):
            factors, addends = drawn[:, row : row + _AT_ONCE, None]
            permuted = room[: len(factors), : len(values)]
            np.multiply(values, factors, out=permuted)
            np.add(permuted, addends, out=permuted)
            np.minimum.reduceat(permuted, starts, axis=1, out=found[row : row + _AT_ONCE, text:last])
        text = last


def sketch(found: "NDArray[np.uint32]") -> "NDArray[np.uint64]":
    """Four bits of each value: parts x texts x 8 words; 128 values are a row of a part, which is a line of the cache."""
    import numpy as np

    parts = -(-len(found) // (_PER_WORD * _WORDS))
    words = np.zeros((found.shape[1], parts * _WORDS), dtype=np.uint64)
    for row, values in enumerate(found):
        part = (values & np.uint32(2**SKETCH_BITS - 1)).astype(np.uint64)
        words[:, row // _PER_WORD] |= part << np.uint64(row % _PER_WORD * SKETCH_BITS)
    return np.ascontiguousarray(words.reshape(len(words), parts, _WORDS).transpose(1, 0, 2))


def unlike(one: "NDArray[np.uint64]", other: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """How many of 128 values differ, row by row (pairs x 8 words); overwrites `one`."""
    import numpy as np

    one ^= other
    one |= one >> np.uint64(2)
    one |= one >> np.uint64(1)
    one &= np.uint64(0x1111111111111111)
    # Eight counts of at most 16, a byte each, are added up in the highest byte.
    counts = np.bitwise_count(one).view(np.uint64)[:, 0]
    counts *= np.uint64(0x0101010101010101)
    return counts >> np.uint64(56)
