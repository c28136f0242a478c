"""Nodes: rows of one set that nothing tells apart, neither text nor meaning nor reference. Decisions are made about nodes."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.groups import Texts, sha256s
from vllm_quality.datasets.dedup.guard.meaning import plain_form
from vllm_quality.datasets.dedup.normal import normal
from vllm_quality.datasets.dedup.policy import Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Nodes:
    """Arrays over nodes, which come in the order in which they are chosen to stay: set level, then hash, set and id.

    rows        the row that stands for each: the first of its rows in that order
    texts       its text, as `Texts` numbers them
    sets        its set, as `Corpus.names` numbers them
    references  number of its reference, equal for references that do not differ; -1 for none
    of_row      per row, its node
    ids         per row, the place of its id among all ids
    """

    rows: "NDArray[np.int64]"
    texts: "NDArray[np.int64]"
    sets: "NDArray[np.int32]"
    references: "NDArray[np.int64]"
    of_row: "NDArray[np.int64]"
    ids: "NDArray[np.int64]"

    def __len__(self) -> int:
        return len(self.rows)


def make_nodes(corpus: Corpus, texts: Texts, policy: Policy) -> Nodes:
    """The nodes of a corpus. Raises `DatasetError` when the policy goes in a circle."""
    import numpy as np

    count = len(corpus)
    levels = policy.levels(corpus.names)
    level = np.array([levels[name] for name in corpus.names], dtype=np.int32)[corpus.sets]
    ids = pl.Series(list(corpus.ids), dtype=pl.String).rank("dense").to_numpy().astype(np.int64)
    hashes = texts.digests[texts.of_row] if corpus.content is None else sha256s(corpus.content, count)
    order = np.lexsort((np.arange(count), ids, corpus.sets, *hashes.T[::-1], level))
    references = _references(corpus)
    keys = np.stack([texts.of_row, corpus.sets, references, _variants(corpus, texts)], axis=1)[order]
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    # np.unique sorts by key; nodes are to be in the order of their first rows.
    place = np.argsort(first, kind="stable")
    number = np.empty(len(place), dtype=np.int64)
    number[place] = np.arange(len(place))
    of_row = np.empty(count, dtype=np.int64)
    of_row[order] = number[inverse.reshape(-1)]
    rows = order[first[place]]
    return Nodes(rows, texts.of_row[rows], corpus.sets[rows], references[rows], of_row, ids)


def in_star_order(texts: Texts, nodes: Nodes) -> tuple[Texts, Nodes]:
    """The same with texts numbered in the order of the nodes that have them: of two texts, the first is the one to stay."""
    import numpy as np

    _, first = np.unique(nodes.texts, return_index=True)
    order = np.argsort(first)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    renumbered = Texts(number[texts.of_row], texts.rows[order], texts.digests[order])
    return renumbered, replace(nodes, texts=number[nodes.texts])


def _references(corpus: Corpus) -> "NDArray[np.int64]":
    import numpy as np

    if corpus.references is None:
        return np.full(len(corpus), -1, dtype=np.int64)
    known: dict[str, int] = {}
    return np.fromiter(
        (-1 if found is None else known.setdefault(_plain_reference(found), len(known)) for found in corpus.references),
        np.int64,
        len(corpus),
    )


def _plain_reference(text: str) -> str:
    return normal(plain_form(text))


def _variants(corpus: Corpus, texts: Texts) -> "NDArray[np.int64]":
    """A number per row that differs between rows of one text which were written differently; most rows have none to differ from."""
    import numpy as np

    variants = np.zeros(len(corpus), dtype=np.int64)
    shared = np.bincount(texts.of_row, minlength=len(texts))[texts.of_row] > 1
    known: dict[str, int] = {}
    for row in np.flatnonzero(shared).tolist():
        variants[row] = known.setdefault(plain_form(corpus.raw[row]), len(known))
    return variants


def rows_of(nodes: Nodes) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """The rows sorted by node, and where each node's rows begin in them (one entry more than there are nodes)."""
    import numpy as np

    by_node = np.argsort(nodes.of_row, kind="stable")
    starts = np.searchsorted(nodes.of_row[by_node], np.arange(len(nodes) + 1))
    return by_node, starts
