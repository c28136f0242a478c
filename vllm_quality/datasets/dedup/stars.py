"""Star clusters: who stays, and who is removed for whom. Nothing is removed for a row that is removed itself: no chaining."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def choose(count: int, first: "NDArray[np.int64]", second: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """For each of `count` nodes the one it is removed for, or -1 when it stays.

    first, second  edges along which the second may be removed for the first, first < second; nodes are in the order in which
                   they are chosen to stay

    Greedy: the first node stays and takes all that it may; then the first of those that are left, and so on. So every removed
    node has an edge to the one that stays, and two that stay have none.
    """
    import numpy as np

    keeper = np.full(count, -1, dtype=np.int64)
    order = np.lexsort((second, first))
    others = second[order]
    centres, starts = np.unique(first[order], return_index=True)
    ends = np.append(starts, len(others))[1:]
    for centre, start, end in zip(centres.tolist(), starts.tolist(), ends.tolist(), strict=True):
        if keeper[centre] < 0:
            around = others[start:end]
            keeper[around[keeper[around] < 0]] = centre
    return keeper
