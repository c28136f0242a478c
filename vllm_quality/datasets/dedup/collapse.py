"""What became of each set, and the alarm of one that loses too many of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.edges import Edges
from vllm_quality.datasets.dedup.nodes import Nodes
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.stars import choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SetCounts:
    """What became of a set's rows.

    exact      removed: equal to a row that stays
    near       removed: below the threshold from one
    flagged    kept, though another row is (nearly) the same: the policy of their sets only tells
    held_back  kept, though it would have been removed, if not for a difference in meaning or in the reference
    """

    rows: int
    kept: int
    exact: int
    near: int
    flagged: int
    held_back: int


def count_sets(corpus: Corpus, nodes: Nodes, edges: Edges, keeper: "NDArray[np.int64]") -> Mapping[str, SetCounts]:
    """Counts by set.

    keeper  per row, the row it was removed for; -1 for those that stay
    """
    import numpy as np

    def by_set(rows: "NDArray[np.bool_]") -> list[int]:
        return [int(n) for n in np.bincount(corpus.sets[rows], minlength=len(corpus.names))]

    removed, texts = keeper >= 0, nodes.texts[nodes.of_row]
    equal = removed & (texts[keeper] == texts)
    told = np.zeros(len(nodes), dtype=bool)
    stays = ~removed[nodes.rows]
    flagged = edges.flag & (edges.guard == 0) & stays[edges.first] & stays[edges.second]
    told[edges.first[flagged]] = told[edges.second[flagged]] = True
    droppable = ~edges.flag
    unguarded = choose(len(nodes), edges.first[droppable], edges.second[droppable]) >= 0
    columns = (
        by_set(np.ones(len(corpus), dtype=bool)),
        by_set(~removed),
        by_set(equal),
        by_set(removed & ~equal),
        by_set((told[nodes.of_row] | _copies_that_stay(nodes, removed)) & ~removed),
        by_set(unguarded[nodes.of_row] & ~removed),
    )
    return {name: SetCounts(*numbers) for name, *numbers in zip(corpus.names, *columns, strict=True)}


def _copies_that_stay(nodes: Nodes, removed: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
    """Rows of nodes that keep more than one row."""
    import numpy as np

    return np.bincount(nodes.of_row[~removed], minlength=len(nodes))[nodes.of_row] > 1


def alarms_of(sets: Mapping[str, SetCounts], policy: Policy) -> tuple[str, ...]:
    """One sentence per set that lost, or but for the guard would have lost, more of its rows than its policy has it.

    Rows of traffic that are equal do not count: people ask the same thing many times.
    """
    found = []
    for name, counts in sets.items():
        exact = 0 if policy.roles.get(name) == "traffic" else counts.exact
        lost, most = exact + counts.near + counts.held_back, policy.alarm_above(name)
        if lost > most * counts.rows:
            found.append(
                f"Set {name!r}: {lost:,} of {counts.rows:,} rows ({lost / counts.rows:.1%}) are duplicates by distance, above "
                f"{most:.3g} of it: {exact + counts.near:,} removed, {counts.held_back:,} held back for their meaning or "
                "reference; look at its pairs before you use it."
            )
    return tuple(found)
