"""Which texts of a corpus are nearly the same?

All of them are compared where that is affordable; above, short texts still are, and among long ones MinHash LSH names the
candidates. Every pair is verified, so that what is found is near; what is not found can only be missing among long texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from vllm_quality.datasets.dedup.near.collected import BOUNDS, Bounds, Collected
from vllm_quality.datasets.dedup.near.every import EVERY_VERSION, compare_all, seconds_for_all
from vllm_quality.datasets.dedup.near.grams import count_grams
from vllm_quality.datasets.dedup.near.layers import sign_layers
from vllm_quality.datasets.dedup.near.lsh import SHORT, Index, plan_for
from vllm_quality.datasets.dedup.near.texts import Ranked, rank_texts, reach
from vllm_quality.datasets.dedup.near.verify import cores, near_ones
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AFFORDABLE_S = 8.0  # of one core, for comparing all with all
_VERIFIED = 1 << 18

Progress = Callable[[str, int, int], None]  # stage, done, of
Kind = Literal["auto", "exact", "lsh"]


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Near pairs by position: `first < second`, sorted, each once. Arrays of one length.

    edits       Levenshtein distance; 0 for equal texts
    longer      length of the longer text, code points
    method      parameters and versions; `exact` says whether every pair was compared
    incomplete  one sentence when a bound was hit
    """

    first: "NDArray[np.int64]"
    second: "NDArray[np.int64]"
    edits: "NDArray[np.int64]"
    longer: "NDArray[np.int64]"
    method: Mapping[str, object] = field(default_factory=dict)
    incomplete: str | None = None

    def __len__(self) -> int:
        return len(self.first)


def find_near_pairs(
    texts: Sequence[str],
    threshold: Threshold = USUAL,
    *,
    seed: int = 1,
    progress: Progress | None = None,
    workers: int | None = None,
    preference: "Sequence[int] | NDArray[np.int64] | None" = None,
    kind: Kind = "auto",
    bounds: Bounds = BOUNDS,
) -> NearPairs:
    """All pairs of texts whose Levenshtein distance is below the threshold; empty texts are near nothing.

    As a set of pairs, the answer does not depend on the order of the texts. Where there are too many pairs to be held
    (`NearPairs.incomplete`), each text keeps those with the texts whose number in `preference` is lowest: the ones that a
    star would be built around. `kind` and `bounds` are for those who measure. Raises `DatasetError` for a threshold above 0.35.
    """
    search = Search(rank_texts(texts, preference), threshold, seed, progress or _silent, workers or cores(), bounds)
    if kind == "exact" or (kind == "auto" and search.affordable):
        search.compare_all(len(search.ranked))
    else:
        shorts = search.shorts
        search.compare_all(shorts)
        search.compare_candidates(shorts)
    return search.result()


def _silent(stage: str, done: int, of: int) -> None:
    pass


class Search:
    """One search, step by step."""

    def __init__(
        self, ranked: Ranked, threshold: Threshold, seed: int, progress: Progress, workers: int, bounds: Bounds
    ) -> None:
        import numpy as np

        self.ranked, self._threshold, self._progress, self._workers = ranked, threshold, progress, workers
        self._plan = plan_for(threshold, seed)
        self._ends = ranked.ends(threshold)
        self._found, self._bounds = Collected(ranked, bounds), bounds
        self._method: dict[str, object] = {"threshold": f"{threshold.num}/{threshold.den}", "texts": len(ranked)}
        self.shorts = int(np.searchsorted(ranked.lengths, SHORT, side="right"))

    @property
    def affordable(self) -> bool:
        """Whether all can be compared with all: a matter of how many are of similar length, and how long."""
        return seconds_for_all(self.ranked, self._ends) <= AFFORDABLE_S

    def compare_all(self, rows: int) -> None:
        """Every text up to rank `rows` with every other one that it can be near."""
        for piece in compare_all(self.ranked, self._ends, rows, self._threshold, self._workers, self._bounds):
            self._found.add(piece.found)
            self._found.crowded |= piece.crowded
            self._progress("compare", piece.rows, rows)
        self._method |= {"compared_with_all": rows, "exact": rows == len(self.ranked), "filter": EVERY_VERSION}

    def compare_candidates(self, first: int) -> None:
        """The texts from rank `first`, where LSH says that they may be near."""
        plan, count = self._plan, len(self.ranked) - first
        if count < 2:
            self._method["exact"] = True
            return
        self._progress("grams", 0, 1)
        table = count_grams(self.ranked, plan.gram, first)
        layers = sign_layers(self.ranked, table, plan, lambda done: self._progress("sign", done, count))
        looked = 0
        for number, layer in enumerate(layers):
            lengths = self.ranked.lengths[layer.ranks]
            ends = reach(lengths, lengths, self._threshold)[1]
            index = Index(layer.found, layer.words, ends, self.ranked.places[layer.ranks], plan, self._bounds)
            of = plan.bands * len(layers)
            for codes in index.candidates(partial(self._told, "match", of, number * plan.bands)):
                looked += len(codes)
                self._verify(codes, layer.ranks)
            self._found.crowded |= index.crowded
        self._method |= {**plan.describe(), "exact": False, "candidates": looked, "framed": len(layers[1].ranks)}

    def _told(self, stage: str, of: int, before: int, done: int) -> None:
        self._progress(stage, before + done, of)

    def _verify(self, codes: "NDArray[np.uint64]", ranks: "NDArray[np.int64]") -> None:
        import numpy as np

        for start in range(0, len(codes), _VERIFIED):
            part = codes[start : start + _VERIFIED]
            left = ranks[(part >> np.uint64(32)).astype(np.int64)]
            right = ranks[(part & np.uint64(0xFFFFFFFF)).astype(np.int64)]
            self._found.add(near_ones(self.ranked, self.ranked, left, right, self._threshold, self._workers))
            self._progress("verify", start + len(part), len(codes))

    def result(self) -> NearPairs:
        """What was found."""
        import numpy as np

        left, right, edits = self._found.pairs()
        longer = np.maximum(self.ranked.lengths[left], self.ranked.lengths[right])
        one, other = self.ranked.order[left], self.ranked.order[right]
        first, second = np.minimum(one, other), np.maximum(one, other)
        order = np.lexsort((second, first))
        return NearPairs(first[order], second[order], edits[order], longer[order], self._method, self._found.incomplete)
