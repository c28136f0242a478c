"""Is a candidate pair really near? Levenshtein distances of many pairs, in integers."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.texts import Ranked
from vllm_quality.datasets.dedup.threshold import Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 1 << 15
_ROWS, _COLUMNS = 64, 1 << 14


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def near_ones(
    lefts: Ranked,
    rights: Ranked,
    left: "NDArray[np.int64]",
    right: "NDArray[np.int64]",
    threshold: Threshold,
    workers: int,
) -> "NDArray[np.int64]":
    """Of the pairs (rank in `lefts`, rank in `rights`) those that are near, with their edits: 3 x pairs."""
    import numpy as np

    longer = np.maximum(lefts.lengths[left], rights.lengths[right])
    # By length: rapidfuzz takes one bound for all pairs of a call, and works the less the lower it is.
    order = np.argsort(longer, kind="stable")
    found = [np.empty((3, 0), dtype=np.int64)]
    for start in range(0, len(order), _AT_ONCE):
        part = order[start : start + _AT_ONCE]
        one, other = _Strings(lefts, left[part]), _Strings(rights, right[part])
        edits = _edits(one, other, longer[part], threshold, workers)
        # The bound of rapidfuzz lets equality pass; this one is strict.
        near = edits * threshold.den < threshold.num * longer[part]
        found.append(np.stack([left[part][near], right[part][near], edits[near]]))
    return np.concatenate(found, axis=1)


class _Strings:
    """The texts at some ranks, read once each, and a narrow form of them: the low byte of each character.

    To merge characters can only make texts nearer, and rapidfuzz compares bytes two to three times as fast as Hangul.
    """

    def __init__(self, ranked: Ranked, ranks: "NDArray[np.int64]") -> None:
        import numpy as np

        once, self._where = np.unique(ranks, return_inverse=True)
        self._texts = [ranked.texts[at] for at in ranked.order[once].tolist()]
        self._narrow = [
            text if text.isascii() else text.encode("utf-32-le", "surrogatepass")[::4].decode("latin-1")
            for text in self._texts
        ]
        self._wide = np.array([not text.isascii() for text in self._texts], dtype=np.bool_)

    @property
    def wide(self) -> "NDArray[np.bool_]":
        """Whether the narrow form is another."""
        return self._wide[self._where]

    def texts(self, some: "NDArray[np.int64]") -> list[str]:
        return [self._texts[at] for at in self._where[some].tolist()]

    def narrow(self) -> list[str]:
        return [self._narrow[at] for at in self._where.tolist()]


def _edits(
    one: _Strings, other: _Strings, longer: "NDArray[np.int64]", threshold: Threshold, workers: int
) -> "NDArray[np.int64]":
    """Distances, right where they are allowed, and too large elsewhere."""
    import numpy as np

    edits = _distances(one.narrow(), other.narrow(), longer, threshold, workers)
    near = edits * threshold.den < threshold.num * longer
    again = np.flatnonzero(near & (one.wide | other.wide))
    if len(again):
        edits[again] = _distances(one.texts(again), other.texts(again), longer[again], threshold, workers)
    return edits


def _distances(
    one: Sequence[str], other: Sequence[str], longer: "NDArray[np.int64]", threshold: Threshold, workers: int
) -> "NDArray[np.int64]":
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    most = threshold.most_edits(int(longer[-1]))
    return cpdist(one, other, scorer=Levenshtein.distance, score_cutoff=most, dtype=np.int64, workers=workers)


def near_block(
    lefts: Ranked,
    rights: Ranked,
    first: "NDArray[np.int64]",
    last: "NDArray[np.int64]",
    threshold: Threshold,
    workers: int,
) -> "Iterator[NDArray[np.int64]]":
    """Every text of `lefts` with those of `rights` from rank `first` up to `last`: 3 x near pairs, in pieces. For short texts."""
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    asked = np.flatnonzero(first < last)
    for top in range(0, len(asked), _ROWS):
        rows = asked[top : top + _ROWS]
        texts = [lefts.texts[at] for at in lefts.order[rows].tolist()]
        begin, end = int(first[rows].min()), int(last[rows].max())
        for left in range(begin, end, _COLUMNS):
            columns = np.arange(left, min(left + _COLUMNS, end))
            longer = np.maximum(lefts.lengths[rows][:, None], rights.lengths[columns])
            edits = cdist(
                texts,
                rights.part(left, int(columns[-1]) + 1),
                scorer=Levenshtein.distance,
                dtype=np.int32,
                workers=workers,
            )
            near = edits * threshold.den < threshold.num * longer
            near &= (columns >= first[rows][:, None]) & (columns < last[rows][:, None])
            one, other = np.nonzero(near)
            yield np.stack([rows[one], columns[other], edits[one, other].astype(np.int64)])
