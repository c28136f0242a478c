"""A part of a bank: texts that came together, with what is needed to find those near a new one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm_quality.datasets.dedup.near.bands import band_heads, enumerate_ranges, rank_bits, sorted_band
from vllm_quality.datasets.dedup.near.collected import BOUNDS
from vllm_quality.datasets.dedup.near.grams import GramTable
from vllm_quality.datasets.dedup.near.layers import long_ranks, sign_layers
from vllm_quality.datasets.dedup.near.lsh import Plan, alike, once
from vllm_quality.datasets.dedup.near.signatures import Signatures, signatures
from vllm_quality.datasets.dedup.near.texts import Ranked, TextFile, rank_texts, reach
from vllm_quality.datasets.dedup.near.verify import near_block, near_ones
from vllm_quality.datasets.dedup.threshold import Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VERIFIED = 1 << 18
_ARRAYS = ("ranks", "found", "words", "framed", "keys")


@dataclass(frozen=True, eq=False)
class Signed:
    """Texts by rank, and the two layers of their signatures."""

    ranked: Ranked
    layers: tuple[Signatures, Signatures]

    @property
    def shorts(self) -> int:
        """How many texts are too short for a signature."""
        return len(self.ranked) - len(long_ranks(self.ranked))


def sign(texts: Sequence[str], table: GramTable | None, plan: Plan) -> Signed:
    """The signatures of these texts; none where no table is given."""
    ranked = rank_texts(texts)
    if table is None:
        nothing = signatures(ranked, long_ranks(ranked)[:0], None, plan.gram, plan.permutations, plan.seed)
        return Signed(ranked, (nothing, nothing))
    return Signed(ranked, sign_layers(ranked, table, plan))


@dataclass(frozen=True, eq=False)
class Segment:
    """`keys` are the sorted bands of each layer, bands x texts. Arrays may be mapped from files."""

    ids: Sequence[str]
    signed: Signed
    keys: "tuple[NDArray[np.uint64], NDArray[np.uint64]]"

    @classmethod
    def of(cls, ids: Sequence[str], texts: Sequence[str], table: GramTable | None, plan: Plan) -> "Segment":
        """The segment of these texts; see `sign`."""
        signed = sign(texts, table, plan)
        return cls(ids, signed, (_keys(signed.layers[0], plan), _keys(signed.layers[1], plan)))

    def save(self, folder: Path) -> None:
        """Write all of it into a new folder."""
        import numpy as np

        folder.mkdir(parents=True)
        ranked = self.signed.ranked
        for name, texts in (("texts", ranked.texts), ("ids", self.ids)):
            with TextFile(folder / name) as file:
                file.extend(texts)
        np.save(folder / "ranked.npy", np.stack([ranked.order, ranked.lengths, ranked.places]))
        for number, (layer, keys) in enumerate(zip(self.signed.layers, self.keys, strict=True)):
            arrays: tuple[NDArray[Any], ...] = (layer.ranks, layer.found, layer.words, layer.framed, keys)
            for name, values in zip(_ARRAYS, arrays, strict=True):
                np.save(folder / f"{name}-{number}.npy", values)

    @classmethod
    def load(cls, folder: Path) -> "Segment":
        """The segment in a folder: texts and signatures stay there until they are asked for."""
        import numpy as np

        def mapped(name: str) -> "NDArray[Any]":
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

        if not (folder / "texts.ends").exists() or not (folder / "ids.ends").exists():
            raise FileNotFoundError(2, "no texts", str(folder))
        order, lengths, places = mapped("ranked")
        one, other = ([mapped(f"{name}-{number}") for name in _ARRAYS] for number in range(2))
        ranked = Ranked(TextFile(folder / "texts"), order, lengths, places)
        signed = Signed(ranked, (Signatures(*one[:4]), Signatures(*other[:4])))
        return cls(TextFile(folder / "ids"), signed, (one[4], other[4]))

    def near(
        self, asked: Signed, threshold: Threshold, plan: Plan, workers: int
    ) -> "Iterator[tuple[NDArray[np.int64], bool]]":
        """Near pairs in pieces of 3 x pairs (rank in `asked`, rank here, edits), and whether a crowd was thinned out."""
        import numpy as np

        for found in self._short_pairs(asked, threshold, workers):
            yield found, False
        pieces, crowded = [], False
        for mine, theirs, keys in zip(self.signed.layers, asked.layers, self.keys, strict=True):
            lengths = self.signed.ranked.lengths[mine.ranks]
            low, high = reach(lengths, asked.ranked.lengths[theirs.ranks], threshold)
            question = _Question(theirs, mine, keys, low, high, self.signed.ranked.places[mine.ranks])
            codes = once([alike(theirs.words, mine.words, *pair, plan) for pair in question.pairs()])
            crowded |= question.crowded
            # From columns of the layer to ranks of the texts.
            left = theirs.ranks[(codes >> np.uint64(32)).astype(np.int64)].astype(np.uint64)
            right = mine.ranks[(codes & np.uint64(0xFFFFFFFF)).astype(np.int64)].astype(np.uint64)
            pieces.append(left << np.uint64(32) | right)
        codes = once(pieces)
        for at in range(0, len(codes), _VERIFIED):
            part = codes[at : at + _VERIFIED]
            one, other = (part >> np.uint64(32)).astype(np.int64), (part & np.uint64(0xFFFFFFFF)).astype(np.int64)
            yield near_ones(asked.ranked, self.signed.ranked, one, other, threshold, workers), crowded

    def _short_pairs(self, asked: Signed, threshold: Threshold, workers: int) -> "Iterator[NDArray[np.int64]]":
        """Near pairs of which one is short: everything that can be near is compared."""
        first, last = reach(self.signed.ranked.lengths, asked.ranked.lengths, threshold)
        last[asked.shorts :] = last[asked.shorts :].clip(max=self.signed.shorts)
        yield from near_block(asked.ranked, self.signed.ranked, first, last, threshold, workers)


def _keys(layer: Signatures, plan: Plan) -> "NDArray[np.uint64]":
    import numpy as np

    bits = rank_bits(len(layer.ranks))
    return np.stack([sorted_band(layer.found, band, bits) for band in range(plan.bands)])


class _Question:
    """One layer of a question: which columns of a segment's layer share a band with one of the question's."""

    def __init__(
        self,
        asked: Signatures,
        mine: Signatures,
        keys: "NDArray[np.uint64]",
        low: "NDArray[np.int64]",
        high: "NDArray[np.int64]",
        places: "NDArray[np.int64]",
    ) -> None:
        import numpy as np

        self._asked, self._keys, self._places = asked, keys, places
        self._low, self._high = low.astype(np.uint64), high.astype(np.uint64)
        self._bits = rank_bits(len(mine.ranks))
        self._texts = len(mine.ranks)
        self.crowded = False

    def pairs(self) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]":
        """Column of the question, column of the segment; of a crowd, those that are preferred most."""
        import numpy as np

        mask = np.uint64((1 << self._bits) - 1)
        columns = np.arange(len(self._low))
        for band, keys in enumerate(self._keys):
            heads = band_heads(self._asked.found, band, self._bits)
            start, stop = np.searchsorted(keys, heads | self._low), np.searchsorted(keys, heads | self._high)
            for column in np.flatnonzero(stop - start > BOUNDS.in_bucket(band, self._texts)):
                self.crowded |= band < BOUNDS.tried
                ranks = (keys[start[column] : stop[column]] & mask).astype(np.int64)
                yield (
                    np.full(BOUNDS.pivots, column),
                    ranks[np.argpartition(self._places[ranks], BOUNDS.pivots)[: BOUNDS.pivots]],
                )
                stop[column] = start[column]
            for owners, positions in enumerate_ranges(columns, start, stop):
                yield owners, (keys[positions] & mask).astype(np.int64)
