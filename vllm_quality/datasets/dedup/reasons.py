"""What is said about each pair: its decision and, in one sentence, why."""

from typing import TYPE_CHECKING

import polars as pl

from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.edges import Edges
from vllm_quality.datasets.dedup.guard.guard import name_differences
from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.dedup.nodes import Nodes
from vllm_quality.datasets.dedup.pairs import RowPairs
from vllm_quality.datasets.dedup.policy import DROP, FLAG, Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KINDS = 6
_SETTLED, _DROPPED, _GUARDED, _CONFLICT, _FLAGGED, _FLAGGED_CONFLICT = range(_KINDS)


def ledger_of(
    corpus: Corpus,
    nodes: Nodes,
    edges: Edges,
    pairs: RowPairs,
    keeper: "NDArray[np.int64]",
    policy: Policy,
    lengths: "NDArray[np.int64]",
    versions: str,
) -> pl.DataFrame:
    """The ledger, a frame of `PAIR_SCHEMA`, sorted by its sets and ids.

    keeper   per row, the row it was removed for; -1 for those that stay
    lengths  of the different texts
    """
    import numpy as np

    place = np.lexsort((np.arange(len(corpus)), nodes.ids, corpus.sets))
    rank = np.empty(len(corpus), dtype=np.int64)
    rank[place] = np.arange(len(corpus))
    swap = rank[pairs.first] > rank[pairs.second]
    a, b = np.where(swap, pairs.second, pairs.first), np.where(swap, pairs.first, pairs.second)
    order = np.lexsort((rank[b], rank[a]))
    a, b, edge = a[order], b[order], pairs.edge[order]
    inside = edge < 0
    edits = np.where(inside, 0, edges.edits[edge] if len(edges) else 0)
    longer = np.where(inside, lengths[nodes.texts[nodes.of_row[a]]], edges.longer[edge] if len(edges) else 0)
    guard = np.where(inside, 0, edges.guard[edge] if len(edges) else 0)
    status = _status(corpus, edges, edge, inside, guard, keeper, a, b, policy)
    drops_b, drops_a = keeper[b] == a, keeper[a] == b
    decision = np.select([drops_a, drops_b, status >= _FLAGGED], ["drop_a", "drop_b", "flag"], "keep")
    ids, names = pl.Series(list(corpus.ids), dtype=pl.String), pl.Series(corpus.names, dtype=pl.String)
    return pl.DataFrame(
        {
            "id_a": ids.gather(a),
            "id_b": ids.gather(b),
            "dataset_a": names.gather(corpus.sets[a]),
            "dataset_b": names.gather(corpus.sets[b]),
            "kind": pl.Series(np.where(edits == 0, "exact", "near"), dtype=pl.String),
            "distance": edits / np.maximum(longer, 1),
            "edits": edits,
            "length": longer,
            "decision": pl.Series(decision, dtype=pl.String),
            "reason": _reasons(corpus, status, guard, edits == 0, drops_a, corpus.sets[a], corpus.sets[b], policy),
            "versions": pl.Series([versions], dtype=pl.String).gather(np.zeros(len(a), dtype=np.int64)),
        },
        schema=dict(PAIR_SCHEMA),
    )


def _status(
    corpus: Corpus,
    edges: Edges,
    edge: "NDArray[np.int64]",
    inside: "NDArray[np.bool_]",
    guard: "NDArray[np.int32]",
    keeper: "NDArray[np.int64]",
    a: "NDArray[np.int64]",
    b: "NDArray[np.int64]",
    policy: Policy,
) -> "NDArray[np.int64]":
    import numpy as np

    within = np.array([policy.rule(name, name) == FLAG for name in corpus.names], dtype=bool)
    flag = np.where(inside, within[corpus.sets[a]], edges.flag[edge] if len(edges) else False)
    conflict = np.where(inside, False, edges.conflict[edge] if len(edges) else False)
    both_stay = (keeper[a] < 0) & (keeper[b] < 0)
    return np.select(
        [
            (keeper[b] == a) | (keeper[a] == b),
            guard != 0,
            flag & conflict & both_stay,
            flag & both_stay,
            conflict,
        ],
        [_DROPPED, _GUARDED, _FLAGGED_CONFLICT, _FLAGGED, _CONFLICT],
        _SETTLED,
    )


def _reasons(
    corpus: Corpus,
    status: "NDArray[np.int64]",
    guard: "NDArray[np.int32]",
    exact: "NDArray[np.bool_]",
    drops_a: "NDArray[np.bool_]",
    sets_a: "NDArray[np.int32]",
    sets_b: "NDArray[np.int32]",
    policy: Policy,
) -> pl.Series:
    """One sentence per pair; there are few different ones, each is written once."""
    import numpy as np

    sets = len(corpus.names)
    parts = (_KINDS, guard.max(initial=0) + 1, 2, 2, sets, sets)
    values = (status, np.where(status == _GUARDED, guard, 0), exact, drops_a, sets_a, sets_b)
    different, which = np.unique(np.ravel_multi_index(values, parts), return_inverse=True)
    sentences = [
        _sentence(
            int(status),
            int(guard),
            "exact duplicate" if exact else "near duplicate",
            corpus.names[sets_b if drops_a else sets_a],
            corpus.names[sets_a if drops_a else sets_b],
            policy,
        )
        for status, guard, exact, drops_a, sets_a, sets_b in zip(*np.unravel_index(different, parts), strict=True)
    ]
    return pl.Series(sentences, dtype=pl.String).gather(which)


def _sentence(status: int, guard: int, what: str, stays: str, goes: str, policy: Policy) -> str:
    if status == _DROPPED:
        return f"Removed as {what}: {_why_this_side(stays, goes, policy)}."
    if status == _GUARDED:
        return f"Not removed: the two differ in {name_differences(guard)}."
    if status == _CONFLICT:
        return "Not removed: the two have different references; one of them may be wrong."
    if status == _SETTLED:
        return f"Settled otherwise: one of this {what}'s two rows was removed for a third."
    told = f"Told only, as {what}: {_why_only_told(stays, goes, policy)}"
    return f"{told}, and their references differ." if status == _FLAGGED_CONFLICT else f"{told}."


def _why_this_side(stays: str, goes: str, policy: Policy) -> str:
    if stays == goes:
        return "of one set, the row with the lower hash stays"
    if policy.rule(stays, goes) != DROP:
        return f"{goes!r} gives way to {stays!r} by policy"
    if policy.priorities.get(stays, 0) != policy.priorities.get(goes, 0):
        return f"set {stays!r} has the higher priority"
    return "of sets of one priority, the row with the lower hash stays"


def _why_only_told(one: str, other: str, policy: Policy) -> str:
    roles = {policy.roles.get(one), policy.roles.get(other)}
    if roles == {"benchmark", "golden"}:
        benchmark, golden = (one, other) if policy.roles.get(one) == "benchmark" else (other, one)
        return f"golden set {golden!r} is contaminated by text of benchmark {benchmark!r}"
    if one == other:
        return f"set {one!r} is flag only"
    return f"sets {one!r} and {other!r} are flag only"
