"""Edges: pairs of nodes that are (nearly) the same, and what stands against removing one of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.groups import Chosen
from vllm_quality.datasets.dedup.guard.guard import LEVELS, find_differences
from vllm_quality.datasets.dedup.near.search import NearPairs
from vllm_quality.datasets.dedup.nodes import Nodes
from vllm_quality.datasets.dedup.policy import FLAG, Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of more nodes with one text than this, each is paired with so many of the first, and so many of the first that are like it.
MOST_OF_A_TEXT = 64


@dataclass(frozen=True, eq=False)
class Edges:
    """Arrays over edges; `first` < `second`, as nodes are ordered: the first would stay.

    edits, longer  as `NearPairs` has them; edits are 0 between equal texts
    guard          bits: the kinds of difference that hold the pair back
    conflict       both have a reference, and they differ
    flag           the policy of the two sets only tells
    """

    first: "NDArray[np.int64]"
    second: "NDArray[np.int64]"
    edits: "NDArray[np.int64]"
    longer: "NDArray[np.int64]"
    guard: "NDArray[np.int32]"
    conflict: "NDArray[np.bool_]"
    flag: "NDArray[np.bool_]"

    def __len__(self) -> int:
        return len(self.first)


def make_edges(corpus: Corpus, nodes: Nodes, pairs: NearPairs, lengths: "NDArray[np.int64]", policy: Policy) -> Edges:
    """All edges of a corpus.

    pairs    of texts, as `Texts` numbers them
    lengths  of these texts
    """
    import numpy as np

    by_text = np.argsort(nodes.texts, kind="stable")
    starts = np.searchsorted(nodes.texts[by_text], np.arange(len(lengths) + 1))
    near = products(by_text, starts, pairs.first, pairs.second)
    same = _same_text(nodes, by_text, starts)
    first = np.concatenate([same[0], near[0]])
    second = np.concatenate([same[1], near[1]])
    edits = np.concatenate([np.zeros(len(same[0]), np.int64), pairs.edits[near[2]]])
    longer = np.concatenate([lengths[nodes.texts[same[0]]], pairs.longer[near[2]]])
    first, second = np.minimum(first, second), np.maximum(first, second)
    one, other = nodes.references[first], nodes.references[second]
    asked = np.array([policy.compares_references(name) for name in corpus.names], dtype=bool)
    conflict = (one >= 0) & (other >= 0) & (one != other) & (asked[nodes.sets[first]] & asked[nodes.sets[second]])
    flags = np.array([[policy.rule(one, other) == FLAG for other in corpus.names] for one in corpus.names], dtype=bool)
    flags = flags.reshape(len(corpus.names), len(corpus.names))
    return Edges(
        first,
        second,
        edits,
        longer,
        _guarded(corpus, nodes, first, second, policy),
        conflict,
        flags[nodes.sets[first], nodes.sets[second]],
    )


def _guarded(
    corpus: Corpus, nodes: Nodes, first: "NDArray[np.int64]", second: "NDArray[np.int64]", policy: Policy
) -> "NDArray[np.int32]":
    """What the guard says, at the stricter level of the two sets: so it does not matter which of them would lose its row."""
    import numpy as np

    level = np.array([LEVELS.index(policy.guard(name)) for name in corpus.names], dtype=np.int8)[nodes.sets]
    return find_differences(Chosen(corpus.raw, nodes.rows), first, second, np.maximum(level[first], level[second]))


def products(
    members: "NDArray[np.int64]", starts: "NDArray[np.int64]", first: "NDArray[np.int64]", second: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]":
    """Every member of group first[i] with every member of group second[i]: two members and i.

    members[starts[g] : starts[g + 1]] are the members of group g
    """
    import numpy as np

    wide = starts[second + 1] - starts[second]
    counts = (starts[first + 1] - starts[first]) * wide
    pair = np.repeat(np.arange(len(first)), counts)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    down, across = place // wide[pair], place % wide[pair]
    return members[starts[first][pair] + down], members[starts[second][pair] + across], pair


def _same_text(
    nodes: Nodes, by_text: "NDArray[np.int64]", starts: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Pairs of nodes that have one text. Of very many, not all: see MOST_OF_A_TEXT."""
    import numpy as np

    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for text in np.flatnonzero(np.diff(starts) > 1).tolist():
        members = by_text[starts[text] : starts[text + 1]]
        if len(members) <= MOST_OF_A_TEXT:
            one, other = np.triu_indices(len(members), k=1)
            firsts.append(members[one])
            seconds.append(members[other])
            continue
        for group in (members, *_alike(nodes, members)):
            one, other = (grid.reshape(-1) for grid in np.meshgrid(group[:MOST_OF_A_TEXT], group, indexing="ij"))
            firsts.append(one[one < other])
            seconds.append(other[one < other])
    pairs = np.stack([np.concatenate(firsts), np.concatenate(seconds)])
    pairs = np.unique(pairs, axis=1)
    return pairs[0], pairs[1]


def _alike(nodes: Nodes, members: "NDArray[np.int64]") -> "list[NDArray[np.int64]]":
    import numpy as np

    keys = nodes.references[members]
    order = np.argsort(keys, kind="stable")
    return np.split(members[order], np.flatnonzero(np.diff(keys[order])) + 1)
