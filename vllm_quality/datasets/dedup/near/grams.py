"""Character n-grams as 32-bit numbers, for a million code points at once, and which of them are too common to tell texts apart.

A gram's number is a polynomial of its code points modulo 2^32, then mixed by the finalizer of MurmurHash3, as datasketch 2
mixes what a hash function gives it: `hash_gram` is that hash function.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.texts import Ranked, code_points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAM_VERSION = "polynomial hash of code points / 1"
STOP_SHARE = 20  # a gram that is counted in more than one of so many texts is a stop-gram
_FEWEST = 16  # grams that a text keeps, the rarest, whatever is counted
_STOP_FLOOR = 16  # in a small corpus, five percent of the texts are too few to call a gram common
_FACTOR = 0x9E3779B1
_BUCKETS = 22  # bits


@dataclass(frozen=True, eq=False)
class Grams:
    """The mixed numbers of the texts' grams, one text behind the other; `starts` is where each text begins."""

    values: "NDArray[np.uint32]"
    starts: "NDArray[np.int64]"


def hash_gram(gram: str) -> int:
    """The number of one gram before it is mixed: a `hashfunc` for datasketch."""
    value = 0
    for letter in gram:
        value = (value * _FACTOR + ord(letter)) & 0xFFFFFFFF
    return value


def grams_of(text: str, size: int) -> list[str]:
    """The grams of a text, for datasketch; a text shorter than one is filled up with NUL."""
    filled = text.ljust(size, "\0")
    return [filled[at : at + size] for at in range(len(filled) - size + 1)]


def hash_grams(texts: Sequence[str], size: int) -> Grams:
    """All grams of the texts; a text has at least one."""
    import numpy as np

    filled = [text if len(text) >= size else text.ljust(size, "\0") for text in texts]
    letters = code_points(filled)
    windows = len(letters) - size + 1
    values = letters[:windows].copy()
    for offset in range(1, size):
        values *= np.uint32(_FACTOR)
        values += letters[offset : offset + windows]
    lengths = np.fromiter(map(len, filled), dtype=np.int64, count=len(filled))
    ends = np.cumsum(lengths)
    inside = np.ones(len(letters), dtype=np.bool_)  # not across the border of two texts
    for back in range(1, size):
        inside[ends - back] = False
    counts = lengths - (size - 1)
    return Grams(_mixed(values[inside[:windows]]), np.cumsum(counts) - counts)


def _mixed(values: "NDArray[np.uint32]") -> "NDArray[np.uint32]":
    import numpy as np

    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        values ^= values >> np.uint32(shift)
        values *= np.uint32(factor)
    values ^= values >> np.uint32(16)
    return values


@dataclass(frozen=True, eq=False)
class GramTable:
    """How often each gram occurs in a corpus, by bucket of its number: frozen, so that what comes later is treated alike.

    counts  per bucket, with repetitions inside a text
    texts   how many texts were counted
    """

    size: int
    texts: int
    counts: "NDArray[np.uint32]"

    @property
    def limit(self) -> int:
        """The largest count of a gram that is not a stop-gram."""
        return max(self.texts // STOP_SHARE, _STOP_FLOOR)

    def stops(self) -> "NDArray[np.bool_]":
        """Whether a bucket holds a stop-gram."""
        return self.counts > self.limit

    def telling(self, grams: Grams, stops: "NDArray[np.bool_]") -> "tuple[Grams, NDArray[np.bool_]]":
        """The grams without stop-grams, but at least the 16 rarest of each text (or all it has); and which texts are framed."""
        import numpy as np

        common = stops.take(grams.values >> np.uint32(32 - _BUCKETS), mode="clip")
        kept = ~common
        counts = np.add.reduceat(kept, grams.starts, dtype=np.int64)
        ends = np.append(grams.starts[1:], len(grams.values))
        framed = _framed(common, grams.starts, ends)
        poor = np.flatnonzero(counts < _FEWEST)
        if len(poor):
            self._keep_rarest(grams, poor, ends, kept)
            counts = np.add.reduceat(kept, grams.starts, dtype=np.int64)
        return Grams(grams.values[kept], np.cumsum(counts) - counts), framed

    def _keep_rarest(
        self, grams: Grams, poor: "NDArray[np.int64]", ends: "NDArray[np.int64]", kept: "NDArray[np.bool_]"
    ) -> None:
        import numpy as np

        sizes = (ends - grams.starts)[poor]
        owner = np.repeat(np.arange(len(poor)), sizes)
        first = np.cumsum(sizes) - sizes
        where = np.arange(len(owner)) + np.repeat(grams.starts[poor] - first, sizes)
        values = grams.values[where]
        counted = self.counts[values >> np.uint32(32 - _BUCKETS)]
        order = np.lexsort((values, counted, owner))
        owner, values = owner[order], values[order]
        # A gram that occurs twice in a text takes one place.
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (owner[1:] != owner[:-1]) | (values[1:] != values[:-1])
        place = np.cumsum(new, dtype=np.int64)
        place -= np.repeat(place[first], sizes)
        kept[where[order[place < _FEWEST]]] = True


def _framed(common: "NDArray[np.bool_]", starts: "NDArray[np.int64]", ends: "NDArray[np.int64]") -> "NDArray[np.bool_]":
    """Whether common grams follow one another for long: a template or a shared prompt, not only frequent words.

    In a twentieth of the text's places begin twelve of them in a row: so it is in all texts from a template and most edited
    copies of one, though not where every eighth character was changed, and in one text in ten or five of prose on one topic.
    Overwrites `common`.
    """
    import numpy as np

    common[ends - 1] = False  # not across the border of two texts
    for step in (1, 2, 4, 4):
        common[:-step] &= common[step:].copy()
        common[len(common) - step :] = False
    runs = np.add.reduceat(common, starts, dtype=np.int64)
    return runs * 20 >= ends - starts


def count_grams(ranked: Ranked, size: int, first: int = 0) -> GramTable:
    """The table of a corpus, of its texts from rank `first`; does not depend on the order of the texts."""
    import numpy as np

    counts = np.zeros(1 << _BUCKETS, dtype=np.uint32)
    for start, end in ranked.chunks(first, len(ranked)):
        values = hash_grams(ranked.part(start, end), size).values
        np.add.at(counts, (values >> np.uint32(32 - _BUCKETS)).astype(np.int64), np.uint32(1))
    return GramTable(size, len(ranked) - first, counts)
