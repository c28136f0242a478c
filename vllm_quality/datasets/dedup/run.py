"""From rows to what is kept, what is removed, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from vllm_quality.datasets.dedup.certificate import MOST_COMPARISONS, Certificate, certify
from vllm_quality.datasets.dedup.collapse import SetCounts, alarms_of, count_sets
from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.edges import Edges, make_edges
from vllm_quality.datasets.dedup.groups import Chosen, Texts, different_texts
from vllm_quality.datasets.dedup.guard.guard import GUARD
from vllm_quality.datasets.dedup.ledger import contamination
from vllm_quality.datasets.dedup.near.search import NearPairs, Progress, find_near_pairs
from vllm_quality.datasets.dedup.nodes import Nodes, in_star_order, make_nodes
from vllm_quality.datasets.dedup.normal import NORMALISATION
from vllm_quality.datasets.dedup.pairs import MOST_PAIRS, list_pairs
from vllm_quality.datasets.dedup.policy import FLAG, Policy
from vllm_quality.datasets.dedup.reasons import ledger_of
from vllm_quality.datasets.dedup.stars import choose
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Certificate", "Corpus", "Deduplication", "Policy", "SetCounts", "deduplicate"]


@dataclass(frozen=True, eq=False)
class Deduplication:
    """The outcome.

    kept         per row of the corpus
    ledger       the pairs, a frame of `PAIR_SCHEMA`
    sets         counts by set
    certificate  the recall of the near pairs
    alarms       sentences, for a person: a set that loses too many of its rows
    method       versions, parameters, bounds that were hit; for a manifest
    contamination  goldens that a benchmark holds, too; see `ledger.contamination`
    """

    kept: "NDArray[np.bool_]"
    ledger: pl.DataFrame
    sets: Mapping[str, SetCounts]
    certificate: Certificate
    alarms: tuple[str, ...]
    method: Mapping[str, object]
    contamination: pl.DataFrame


def deduplicate(
    corpus: Corpus,
    policy: Policy | None = None,
    threshold: Threshold = USUAL,
    *,
    seed: int = 1,
    comparisons: int = MOST_COMPARISONS,
    most_pairs: int = MOST_PAIRS,
    progress: Progress | None = None,
) -> Deduplication:
    """Decide which rows of a corpus stay; the same for any order of the rows.

    comparisons  the most that the certificate's sample may cost; see `certify`
    most_pairs   the most that the ledger lists beside what it must; see `list_pairs`

    Raises `DatasetError` when the policy contradicts itself.
    """
    import numpy as np

    policy = policy or Policy()
    texts = different_texts(corpus.texts, len(corpus))
    texts, nodes = in_star_order(texts, make_nodes(corpus, texts, policy))
    chosen = Chosen(corpus.texts, texts.rows)
    pairs = find_near_pairs(chosen, threshold, seed=seed, progress=progress, preference=np.arange(len(chosen)))
    bounded = pairs.incomplete is not None
    certificate = certify(
        chosen,
        pairs.first,
        pairs.second,
        threshold,
        seed=seed,
        most_comparisons=comparisons,
        bounded=bounded,
        progress=progress,
    )
    parameters = {"threshold": str(threshold), "seed": seed}
    return decide(corpus, texts, nodes, pairs, policy, certificate, parameters, most_pairs)


def decide(
    corpus: Corpus,
    texts: Texts,
    nodes: Nodes,
    pairs: NearPairs,
    policy: Policy,
    certificate: Certificate,
    parameters: Mapping[str, object],
    most_pairs: int = MOST_PAIRS,
) -> Deduplication:
    """What follows from near pairs of different texts."""
    import numpy as np

    lengths = np.fromiter((len(corpus.texts[row]) for row in texts.rows.tolist()), np.int64, len(texts))
    edges = make_edges(corpus, nodes, pairs, lengths, policy)
    keeper = _keepers(corpus, nodes, edges, policy)
    listed = list_pairs(nodes, edges, keeper, most_pairs)
    sets = count_sets(corpus, nodes, edges, keeper)
    ledger = ledger_of(corpus, nodes, edges, listed, keeper, policy, lengths, _versions(pairs.method))
    return Deduplication(
        kept=keeper < 0,
        ledger=ledger,
        sets=sets,
        certificate=certificate,
        alarms=alarms_of(sets, policy),
        method={
            **parameters,
            "normalisation": NORMALISATION,
            "guard": GUARD,
            "search": dict(pairs.method),
            "incomplete": pairs.incomplete,
            "pairs_found": listed.found,
            "pairs_listed": len(listed),
        },
        contamination=contamination(ledger, policy.roles),
    )


def _keepers(corpus: Corpus, nodes: Nodes, edges: Edges, policy: Policy) -> "NDArray[np.int64]":
    """Per row, the row it is removed for; -1 when it stays."""
    import numpy as np

    free = ~edges.flag & (edges.guard == 0) & ~edges.conflict
    keeper = choose(len(nodes), edges.first[free], edges.second[free])
    drops = np.array([policy.rule(name, name) != FLAG for name in corpus.names], dtype=bool)
    of_row = nodes.of_row
    copies = drops[corpus.sets] & (nodes.rows[of_row] != np.arange(len(corpus)))
    gone = keeper[of_row]
    return np.where(gone >= 0, nodes.rows[gone], np.where(copies, nodes.rows[of_row], -1))


def _versions(search: Mapping[str, object]) -> str:
    how = ", ".join(f"{name} {value}" for name, value in search.items() if isinstance(value, str))
    return f"{NORMALISATION}; {GUARD}; {how}"
