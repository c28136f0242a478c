"""Decisions about nodes as decisions about rows: the ledger's lines, bounded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.edges import Edges, products
from vllm_quality.datasets.dedup.nodes import Nodes, rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PAIRS = 1_000_000


@dataclass(frozen=True, eq=False)
class RowPairs:
    """Arrays over pairs of rows; `edge` is the edge that each comes from, -1 for two rows of one node.

    found  pairs there are; more than are listed where a bound was hit
    """

    first: "NDArray[np.int64]"
    second: "NDArray[np.int64]"
    edge: "NDArray[np.int64]"
    found: int

    def __len__(self) -> int:
        return len(self.first)


def list_pairs(nodes: Nodes, edges: Edges, keeper: "NDArray[np.int64]", most: int = MOST_PAIRS) -> RowPairs:
    """All pairs of rows, or of more than `most` a choice that does not depend on the order of the rows.

    Always listed are the pair of every removed row with the one that stays, and of the others every node's nearest in each set,
    of those that are flagged and of those that are not.
    keeper  per row, the row it was removed for; -1 for those that stay
    """
    import numpy as np

    rows, starts = rows_of(nodes)
    sizes = np.diff(starts)
    found = int((sizes[edges.first] * sizes[edges.second]).sum() + (sizes * (sizes - 1) // 2).sum())
    if found <= most:
        across = products(rows, starts, edges.first, edges.second)
        within = _inside(rows, starts, sizes)
        none = np.full(len(within[0]), -1, dtype=np.int64)
        return RowPairs(
            np.concatenate([across[0], within[0]]),
            np.concatenate([across[1], within[1]]),
            np.concatenate([across[2], none]),
            found,
        )
    return _chosen(nodes, edges, keeper, found, most)


def _inside(
    rows: "NDArray[np.int64]", starts: "NDArray[np.int64]", sizes: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Pairs of rows of one node."""
    import numpy as np

    many = np.flatnonzero(sizes > 1)
    one, other, _ = products(rows, starts, many, many)
    return one[one < other], other[one < other]


def _chosen(nodes: Nodes, edges: Edges, keeper: "NDArray[np.int64]", found: int, most: int) -> RowPairs:
    import numpy as np

    removed = np.flatnonzero(keeper >= 0)
    edge = _edges_between(nodes, edges, nodes.of_row[keeper[removed]], nodes.of_row[removed])
    listed = np.zeros(len(edges), dtype=bool)
    # Nearest first; among equals the order of the nodes.
    order = np.lexsort((edges.second, edges.first, edges.edits / np.maximum(edges.longer, 1)))
    told = (edges.flag & (edges.guard == 0))[order]
    for part in (order[told], order[~told]):
        for one, other in ((edges.first, edges.second), (edges.second, edges.first)):
            keys = one[part] * (int(nodes.sets.max()) + 1) + nodes.sets[other[part]]
            _, nearest = np.unique(keys, return_index=True)
            listed[part[nearest]] = True
    room = most - len(removed) - int(listed.sum())
    rest = order[~listed[order]][: max(0, room)]
    listed[rest] = True
    listed[edge[edge >= 0]] = False  # in the list of removals already
    others = np.flatnonzero(listed)
    return RowPairs(
        np.concatenate([keeper[removed], nodes.rows[edges.first[others]]]),
        np.concatenate([removed, nodes.rows[edges.second[others]]]),
        np.concatenate([edge, others]),
        found,
    )


def _edges_between(
    nodes: Nodes, edges: Edges, one: "NDArray[np.int64]", other: "NDArray[np.int64]"
) -> "NDArray[np.int64]":
    """The edge of each pair of nodes; -1 for a node and itself."""
    import numpy as np

    codes = edges.first * len(nodes) + edges.second
    order = np.argsort(codes)
    wanted = np.minimum(one, other) * len(nodes) + np.maximum(one, other)
    place = np.searchsorted(codes, wanted, sorter=order)
    return np.where(one == other, -1, order[np.minimum(place, len(order) - 1)] if len(order) else -1)
