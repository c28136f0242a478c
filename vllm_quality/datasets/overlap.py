"""What of a snapshot another set holds as well: those items are scored apart, "without overlap"."""

import json
from collections.abc import Iterator

import polars as pl

from vllm_quality.datasets.snapshot import load_snapshot, read_pairs
from vllm_quality.eval.result import hash_of
from vllm_quality.results.objects import ObjectStore

# What the metadata of a benchmark's document say about it (format lm_eval).
TASK_FIELD, DOCUMENT_FIELD = "task", "doc_hash"


def overlapping_items(objects: ObjectStore, snapshot_hash: str) -> frozenset[str]:
    """Ids of the items that were kept though another set holds the same, or nearly: both sides of a flagged pair.

    Empty for a snapshot that was frozen before pairs were kept. Raises `SnapshotError` when there is no such snapshot.
    """
    return frozenset(_flagged(objects, snapshot_hash))


def overlapping_documents(objects: ObjectStore, snapshot_hash: str, task: str) -> frozenset[str]:
    """The documents of an lm-eval task that another set of the snapshot holds, as samples' `item_hash` has them.

    Known for tasks that are registered as sets of format lm_eval. Raises `SnapshotError` when there is no such snapshot.
    """
    flagged = overlapping_items(objects, snapshot_hash)
    if not flagged:
        return frozenset()
    items = load_snapshot(objects, snapshot_hash).filter(pl.col("id").is_in(list(flagged)))
    return frozenset(
        hash_of([task, document[DOCUMENT_FIELD]])
        for document in map(json.loads, items["metadata"])
        if document.get(TASK_FIELD) == task and DOCUMENT_FIELD in document
    )


def _flagged(objects: ObjectStore, snapshot_hash: str) -> Iterator[str]:
    pairs = read_pairs(objects, snapshot_hash)
    across = pairs.filter((pl.col("decision") == "flag") & (pl.col("dataset_a") != pl.col("dataset_b")))
    for side in ("id_a", "id_b"):
        yield from across[side]
