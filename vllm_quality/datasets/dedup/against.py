"""A day's rows against a bank of earlier ones: the same decisions, without comparing the bank with itself again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from vllm_quality.datasets.dedup.certificate import MOST_COMPARISONS, Certificate, certify
from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.groups import Chained, Chosen, Texts, different_texts
from vllm_quality.datasets.dedup.near.bank import Bank, BankPairs
from vllm_quality.datasets.dedup.near.search import NearPairs, Progress, find_near_pairs
from vllm_quality.datasets.dedup.nodes import in_star_order, make_nodes
from vllm_quality.datasets.dedup.policy import DROP_FROM, Policy, Within
from vllm_quality.datasets.dedup.run import Deduplication, decide
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold
from vllm_quality.datasets.schema import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class _Found:
    """Near pairs of the corpus's different texts: with each other, and with the bank's."""

    texts: Texts
    asked: Sequence[str]
    own: NearPairs
    across: BankPairs

    @property
    def incomplete(self) -> str | None:
        return self.own.incomplete or self.across.incomplete


def deduplicate_against(
    corpus: Corpus,
    bank: Bank,
    banked: Callable[[Sequence[int]], Corpus],
    policy: Policy | None = None,
    threshold: Threshold = USUAL,
    *,
    seed: int = 1,
    comparisons: int = MOST_COMPARISONS,
    progress: Progress | None = None,
) -> Deduplication:
    """Decide which rows of a corpus stay, given those of a bank. The ledger has the pairs of the corpus with itself and with the
    bank, and the certificate is about their recall.

    banked  the bank's rows at some positions, in sets that the corpus does not have
    policy  where it says nothing about a bank's set, nothing is dropped from that one

    Raises `DatasetError` when the policy contradicts itself, or a set is on both sides.
    """
    import numpy as np

    texts = different_texts(corpus.texts, len(corpus))
    asked = Chosen(corpus.texts, texts.rows)
    found = _Found(
        texts, asked, find_near_pairs(asked, threshold, seed=seed, progress=progress), bank.query(asked, threshold)
    )
    certificate = _certificate(found, bank, threshold, seed, comparisons, progress)
    positions, rows = np.unique(found.across.banked, return_inverse=True)
    there = banked(positions.tolist())
    policy = _sparing(policy or Policy(), corpus.names, there.names)
    both = _joined(corpus, there)
    numbered = different_texts(both.texts, len(both))
    numbered, nodes = in_star_order(numbered, make_nodes(both, numbered, policy))
    pairs = _numbered_anew(found, numbered, len(corpus) + rows)
    parameters = {"threshold": str(threshold), "seed": seed, "banked": len(bank)}
    outcome = decide(both, numbered, nodes, pairs, policy, certificate, parameters)
    ours = pl.col("dataset_a").is_in(corpus.names) | pl.col("dataset_b").is_in(corpus.names)
    return replace(
        outcome,
        kept=outcome.kept[: len(corpus)],
        ledger=outcome.ledger.filter(ours),
        sets={name: outcome.sets[name] for name in corpus.names},
    )


def _certificate(
    found: _Found, bank: Bank, threshold: Threshold, seed: int, comparisons: int, progress: Progress | None
) -> Certificate:
    import numpy as np

    everything = Chained([found.asked, *(segment.signed.ranked.texts for segment in bank.segments)])
    return certify(
        everything,
        np.concatenate([found.own.first, found.across.query]),
        np.concatenate([found.own.second, found.across.banked + len(found.asked)]),
        threshold,
        seed=seed,
        most_comparisons=comparisons,
        among=np.arange(len(everything)) < len(found.asked),
        bounded=found.incomplete is not None,
        progress=progress,
    )


def _sparing(policy: Policy, ours: Sequence[str], theirs: Sequence[str]) -> Policy:
    """The policy, with nothing dropped from sets of theirs where it does not say so."""
    twice = sorted(set(ours) & set(theirs))
    if twice:
        raise DatasetError(
            f"Set {twice[0]!r} is in the bank and in what is compared with it; name one of them otherwise."
        )
    known = {frozenset(pair) for pair in policy.pairs}
    spared = {(one, other): DROP_FROM + one for one in ours for other in theirs if frozenset((one, other)) not in known}
    within: dict[str, Within] = {}
    for name in theirs:
        within[name] = "flag"
    return replace(policy, pairs={**policy.pairs, **spared}, within={**within, **policy.within})


def _joined(one: Corpus, other: Corpus) -> Corpus:
    def both(name: str) -> Sequence[str]:
        return Chained([getattr(one, name), getattr(other, name)])

    references = [*(one.references or [None] * len(one)), *(other.references or [None] * len(other))]
    hashed = one.content is not None and other.content is not None
    return Corpus(
        ids=both("ids"),
        datasets=both("datasets"),
        raw=both("raw"),
        texts=both("texts"),
        references=references,
        content=both("content") if hashed else None,
    )


def _numbered_anew(found: _Found, texts: Texts, banked_rows: "NDArray[np.int64]") -> NearPairs:
    """The pairs by the numbers that texts have among those of both sides; without those of equal texts, which are one now.

    banked_rows  per pair with the bank, the row of its banked text
    """
    import numpy as np

    number = texts.of_row[found.texts.rows]
    one = np.concatenate([number[found.own.first], number[found.across.query]])
    other = np.concatenate([number[found.own.second], texts.of_row[banked_rows]])
    edits = np.concatenate([found.own.edits, found.across.edits])
    longer = np.concatenate([found.own.longer, found.across.longer])
    codes = np.minimum(one, other) * len(texts) + np.maximum(one, other)
    _, at = np.unique(codes, return_index=True)
    at = at[one[at] != other[at]]
    first, second = np.minimum(one, other)[at], np.maximum(one, other)[at]
    method = {**found.own.method, "bank": dict(found.across.method)}
    return NearPairs(first, second, edits[at], longer[at], method, found.incomplete)
