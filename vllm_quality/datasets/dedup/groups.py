"""Rows that are the same: those with equal texts, and among them those that nothing tells apart."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Texts:
    """The different normal forms of a corpus, in the order of their SHA-256: the same for any order of the rows.

    of_row  which of them each row has
    rows    a row that has it, for each
    """

    of_row: "NDArray[np.int64]"
    rows: "NDArray[np.int64]"
    digests: "NDArray[np.uint64]"

    def __len__(self) -> int:
        return len(self.rows)


def different_texts(texts: Iterable[str], count: int) -> Texts:
    """Group texts by the SHA-256 of each."""
    import numpy as np

    digests = sha256s(texts, count)
    order = np.lexsort(digests.T[::-1])
    new = np.ones(count, dtype=bool)
    new[1:] = (digests[order][1:] != digests[order][:-1]).any(axis=1)
    of_row = np.empty(count, dtype=np.int64)
    of_row[order] = np.cumsum(new) - 1
    rows = order[new]
    return Texts(of_row, rows, digests[rows])


def sha256s(texts: Iterable[str], count: int) -> "NDArray[np.uint64]":
    """The SHA-256 of each text as four numbers that sort as its digits do; shape (count, 4)."""
    import numpy as np

    joined = b"".join(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts)
    return np.frombuffer(joined, dtype=">u8").reshape(count, 4).astype(np.uint64)


class Chosen(Sequence[str]):
    """Some of a sequence's texts, by position; nothing is copied."""

    def __init__(self, texts: Sequence[str], positions: "NDArray[np.int64]") -> None:
        self._texts, self._positions = texts, positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, at: int | slice) -> str | list[str]:  # type: ignore[override]
        if isinstance(at, slice):
            return [self._texts[position] for position in self._positions[at].tolist()]
        return self._texts[int(self._positions[at])]


class Chained(Sequence[str]):
    """Several sequences of texts as one; nothing is copied."""

    def __init__(self, parts: Iterable[Sequence[str]]) -> None:
        self._parts = tuple(parts)
        self._ends = list(accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, at: int | slice) -> str | list[str]:  # type: ignore[override]
        if isinstance(at, slice):
            return [str(self[position]) for position in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        part = bisect_right(self._ends, at)
        return self._parts[part][at - (self._ends[part - 1] if part else 0)]
