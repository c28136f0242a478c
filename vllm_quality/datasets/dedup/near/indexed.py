"""A bank without signatures of its own: long texts that may be near are named by an index that machines share."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.groups import Chained
from vllm_quality.datasets.dedup.near.bank import Bank
from vllm_quality.datasets.dedup.near.collected import BOUNDS
from vllm_quality.datasets.dedup.near.interop import SharedIndex
from vllm_quality.datasets.dedup.near.lsh import once
from vllm_quality.datasets.dedup.near.segments import Signed
from vllm_quality.datasets.dedup.near.texts import Ranked, rank_texts, reach
from vllm_quality.datasets.dedup.near.verify import near_ones
from vllm_quality.datasets.dedup.threshold import Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VERIFIED = 1 << 18
_MERGE = 4_000_000


class IndexedBank(Bank):
    """Texts that were appended unsigned, and an index that holds all of them, and perhaps others."""

    def __init__(self, bank: Bank, index: SharedIndex) -> None:
        super().__init__(bank.table, bank.plan, bank.segments, bank.versions, None)
        self._index = index

    @cached_property
    def _ranked(self) -> Ranked:
        """All texts of the bank; their order is that of `ids`."""
        return rank_texts(Chained(segment.signed.ranked.texts for segment in self.segments))

    @cached_property
    def _rank_of(self) -> dict[bytes, int]:
        return {self.ids[at].encode(): rank for rank, at in enumerate(self._ranked.order.tolist())}

    def _near(self, asked: Signed, threshold: Threshold, workers: int) -> "Iterator[tuple[NDArray[np.int64], bool]]":
        import numpy as np

        yield from super()._near(asked, threshold, workers)  # pairs with a short text
        codes, crowded = self._candidates(asked, threshold)
        for start in range(0, len(codes), _VERIFIED):
            part = codes[start : start + _VERIFIED]
            one, other = (part >> np.uint64(32)).astype(np.int64), (part & np.uint64(0xFFFFFFFF)).astype(np.int64)
            left, right, edits = near_ones(asked.ranked, self._ranked, one, other, threshold, workers)
            longer = np.maximum(asked.ranked.lengths[left], self._ranked.lengths[right])
            yield np.stack([asked.ranked.order[left], self._ranked.order[right], edits, longer]), crowded

    def _candidates(self, asked: Signed, threshold: Threshold) -> "tuple[NDArray[np.uint64], bool]":
        """Rank in the question << 32 | rank in the bank; and whether of a crowd only those were taken that are preferred."""
        import numpy as np

        low, high = reach(self._ranked.lengths, asked.ranked.lengths, threshold)
        pieces, held, crowded = list["NDArray[np.uint64]"](), 0, False
        for band, buckets in self._index.buckets(asked):
            most = BOUNDS.in_bucket(band, len(self._ranked))
            for bucket in buckets:
                known = [self._rank_of[name] for name in bucket.ids if name in self._rank_of]
                members = np.sort(np.array(known, dtype=np.uint64))
                for rank in bucket.asked:
                    start, end = np.searchsorted(members, (low[rank], high[rank]))
                    some = members[start:end]
                    if len(some) > most:
                        crowded |= band < BOUNDS.tried
                        places = self._ranked.places[some.astype(np.int64)]
                        some = some[np.argpartition(places, BOUNDS.pivots)[: BOUNDS.pivots]]
                    pieces.append(some | np.uint64(rank << 32))
                    held += len(some)
            if held > _MERGE:
                pieces = [once(pieces)]
                held = len(pieces[0])
        return once(pieces), crowded
